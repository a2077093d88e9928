"""``trib events``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Span, Table
from tributary_daemon.cli.loader import late
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, dump, output_option, show
from tributary_daemon.cli.shared import Command

if TYPE_CHECKING:
    from tributary_daemon.client.reader import Reader

_POLL_SECONDS: Final = 0.5
_STYLES: Final = {
    "completed": "completed",
    "failed": "failed",
    "discarded": "discarded",
    "cancelled": "cancelled",
    "started": "running",
    "skipped": "skipped",
}


@click.command(
    cls=Command,
    epilog="""\b
What went well is derived from timestamps, what is unusual was recorded when it happened.

\b
Examples:
  trib events @latest
  trib events --follow -o jsonl""",
)
@click.argument("identifier", metavar="[ID]", required=False)
@click.option(
    "-f", "--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C (exit 130)."
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=200, show_default=True, help="The newest so many."
)
@output_option
def events(*, identifier: str | None, follow: bool, limit: int, output: str) -> int:
    """Show what happened, to one run or to all."""
    with opened() as client:
        full = client.resolve_id(identifier) if identifier else None
        page = client.events(full, limit=limit)
        if full and not page.items:
            # whatever exists was created: this tells that it does not
            client.get(full)
        rows = document(list(page.items))
        if not follow:
            show(View(rows, [_name(row) for row in rows], lambda: [table(rows)]), output)
            return failures.COMPLETED
        _write(rows, output)
        return _follow(client, full, page.after, output)


def _follow(client: Reader, identifier: str | None, after: str | None, output: str) -> int:
    try:
        while True:
            page = client.events(identifier, after=after)
            _write(document(list(page.items)), output)
            after = page.after or after
            if not page.items:
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        return failures.INTERRUPTED


def _write(rows: list[dict[str, Any]], output: str) -> None:
    for row in rows:
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
