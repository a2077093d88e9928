"""``trib handlers``."""

from __future__ import annotations

from typing import Any

import click

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Span, Table
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.model import durations


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  trib handlers
  trib handlers -o json""",
)
@output_option
def handlers(output: str) -> int:
    """List the handlers that workers have offered."""
    with opened() as client:
        rows = document(client.handlers())
    show(View(rows, [row["name"] for row in rows], lambda: [_handlers(rows)]), output)
    return failures.COMPLETED


def _handlers(rows: list[dict[str, Any]]) -> Table:
    return Table(
        ("handler", "runtime", "state", "queue", "priority", "attempts", "timeout", "description"),
        tuple(
            (
                Span(row["name"], "name"),
                Span(row["runtime"]),
                _offer(row),
                *(Span(text) for text in _options(row.get("options") or {})),
                Span(looks.cut(row.get("description") or "", 60), "faint"),
            )
            for row in rows
        ),
        frozenset({"priority", "attempts", "timeout"}),
        "no worker has offered a handler yet; `trib worker --import MODULE` does",
    )


def _offer(row: dict[str, Any]) -> Span:
    if not row["is_enabled"]:
        return Span("disabled", "bad")
    return Span("offered", "good") if row.get("offered_at") else Span("never offered", "warning")


def _options(options: dict[str, Any]) -> tuple[str, str, str, str]:
    timeout = options.get("timeout")
    return (
        str(options.get("queue", "")),
        str(options.get("priority", "")),
        str(options.get("max_attempts", "")),
        durations.text(timeout) if timeout is not None else "",
    )
