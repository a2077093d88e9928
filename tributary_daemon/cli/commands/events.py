"""``trib events``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, looks, values
from tributary_daemon.cli.blocks import Span, Table
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, dump, output_option, show
from tributary_daemon.cli.shared import Command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tributary_daemon.client.records import EventDocument

_STYLES: Final = {
    "completed": "completed",
    "failed": "failed",
    "discarded": "discarded",
    "cancelled": "cancelled",
    "started": "running",
    "skipped": "skipped",
}


_EPILOG: Final = """\b
What went well is derived from timestamps, what is unusual was recorded when it happened.
--follow goes on as things happen, each event once: until the work has ended (exit 0), without
an ID until Ctrl-C (exit 130). A restart of the database is waited out.

\b
Examples:
  trib events @latest
  trib events --since 1h --type run_failed --type 'step_d*'
  trib events --follow -o jsonl | jq -r 'select(.type == "run_failed") | .id'"""


@click.command(cls=Command, epilog=_EPILOG)
@click.argument("identifier", metavar="[ID]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on.")
@click.option(
    "--since",
    type=values.since,
    metavar="DURATION|TIME",
    help="Only what happened within this time, or after that moment.",
)
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="Only this type, such as run_failed or 'step_*'; repeatable.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    help="The newest so many; with --follow where it begins, unless --since or --after says.",
)
@click.option("--after", metavar="CURSOR", help="Continue behind the page that gave this cursor.")
@output_option
def events(
    *,
    identifier: str | None,
    follow: bool,
    since: datetime | None,
    types: tuple[str, ...],
    limit: int,
    after: str | None,
    output: str,
) -> int:
    """Show what happened, to one run or to all."""
    if follow and output == "json":
        raise click.UsageError("one JSON document has an end, what is followed has none: use -o jsonl")
    with opened() as client:
        full = client.resolve_id(identifier) if identifier else None
        if follow:
            coming = client.follow_events(full, types=types, since=since, after=after, last=limit)
            return _follow(coming, output)
        page = client.events(full, after=after, limit=limit, types=types, since=since)
        rows = document(list(page.items))
        show(View(rows, [_name(row) for row in rows], lambda: [table(rows)]), output)
        if after is not None and len(rows) == limit:
            failures.say(f"there may be more behind these: --after {page.after}")
        return failures.COMPLETED


def _follow(coming: Iterator[EventDocument], output: str) -> int:
    try:
        for event in coming:
            _write(document(event), output)
    except KeyboardInterrupt:
        return failures.INTERRUPTED
    return failures.COMPLETED


def _write(row: dict[str, Any], output: str) -> None:
    match output:
        case "table":
            sys.stdout.write(looks.visible(_sentence(row)) + "\n")
        case "yaml":
            sys.stdout.write(late("as_yaml:dump")([row]))
        case "name":
            sys.stdout.write(_name(row) + "\n")
        case _:
            sys.stdout.write(dump(row) + "\n")
    sys.stdout.flush()


def table(rows: list[dict[str, Any]]) -> Table:
    """Return a table of events, oldest first."""
    return Table(
        ("time", "id", "step", "event", "attempt", "data"),
        tuple(
            (
                Span(row["at"][:23].replace("T", " ") + "Z", "faint"),
                Span((row.get("id") or "")[-8:], "id"),
                Span(row.get("step") or ""),
                Span(row["type"], _STYLES.get(row["type"].rpartition("_")[2], "")),
                Span(str(row["attempt"]) if row.get("attempt") else ""),
                Span(looks.compact(row["data"], 160) if row.get("data") else "", "faint"),
            )
            for row in rows
        ),
        frozenset({"attempt"}),
        "no events",
    )


def _sentence(row: dict[str, Any]) -> str:
    parts = [row["at"][11:23] + "Z", (row.get("id") or "")[-8:], row.get("step") or "", row["type"]]
    if row.get("attempt"):
        parts.append(f"attempt {row['attempt']}")
    if row.get("data"):
        parts.append(looks.compact(row["data"], 160))
    return "  ".join(part for part in parts if part)


def _name(row: dict[str, Any]) -> str:
    return f"{row.get('id') or ''} {row['type']}".strip()
