"""Limits over all workers, of queues and of tenants: how they are given, set and shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from tributary_daemon.cli import failures, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, show
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.client.reader import Reader


def limit_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options ``--concurrency`` and ``--rate``."""
    for option in (
        click.option(
            "--rate",
            metavar="N/s|m|h|d|none",
            type=values.rate,
            help="How many start in that span, over all workers.",
        ),
        click.option(
            "--concurrency",
            metavar="N|none",
            type=values.at_once,
            help="How many run at once, over all workers.",
        ),
    ):
        command = option(command)
    return command


def set_limits(
    names: tuple[str, ...],
    concurrency: int | Literal["none"] | None,
    rate: str | None,
    output: str,
    setting: Callable[[Reader], Callable[..., object]],
) -> int:
    """Limit what has these names, show what holds now, and return the exit code.

    Args:
        names: of queues or tenants.
        concurrency: attempts at once; None leaves it as it is.
        rate: as ``5000/h``; None leaves it as it is.
        output: how to show it.
        setting: which method of the client does it.

    Raises:
        UsageError: there is nothing to set.
    """
    if concurrency is None and rate is None:
        raise click.UsageError("nothing to set: give --concurrency, --rate or both")
    with opened() as client:
        rows = [document(setting(client)(name, concurrency=concurrency, rate=rate)) for name in names]
    lines = tuple(
        line(Span(row["name"] or "(none)", "name"), "  ", Span(limits_text(row) or "no limit"))
        for row in rows
    )
    show(View(rows, names, lambda: [Lines(lines)]), output)
    return failures.COMPLETED


def limits_text(row: dict[str, Any]) -> str:
    """Return the limits in a document, with their use where that is known; empty for none."""
    parts = []
    if row["concurrency"] is not None:
        used = f"{row['running']}/" if "running" in row else "at most "
        parts.append(f"{used}{row['concurrency']} at once")
    if row["rate"] is not None:
        parts.append(row["rate"])
    return ", ".join(parts)


def opens(row: dict[str, Any]) -> Span:
    """Return whether the limits in a document let more start now."""
    if row["opens_in"] is None:
        return Span("full", "warning")
    if row["opens_in"] > 0:
        return Span(f"next in {durations.text(row['opens_in'])}", "warning")
    return Span("open", "good")
