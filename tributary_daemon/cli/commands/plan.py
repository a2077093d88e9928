"""``trib plan``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, targets, values
from tributary_daemon.cli.blocks import Line, Lines, Span, line, pairs
from tributary_daemon.cli.commands.files import load
from tributary_daemon.cli.output import FORMATS, View, choice, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.handlers.discovery import discover
from tributary_daemon.spec.inputs import check_inputs
from tributary_daemon.tools import plan_text
from tributary_daemon.tools.planning import Around, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tributary_daemon.config import Config
    from tributary_daemon.spec.workflow import InputSpec

_EPILOG = """\b
Nothing is executed or stored, and no database is needed. Each option is shown with the level it
comes from: step, handler (--import loads them), defaults, config; what is not shown is built-in.
Bounds count all attempts, their timeouts and the waits between them, not the time without a free slot.

\b
Examples:
  trib plan workflows/order.yaml --import ./workflows/order.py
  trib plan etl.yaml -i env=prod -i day=2026-03-01
  trib plan etl.yaml -o json | jq .critical_path"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@click.option(
    "-i",
    "--input",
    "given",
    multiple=True,
    type=values.pair,
    metavar="K=V",
    help="An input, typed as the workflow declares it; repeatable. Required ones may be left out.",
)
@click.option(
    "--import",
    "imports",
    multiple=True,
    type=values.module,
    metavar="MODULE",
    help="Module or ./file.py whose handlers to load; repeatable [env: TRIB_HANDLERS].",
)
@choice((*FORMATS, "text"))
def plan(*, file: str, given: tuple[tuple[str, str], ...], imports: tuple[str, ...], output: str) -> int:
    """Show what a workflow would run, and with which options."""
    spec = load(file)
    config = settings(handlers=imports)
    inputs = _checked(spec.inputs, targets.inputs(given, None, lambda: spec.inputs) or {})
    around = Around(handlers=_handlers(config), config=config.defaults, given=inputs)
    failures.say_warnings(problem.render() for problem in spec.warnings)
    found = plan_of(spec, around)
    show(View(found, [step["id"] for step in found["steps"]], lambda: list(_blocks(found))), output)
    return failures.COMPLETED


def _checked(declared: Mapping[str, InputSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that were given, checked like those of a submit; others are not asked for."""
    # those that were not given are not missed here
    asked = {
        name: spec if name in given else replace(spec, required=False) for name, spec in declared.items()
    }
    checked = check_inputs(asked, given)
    return {name: checked[name] for name in given}


def _handlers(config: Config) -> dict[str, Mapping[str, Any]]:
    found = discover(config.handlers)
    failures.say_warnings(f"{failure.module} does not import: {failure.error}" for failure in found.failures)
    return {handler.name: handler.options for handler in found.registry}


def _blocks(plan: Mapping[str, Any]) -> Iterator[Lines]:
    yield _paired(list(plan_text.head(plan)))
    for title, steps in plan_text.parts(plan):
        yield Lines((line(Span(title, "label")), *(row for step in steps for row in _step(step))))
    for child in plan["children"].values():
        yield from _blocks({**child, "children": {}})


def _paired(rows: Sequence[tuple[str, str]]) -> Lines:
    return pairs(*((word, Span(text, "name" if word == "workflow" else "")) for word, text in rows))


def _step(step: Mapping[str, Any]) -> Iterator[Line]:
    does = {"run": "shell", "task": step["name"]}.get(step["action"], step["action"])
    yield line("  ", Span(step["id"], "name"), "  ", Span(does, "faint"))
    for word, text in plan_text.details(step):
        yield line("      ", Span(word.ljust(12), "label"), text)
