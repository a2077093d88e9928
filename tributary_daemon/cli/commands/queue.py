"""``trib queue list|pause|resume``."""

from __future__ import annotations

from typing import Any, Final

import click

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Lines, Span, Table, line
from tributary_daemon.cli.loader import Entry, LazyGroup
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.shared import Command

_ENTRIES: Final = {
    "list": Entry("commands.queue:list_", "List queues with what is ready and what runs"),
    "pause": Entry("commands.queue:pause", "Claim nothing more from queues; what runs goes on"),
    "resume": Entry("commands.queue:resume", "Claim from paused queues again"),
}


@click.command(cls=LazyGroup, entries=_ENTRIES)
def queue() -> None:
    """List, pause and resume queues."""


@click.command("list", cls=Command)
@output_option
def list_(output: str) -> int:
    """List queues with what is ready and what runs."""
    with opened() as client:
        rows = document(client.queues())
    show(View(rows, [row["name"] for row in rows], lambda: [_table(rows)]), output)
    return failures.COMPLETED


@click.command(cls=Command, epilog="\b\nExample:\n  trib queue pause heavy media")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@output_option
def pause(names: tuple[str, ...], output: str) -> int:
    """Claim nothing more from queues; what runs goes on."""
    with opened() as client:
        for name in names:
            client.pause_queue(name)
    show(_changed(names, paused=True), output)
    return failures.COMPLETED


@click.command(cls=Command, epilog="\b\nExample:\n  trib queue resume heavy media")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@output_option
def resume(names: tuple[str, ...], output: str) -> int:
    """Claim from paused queues again."""
    with opened() as client:
        for name in names:
            client.resume_queue(name)
    show(_changed(names, paused=False), output)
    return failures.COMPLETED


def _changed(names: tuple[str, ...], *, paused: bool) -> View:
    rows = [{"name": name, "paused": paused} for name in names]
    word = Span("paused", "paused") if paused else Span("resumed", "good")
    return View(rows, names, lambda: [Lines(tuple(line(word, "  ", Span(name, "name")) for name in names))])


def _table(rows: list[dict[str, Any]]) -> Table:
    now = looks.now()
    return Table(
        ("queue", "state", "available", "running", "workers"),
        tuple(
            (
                Span(row["name"], "name"),
                Span(f"paused {looks.ago(row.get('paused_at'), now)}".rstrip(), "paused")
                if row["paused"]
                else Span("open", "good"),
                Span(str(row["available"])),
                Span(str(row["running"])),
                Span(str(row["workers"]), "" if row["workers"] or not row["available"] else "bad"),
            )
            for row in rows
        ),
        frozenset({"available", "running", "workers"}),
        "no queue holds work or is served",
    )
