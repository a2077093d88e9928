"""``trib queue list|pause|resume|set``."""

from __future__ import annotations

from typing import Any, Final, Literal

import click

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Lines, Span, Table, line
from tributary_daemon.cli.limits import limit_options, limits_text, opens, set_limits
from tributary_daemon.cli.loader import Entry, LazyGroup
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.model import durations

_COUNTED: Final = 10_000
_STALE: Final = 30.0
_ENTRIES: Final = {
    "list": Entry(
        "commands.queue:list_", "List queues: what is ready and runs, limits, and the age of the oldest"
    ),
    "pause": Entry("commands.queue:pause", "Claim nothing more from queues; what runs goes on"),
    "resume": Entry("commands.queue:resume", "Claim from paused queues again"),
    "set": Entry("commands.queue:set_", "Limit queues over all workers"),
}


@click.command(cls=LazyGroup, entries=_ENTRIES)
def queue() -> None:
    """List, pause, resume and limit queues."""


@click.command("list", cls=Command)
@output_option
def list_(output: str) -> int:
    """List queues: what is ready and runs, limits, and the age of the oldest."""
    with opened() as client:
        rows = document(client.queues())
    show(
        View(
            rows,
            [row["name"] for row in rows],
            lambda: [_table(rows), _note(rows)] if rows else [_table(rows)],
        ),
        output,
    )
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


@click.command(
    "set",
    cls=Command,
    epilog="""\b
Examples:
  trib queue set heavy --concurrency 4
  trib queue set mail --rate 5000/h
  trib queue set heavy mail --concurrency none --rate none

What is not given stays as it is. What runs counts, also what began before.""",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@limit_options
@output_option
def set_(
    names: tuple[str, ...], concurrency: int | Literal["none"] | None, rate: str | None, output: str
) -> int:
    """Limit queues over all workers."""
    return set_limits(names, concurrency, rate, output, lambda client: client.set_queue)


def _changed(names: tuple[str, ...], *, paused: bool) -> View:
    rows = [{"name": name, "paused": paused} for name in names]
    word = Span("paused", "paused") if paused else Span("resumed", "good")
    return View(rows, names, lambda: [Lines(tuple(line(word, "  ", Span(name, "name")) for name in names))])


def _table(rows: list[dict[str, Any]]) -> Table:
    now = looks.now()
    return Table(
        ("queue", "state", "available", "running", "scheduled", "oldest", "limit", "workers"),
        tuple(
            (
                Span(row["name"], "name"),
                _state(row, now),
                Span(_available(row)),
                Span(str(row["running"])),
                Span(_sampled(row, "scheduled")),
                _oldest(row),
                Span(limits_text(row)),
                Span(str(row["workers"]), "" if row["workers"] or not row["available"] else "bad"),
            )
            for row in rows
        ),
        frozenset({"available", "running", "scheduled", "oldest", "workers"}),
        "no queue holds work or is served",
    )


def _state(row: dict[str, Any], now: Any) -> Span:
    if row["paused"]:
        return Span(f"paused {looks.ago(row.get('paused_at'), now)}".rstrip(), "paused")
    return opens(row)


def _available(row: dict[str, Any]) -> str:
    """Return what is ready now, or where that is not counted to its end, what the last sample says."""
    sample = row["sample"]
    if row["available"] < _COUNTED or sample is None:
        return f"{row['available']:,}" + ("+" if row["available"] >= _COUNTED else "")
    return f"{max(sample['ready'], row['available']):,}" + ("+" if "ready" in sample["more"] else "")


def _sampled(row: dict[str, Any], what: str) -> str:
    sample = row["sample"]
    if sample is None:
        return ""
    return f"{sample[what]:,}" + ("+" if what in sample["more"] else "")


def _oldest(row: dict[str, Any]) -> Span:
    """Return how long the oldest ready row had been ready at the sample."""
    sample = row["sample"]
    return Span(
        "" if sample is None or sample["oldest_age"] is None else durations.text(sample["oldest_age"])
    )


def _note(rows: list[dict[str, Any]]) -> Lines:
    """Say how old the samples are: what is scheduled and the oldest ready row are as they were then."""
    ages = [row["sample"]["age"] for row in rows if row["sample"] is not None]
    if not ages:
        return Lines(
            (line(Span("no worker has sampled the queues yet: depth and age are missing", "faint")),)
        )
    age = max(ages)
    text = f"scheduled and oldest as of {durations.text(age)} ago"
    if age > _STALE:
        return Lines((line(Span(f"{text}: no worker samples the queues", "warning")),))
    return Lines((line(Span(text, "faint")),))
