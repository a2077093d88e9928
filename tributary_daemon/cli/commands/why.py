"""``trib why``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.shared import Command

if TYPE_CHECKING:
    from tributary_daemon.cli.blocks import Line


@click.command(
    cls=Command,
    epilog="""\b
Without STEP: the reason of the intent, or of every step of the run that has not completed.

\b
Examples:
  trib why @latest
  trib why 9f3c21ab aggregate -o json""",
)
@click.argument("identifier", metavar="ID")
@click.argument("step", required=False)
@output_option
def why(identifier: str, step: str | None, output: str) -> int:
    """Say why work waits, or why a step was skipped."""
    with opened() as client:
        found = document(client.why(client.resolve_id(identifier), step))
    show(View(found, [found["id"]], lambda: [Lines(tuple(lines(found)))]), output)
    return failures.COMPLETED


def lines(found: dict[str, Any]) -> list[Line]:
    """Return the reasons as lines: of the whole, then of each step, then what to do."""
    shown = [
        line(
            Span(found["name"], "name"), " ", Span(found["id"][-8:], "id"), "  ", looks.state(found["state"])
        )
    ]
    for reason in found["reasons"]:
        place = f"{reason['step']}: " if reason.get("step") else ""
        shown.append(line("  ", Span(place, "name"), looks.state(reason["state"]), "  ", reason["message"]))
        if reason.get("hint"):
            shown.append(line("      ", Span(f"{reason['hint']}", "faint")))
    return shown
