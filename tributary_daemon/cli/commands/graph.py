"""``trib graph``."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, targets
from tributary_daemon.cli.commands.files import load
from tributary_daemon.cli.looks import glyph
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import choice, document, dump, unicode_on
from tributary_daemon.cli.shared import Command
from tributary_daemon.spec.sources import is_file
from tributary_daemon.spec.workflow import StepSpec
from tributary_daemon.tools import ascii, dot, mermaid  # noqa: A004 - the word of the option
from tributary_daemon.tools.graphs import graph_of, graph_of_intent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.tools.graphs import Graph

_EPILOG = """\b
FILE is a workflow, `-` one on standard input; anything else is the id of a run, or @latest: its
steps are shown with their states. A drawing wider than the terminal becomes a list of levels.
Edges that only a reference implies are dashed, hooks and child workflows stand apart.

\b
Examples:
  trib graph workflows/order.yaml
  trib graph @latest
  trib graph etl.yaml -o dot | dot -Tsvg > etl.svg
  trib graph etl.yaml -o mermaid >> README.md"""
_UNBOUNDED = 200
_TOO_MUCH = (
    f"Mermaid draws at most {mermaid.MOST_EDGES} edges and {mermaid.MOST_CHARACTERS:,} characters unless its"
    " maxEdges and maxTextSize are raised; -o dot has no such limits"
)


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("target", metavar="FILE|ID", type=click.Path())
@choice(("ascii", "mermaid", "dot", "json"), "Drawn as text, for Mermaid, for Graphviz, or as data.")
def graph(*, target: str, output: str) -> int:
    """Draw the graph of a workflow, or of a run with its states."""
    click.echo(_drawn(_graph(target), output), nl=False)
    return failures.COMPLETED


def _graph(target: str) -> Graph:
    if target == "-" or targets.looks_like_path(target) or is_file(Path(target)):
        return graph_of(load(target))
    with opened() as client:
        found = client.shape(target)
    plain = document(found.document)
    if found.spec is None:
        return graph_of_intent(plain)
    spec = _with_asked(found.spec, plain["steps"]) if found.spec.function else found.spec
    return graph_of(spec, inputs=plain["inputs"], steps=plain["steps"], state=plain["state"])


def _with_asked(spec: WorkflowSpec, steps: Mapping[str, Mapping[str, Any]]) -> WorkflowSpec:
    """Return a workflow function with the steps that it has asked for so far."""
    (main,) = spec.steps
    asked = [
        StepSpec(id=step_id, ordinal=number, name=step["name"], needs=(main.id,))
        for number, (step_id, step) in enumerate(steps.items(), 1)
        if step_id != main.id and step.get("hook") is None
    ]
    return replace(spec, steps=(main, *asked))


def _drawn(found: Graph, output: str) -> str:
    match output:
        case "json":
            return dump(found.to_json(), indent=2) + "\n"
        case "dot":
            return dot.draw(found)
        case "mermaid":
            text = mermaid.draw(found)
            if len(found.edges) > mermaid.MOST_EDGES or len(text) > mermaid.MOST_CHARACTERS:
                failures.say_warnings((_TOO_MUCH,))
            return text
    unicode = unicode_on(sys.stdout)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _UNBOUNDED
    return ascii.draw(found, lambda state: glyph(state, unicode=unicode), width=width, unicode=unicode)
