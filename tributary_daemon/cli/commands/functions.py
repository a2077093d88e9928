"""``trib replay``, ``trib query``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.known import imports_option
from tributary_daemon.cli.opening import submitting
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.client.replaying import RecordedRun
from tributary_daemon.client.replaying import replay as replayed
from tributary_daemon.errors import InvalidInput
from tributary_daemon.handlers.discovery import require
from tributary_daemon.spec.inputs import parse_cli_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.cli.blocks import Line
    from tributary_daemon.client.client import Client
    from tributary_daemon.client.replaying import Verdict

_AT_ONCE = 500


@click.command(
    cls=Command,
    epilog="""\b
Nothing is written and no step runs: the code is driven over what a run has recorded, and has to do the
same. Exit code 1 says that it does something else somewhere; such a run would be parked by a worker.

\b
Examples:
  trib replay @latest --import ./orders.py
  trib replay --name order.v1 --import ./orders.py        all that have not ended
  trib replay 9f3c21ab --save tests/golden/order.json
  trib replay tests/golden/order.json --import ./orders.py""",
)
@click.argument("targets", metavar="[ID|FILE]...", nargs=-1)
@click.option("--name", metavar="NAME", help="All runs of this workflow function that have not ended.")
@imports_option
@click.option(
    "--save", type=click.Path(dir_okay=False), metavar="PATH", help="Write the history to a file instead."
)
@output_option
def replay(
    *, targets: tuple[str, ...], name: str | None, imports: tuple[str, ...], save: str | None, output: str
) -> int:
    """Check new code of workflow functions against stored histories."""
    if bool(targets) == bool(name):
        raise click.UsageError("name runs or files, or all runs of a workflow function by --name")
    if save is not None:
        if len(targets) != 1:
            raise click.UsageError("--save writes the history of one run")
        with submitting() as client:
            found = client.history(client.resolve_id(targets[0]))
        Path(save).write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
        failures.say(f"{len(found.history.events)} events written to {save}")
        return failures.COMPLETED
    require(settings(handlers=imports).handlers)
    verdicts = [replayed(run) for run in _runs(targets, name)]
    told = [verdict.to_json() for verdict in verdicts]
    show(
        View(
            told if name is not None or len(told) != 1 else told[0],
            [verdict.id for verdict in verdicts],
            lambda: [Lines(tuple(part for verdict in verdicts for part in _lines(verdict)))],
        ),
        output,
    )
    if not verdicts:
        failures.say(f"no run of {name} is under way")
    return failures.COMPLETED if all(verdict.fits for verdict in verdicts) else failures.FAILED


def _runs(targets: tuple[str, ...], name: str | None) -> Iterator[RecordedRun]:
    files = [target for target in targets if values.is_file(target) or target.endswith(".json")]
    for file in files:
        yield RecordedRun.from_json(_read(file))
    ids = [target for target in targets if target not in files]
    if ids or name is not None:
        with submitting() as client:
            for identifier in ids:
                yield client.history(client.resolve_id(identifier))
            if name is not None:
                yield from _unfinished(client, name)


def _unfinished(client: Client, name: str) -> Iterator[RecordedRun]:
    for state in ("available", "running", "waiting", "paused"):
        after = None
        while True:
            page = client.list(name=name, kind="run", state=state, limit=_AT_ONCE, after=after)
            for run in page.items:
                yield client.history(run.id)
            if page.after is None:
                break
            after = page.after


def _read(file: str) -> dict[str, Any]:
    try:
        value = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}", hint="check the path") from error
    except ValueError as error:
        raise InvalidInput(
            f"{file} is not JSON: {error}", hint="write it by trib replay ID --save FILE"
        ) from error
    return value if isinstance(value, dict) else {}


def _lines(verdict: Verdict) -> Iterator[Line]:
    good = verdict.fits
    yield line(
        Span("✔ " if good else "✗ ", "good" if good else "bad"),
        Span(verdict.id, "id"),
        f"  {verdict.name}  {verdict.events} events  ",
        Span(f"fits; it {verdict.comes_to} there" if good else "does not fit", "good" if good else "bad"),
    )
    for text in (verdict.error or "").splitlines():
        yield line("    ", text)


@click.command(
    cls=Command,
    epilog="""\b
Without NAME, what the function said last by ctx.set_status. With NAME, what it answers by ctx.on_query:
its code runs in this process, driven over the history of the run, which is not disturbed.

\b
Examples:
  trib query @latest
  trib query 9f3c21ab progress --import ./orders.py
  trib query 9f3c21ab items -i state=open --import ./orders.py""",
)
@click.argument("identifier", metavar="ID")
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "-i",
    "--input",
    "pairs",
    multiple=True,
    type=values.pair,
    metavar="K=V",
    help="An argument of the query; repeatable.",
)
@imports_option
@output_option
def query(
    *,
    identifier: str,
    name: str | None,
    pairs: tuple[tuple[str, str], ...],
    imports: tuple[str, ...],
    output: str,
) -> int:
    """Ask a workflow function how it goes."""
    given = {key: parse_cli_value(None, text) for key, text in values.mapping(pairs, "--input").items()}
    if name is None and given:
        raise click.UsageError("-i belongs to a query: name it")
    if name is not None:
        require(settings(handlers=imports).handlers)
    with submitting() as client:
        full = client.resolve_id(identifier)
        answer = client.query(full, name, **given)
    text = json.dumps(answer, ensure_ascii=False, indent=2)
    show(View(answer, [full], lambda: [Lines(tuple(line(part) for part in text.splitlines()))]), output)
    return failures.COMPLETED
