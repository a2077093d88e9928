"""``trib list``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, looks, values
from tributary_daemon.cli.blocks import Span, Table
from tributary_daemon.cli.opening import opened
from tributary_daemon.cli.output import View, document, output_option, show, unicode_on
from tributary_daemon.cli.shared import Command
from tributary_daemon.model.states import RunState, StepState

if TYPE_CHECKING:
    from datetime import datetime

    from tributary_daemon.client.documents import Summary

_PATIENCE: Final = 1.0  # seconds
_STATES = list(dict.fromkeys([*map(str, RunState), *map(str, StepState)]))
_EPILOG = """\b
Tables show the last 8 characters of ids; every command takes these.

\b
Examples:
  trib list --state failed --since 24h
  trib list --kind intent --name content.thumbnail.v1 -o jsonl
  trib list -l env=prod --limit 200 -o name
  trib list --correlation req-7f3a"""


@click.command("list", cls=Command, epilog=_EPILOG)
@click.option("--state", type=click.Choice(_STATES), metavar="STATE", help=f"One of: {', '.join(_STATES)}.")
@click.option("--kind", type=click.Choice(["run", "intent"]), help="Only runs, or only intents.")
@click.option("--name", metavar="NAME", help="Name of the workflow or intent.")
@click.option(
    "-l",
    "--label",
    "labels",
    multiple=True,
    type=values.pair,
    metavar="K=V",
    help="Has this label; repeatable.",
)
@click.option("--correlation", metavar="ID", help="Carries this correlation id.")
@click.option("--business", metavar="ID", help="Carries this business id.")
@click.option("--trace", metavar="TRACE_ID", help="Belongs to this trace.")
@click.option(
    "--since",
    type=values.since,
    metavar="DURATION|TIME",
    help="Created within this time, or after that moment.",
)
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Rows of one page."
)
@click.option("--after", metavar="CURSOR", help="Continue behind the page that gave this cursor.")
@output_option
def list_(
    *,
    state: str | None,
    kind: str | None,
    name: str | None,
    labels: tuple[tuple[str, str], ...],
    correlation: str | None,
    business: str | None,
    trace: str | None,
    since: datetime | None,
    limit: int,
    after: str | None,
    output: str,
) -> int:
    """List runs and intents, newest first."""
    found: list[Summary] = []
    until = time.monotonic() + _PATIENCE
    with opened() as client:
        while True:
            page = client.list(
                state=state,
                kind=kind,
                name=name,
                labels=values.mapping(labels, "-l") or None,
                since=since,
                limit=limit - len(found),
                after=after,
                correlation_id=correlation,
                business_id=business,
                trace_id=trace,
            )
            found += page.items
            after = page.after
            # a page ends early where hardly anything fits: a person would only ask for the next one
            if after is None or len(found) >= limit or time.monotonic() > until:
                break
    rows, more = document(found), after is not None
    show(View(rows, [row["id"] for row in rows], lambda: [table(rows, more=more)]), output)
    if more and len(rows) < limit:
        failures.say(f"only part of the history was looked at; older ones: --after {after}")
    elif more:
        failures.say(f"there may be more: --after {after}")
    return failures.COMPLETED


def table(rows: list[dict[str, Any]], *, more: bool) -> Table:
    """Return a table of runs and intents; ``more``: older ones may fit."""
    now, unicode = looks.now(), unicode_on(sys.stdout)
    # a column only where somebody has one
    tenants = any(row.get("tenant") for row in rows)
    return Table(
        (
            *("id", "kind", "name", "state", "progress", "created", "took"),
            *(("tenant",) if tenants else ()),
            "labels",
        ),
        tuple(
            (
                Span(row["id"][-8:], "id"),
                Span(row["kind"]),
                Span(row["name"], "name"),
                Span(f"{looks.glyph(row['state'], unicode=unicode)} {row['state']}", row["state"]),
                Span(_progress(row)),
                Span(looks.ago(row["created_at"], now)),
                Span(looks.took(row.get("started_at"), row.get("finished_at"), now)),
                *((Span(row.get("tenant") or ""),) if tenants else ()),
                Span(
                    ", ".join(f"{key}={value}" for key, value in (row.get("labels") or {}).items()), "faint"
                ),
            )
            for row in rows
        ),
        frozenset({"took"}),
        "none of those looked at fits" if more else "no runs or intents fit; `trib submit` makes some",
    )


def _progress(row: dict[str, Any]) -> str:
    if row["kind"] == "run":
        return f"{row['steps_ended']}/{row['steps_total']} steps" if row.get("steps_total") else ""
    return f"attempt {row['attempt']}/{row['max_attempts']}" if row.get("attempt") else ""
