"""``trib watch``."""

from __future__ import annotations

import click

from tributary_daemon.cli import values
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import output_option
from tributary_daemon.cli.shared import Command
from tributary_daemon.cli.waiting import attend

_EPILOG = """\b
Ctrl-C detaches (exit 130); the work goes on. ID may be @latest, or any unique head or tail of
at least 6 characters. `-o jsonl` writes the status document whenever it changes.

\b
Examples:
  trib watch @latest
  trib watch 9f3c21ab --timeout 10m -o jsonl"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("identifier", metavar="ID")
@click.option(
    "--timeout", type=values.duration, metavar="DURATION", help="Watch no longer than this (exit 5)."
)
@output_option
def watch(identifier: str, timeout: float | None, output: str) -> int:
    """Follow a run or an intent to its end."""
    with opened() as client:
        full = client.resolve_id(identifier)
        return attend(client, {"id": full}, output, verbose=True, timeout=timeout)
