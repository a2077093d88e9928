"""``trib test``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, targets
from tributary_daemon.cli.blocks import Line, Lines, Span, line
from tributary_daemon.cli.commands.files import must_exist
from tributary_daemon.cli.known import imported, imports_option
from tributary_daemon.cli.looks import compact
from tributary_daemon.cli.output import View, choice, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.cli.trials import Trial, attempt
from tributary_daemon.errors import NotFound, NotPossible
from tributary_daemon.handlers.discovery import require
from tributary_daemon.model import durations
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.tools import junit as reporting
from tributary_daemon.tools.cases import pair_of, read_cases
from tributary_daemon.tools.comparing import ABSENT
from tributary_daemon.wiring import database_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tributary_daemon.tools.cases import Case

_INDENT = " " * 8
_ALL = "all"
_EPILOG = """\b
FILE is a workflow, NAME.yaml, or the cases beside it, NAME.test.yaml. Each case runs in the real engine, on a
database of its own that is dropped afterwards, by a clock that jumps over retry waits. Only the bodies of
steps are mocked. A step that runs without a mock fails its case, unless the case has a `default`.
Hooks of trib.toml run only where --hook names them, as some of them write elsewhere.

\b
Examples:
  trib test workflows/order.yaml --import ./workflows/order.py
  trib test workflows/order.test.yaml --case "the card is declined"
  trib test workflows/order.yaml --hook validation
  trib test etl.yaml -o jsonl | jq 'select(.passed | not)'"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@click.option(
    "--case", "wanted", multiple=True, metavar="NAME", help="Only the case of that name; repeatable."
)
@imports_option
@click.option("--real", is_flag=True, help="Handlers that a case does not mock run themselves.")
@click.option(
    "--hook",
    "wanted_hooks",
    multiple=True,
    metavar="USE",
    help="Also run this hook of trib.toml, named by its `use`, or all; repeatable.",
)
@click.option(
    "--junit", type=click.Path(dir_okay=False), metavar="PATH", help="Also write the results as JUnit's XML."
)
@choice(("table", "json", "jsonl"))
def test(
    *,
    file: str,
    wanted: tuple[str, ...],
    imports: tuple[str, ...],
    real: bool,
    wanted_hooks: tuple[str, ...],
    junit: str | None,
    output: str,
) -> int:
    """Run the cases of a test file, with mocks for steps."""
    must_exist([file])
    workflow, tests = pair_of(Path(file))
    must_exist([str(workflow)])
    config = settings(handlers=imports)
    spec = targets.load(workflow, signatures=imported(imports))
    failures.say_warnings(problem.render() for problem in spec.warnings)
    cases = _chosen(read_cases(tests, spec), wanted)
    known = require(config.handlers)
    hooks = _hooks(config.hooks, wanted_hooks)
    url = database_url(config, say=failures.say)
    trials = [attempt(case, spec, known, url=url, real=real, hooks=hooks) for case in cases]
    rows = [trial.to_json() for trial in trials]
    failed = sum(not trial.passed for trial in trials)
    data = {"workflow": spec.name, "file": str(tests), "passed": len(trials) - failed, "failed": failed,
            "cases": rows}  # fmt: skip
    show(View(data, [], lambda: [Lines(tuple(_told(trials)))], rows), output)
    if junit is not None:
        _write(Path(junit), reporting.report(spec.name, [_result(trial) for trial in trials]))
    return failures.FAILED if failed else failures.COMPLETED


def _chosen(cases: list[Case], wanted: Sequence[str]) -> list[Case]:
    names = [case.name for case in cases]
    for name in wanted:
        if name not in names:
            raise NotFound(f"there is no case {name!r}", hint=suggest(name, names))
    return [case for case in cases if not wanted or case.name in wanted]


def _hooks(configured: Sequence[Mapping[str, Any]], wanted: Sequence[str]) -> list[Mapping[str, Any]]:
    names = [str(table["use"]) for table in configured]
    for name in wanted:
        if name not in (*names, _ALL):
            raise NotFound(f"no hook {name!r} is configured here", hint=suggest(name, [*names, _ALL]))
    return [table for table in configured if _ALL in wanted or table["use"] in wanted]


def _result(trial: Trial) -> reporting.Result:
    wrong = ["".join(span.text for span in told).removeprefix(_INDENT) for told in _wrong(trial)]
    return reporting.Result(trial.name, trial.seconds, wrong)


def _write(path: Path, document: bytes) -> None:
    try:
        path.write_bytes(document)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise NotPossible(
            f"{path} cannot be written: {reason}", hint="name a file in a directory that exists"
        ) from error


def _told(trials: Sequence[Trial]) -> Iterator[Line]:
    for trial in trials:
        word = Span("passed", "good") if trial.passed else Span("FAILED", "bad")
        yield line(word, "  ", Span(trial.name, "name"), Span(f"  {durations.text(trial.seconds)}", "faint"))
        yield from _wrong(trial)
    failed = sum(not trial.passed for trial in trials)
    yield line(f"{len(trials) - failed} passed, {failed} failed")


def _wrong(trial: Trial) -> Iterator[Line]:
    for lack in trial.missing:
        yield line(_INDENT, Span(lack, "bad"))
    if trial.missing:
        hint = "add it to `mocks` of the case, or give the case a `default: {result: …}`"
        yield line(_INDENT, Span(f"hint: {hint}", "faint"))
    if trial.refusal is not None:
        yield line(_INDENT, Span(trial.refusal, "bad"))
    for one in trial.differences:
        yield line(_INDENT, Span(one.path, "label"))
        yield line(f"{_INDENT}  - expected  ", Span(_value(one.expected), "good"))
        yield line(f"{_INDENT}  + actual    ", Span(_value(one.actual), "bad"))
    if trial.differences:
        for place, error in trial.errors.items():
            yield line(_INDENT, Span(f"error of {place}: {error}", "faint"))


def _value(value: Any) -> str:
    return "(nothing)" if value is ABSENT else compact(value)
