"""``trib logs``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from tributary_daemon.cli import failures, values
from tributary_daemon.cli.follow import detached, exit_code
from tributary_daemon.cli.log_lines import LogLines, colors_on
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import dump
from tributary_daemon.cli.shared import Command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.client.log_records import LogRecord

_STREAMS: Final = ("stdout", "stderr", "log")
_EPILOG: Final = """\b
What is said: output of shell steps, and lines of `step.log`.
Lines stand in the order in which they were said; each names its step, and its attempt from the
second on. What exceeds the limit of an attempt (max_log) is dropped from its middle.
--follow ends with the work and exits like `trib watch`; Ctrl-C detaches (exit 130).

\b
Examples:
  trib logs @latest
  trib logs 9f3c21ab build --follow
  trib logs @latest 'fetch[page-7]' --attempt 2
  trib logs @latest --stream stderr --tail 50
  trib logs @latest -o jsonl | jq -r 'select(.level == "error") | .text'"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("identifier", metavar="ID")
@click.argument("step", metavar="[STEP]", required=False)
@click.option("--attempt", type=click.IntRange(1, 32_767), metavar="N", help="Only this attempt.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the work has ended.")
@click.option("--tail", type=click.IntRange(0), metavar="N", help="Begin with the last N lines.")
@click.option(
    "--since",
    type=values.duration,
    metavar="DURATION",
    help="Begin with what was written within this time, e.g. 5m.",
)
@click.option(
    "--stream", "streams", multiple=True, type=click.Choice(_STREAMS), help="Only this stream; repeatable."
)
@click.option("-t", "--timestamps", is_flag=True, help="Put the time in front of each line (text only).")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "jsonl"]),
    default="text",
    show_default=True,
    help="How to show it: for people, or for programs.",
)
def logs(
    *,
    identifier: str,
    step: str | None,
    attempt: int | None,
    follow: bool,
    tail: int | None,
    since: float | None,
    streams: tuple[str, ...],
    timestamps: bool,
    output: str,
) -> int:
    """Show what a run or an intent said, and follow it."""
    if follow and output == "json":
        raise click.UsageError("one JSON document has an end, what is followed has none: use -o jsonl")
    with opened() as client:
        full = client.resolve_id(identifier)
        lines = client.logs(
            full, step, follow=follow, attempt=attempt, tail=tail, since=since, streams=streams
        )
        named = step is None or step.endswith("]")
        try:
            _write(lines, output, LogLines(colored=colors_on(sys.stdout), named=named, timed=timestamps))
        except KeyboardInterrupt:
            return detached(full) if follow else failures.INTERRUPTED
        return exit_code(client.get(full).state) if follow else failures.COMPLETED


def _write(lines: Iterable[LogRecord], output: str, shape: LogLines) -> None:
    if output == "json":
        sys.stdout.write(dump([record.to_json() for record in lines], indent=2) + "\n")
        return
    for record in lines:
        sys.stdout.write((dump(record.to_json()) if output == "jsonl" else shape.line(record)) + "\n")
        sys.stdout.flush()
