"""``--wait`` and ``--watch``: what happens between a submit and its exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tributary_daemon.cli import looks, records, values
from tributary_daemon.cli.blocks import Lines
from tributary_daemon.cli.follow import Followed, detached, follow, progress
from tributary_daemon.cli.output import View, show, unicode_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tributary_daemon.cli.blocks import Block
    from tributary_daemon.client.reader import Reader

F = TypeVar("F", bound="Callable[..., Any]")


def waiting_options(function: F) -> F:
    """Add ``--wait``, ``--watch`` and ``--timeout``."""
    for option in (
        click.option(
            "--timeout",
            type=values.duration,
            metavar="DURATION",
            help="Wait no longer than this (exit 5); the work goes on.",
        ),
        click.option("--watch", is_flag=True, help="Wait for the end and show every change on the way."),
        click.option("--wait", is_flag=True, help="Wait for the end; the exit code tells how it ended."),
    ):
        function = option(function)
    return function


def check(*, wait: bool, watch: bool, timeout: float | None) -> bool:
    """Return whether to wait for the end.

    Raises:
        click.UsageError: a timeout without a wait, as if it bounded the work itself.
    """
    if timeout is not None and not (wait or watch):
        raise click.UsageError("--timeout bounds the waiting only: add --wait or --watch")
    return wait or watch


def attend(
    client: Reader,
    receipt: dict[str, Any],
    output: str,
    *,
    verbose: bool,
    timeout: float | None,
) -> int:
    """Follow what was submitted to its end, show it, and return the exit code.

    Args:
        client: open.
        receipt: JSON of the receipt, or at least an ``id``; ``created`` goes into what is shown.
        output: format.
        verbose: show every change also where there is no terminal.
        timeout: seconds; None to wait for ever.
    """
    try:
        followed = follow(client, receipt["id"], progress(output, verbose=verbose), timeout=timeout)
    except KeyboardInterrupt:
        return detached(receipt["id"])
    show_end(followed, output, receipt)
    return followed.code


def show_end(followed: Followed, output: str, receipt: dict[str, Any]) -> None:
    """Show the last document of what was followed.

    On a terminal the live tree stands there already, so ``table`` adds only how it ended.
    """
    last = followed.document
    whole = {**last, "created": receipt["created"]} if "created" in receipt else last

    def blocks() -> Iterable[Block]:
        now, unicode = looks.now(), unicode_on(sys.stdout)
        if not sys.stdout.isatty():
            return records.status(last, now, unicode=unicode)
        ended = last["state"] in looks.ENDED
        return [Lines(tuple(records.ending(last)) if ended else ())]

    show(View(whole, [last["id"]], blocks), output)
