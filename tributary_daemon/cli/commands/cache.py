"""``trib cache stats|purge``."""

from __future__ import annotations

from typing import Any, Final

import click

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Lines, Span, Table, line
from tributary_daemon.cli.loader import Entry, LazyGroup, late
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.shared import Command
from tributary_daemon.client.documents import rfc3339

_ENTRIES: Final = {
    "stats": Entry("commands.cache:stats", "Show what the step cache holds, by handler"),
    "purge": Entry("commands.cache:purge", "Remove results, so that the next steps make them anew"),
}


@click.command(cls=LazyGroup, entries=_ENTRIES)
def cache() -> None:
    """Show and purge the results that steps use again."""


@click.command(cls=Command)
@output_option
def stats(output: str) -> int:
    """Show what the step cache holds, by handler."""
    with late("caches:opened_cache")() as store:
        rows = [{**stat._asdict(), "oldest": rfc3339(stat.oldest)} for stat in store.stats()]
    show(View(rows, [row["step_name"] for row in rows], lambda: [_table(rows)]), output)
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  trib cache purge shop.prices.v1
  trib cache purge --expired
  trib cache purge --all

An attempt that is at work goes on; its result is not kept.""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--expired", is_flag=True, help="Only what is past its ttl.")
@click.option("--all", "everything", is_flag=True, help="Results of every handler.")
@output_option
def purge(names: tuple[str, ...], output: str, *, expired: bool, everything: bool) -> int:
    """Remove results, so that the next steps make them anew."""
    if everything and names:
        raise click.UsageError("name handlers, or say --all, not both")
    if not (names or expired or everything):
        raise click.UsageError("say what: names of handlers, --expired, or --all")
    with late("caches:opened_cache")() as store:
        removed = sum(store.purge(name, expired=expired) for name in names or (None,))
    told = line(Span(f"{removed:,}", "name"), f" {'entry' if removed == 1 else 'entries'} removed")
    show(View({"removed": removed}, [str(removed)], lambda: [Lines((told,))]), output)
    return failures.COMPLETED


def _table(rows: list[dict[str, Any]]) -> Table:
    now = looks.now()
    return Table(
        ("handler", "results", "expired", "being made", "size", "oldest"),
        tuple(
            (
                Span(row["step_name"], "name"),
                Span(f"{row['entries']:,}"),
                Span(f"{row['expired']:,}"),
                Span(f"{row['filling']:,}"),
                Span(looks.size(row["bytes"])),
                Span(looks.ago(row["oldest"], now)),
            )
            for row in rows
        ),
        frozenset({"results", "expired", "being made", "size"}),
        "the step cache is empty",
    )
