"""``trib blobs sweep``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from tributary_daemon.cli import failures, looks, values
from tributary_daemon.cli.blocks import Lines, Span, line
from tributary_daemon.cli.loader import Entry, LazyGroup, late
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command

if TYPE_CHECKING:
    from tributary_daemon.cli.blocks import Block

_ENTRIES: Final = {
    "sweep": Entry("commands.blobs:sweep", "Remove objects that nothing refers to any more"),
}
_YOUNGEST: Final = 3_600.0


@click.command(cls=LazyGroup, entries=_ENTRIES)
def blobs() -> None:
    """Tidy what the hook blob keeps elsewhere."""


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  trib blobs sweep --dry-run
  trib blobs sweep --claim
  trib blobs sweep --older-than 7d

Every hook blob that is configured here is gone through, and all that the database holds. What was
written within the given time stays: it may be on its way into the database. Work that is pruned
leaves its objects behind: sweep after it. Objects belong to one database, which claims them with its
first sweep; others remove none. If something is encrypted with a key that is not here, nothing is
removed.""",
)
@click.option(
    "--older-than",
    type=values.age,
    default="1d",
    show_default=True,
    metavar="DURATION",
    help="Only what was written longer ago; an hour at least.",
)
@click.option(
    "--cache-purged",
    is_flag=True,
    help="Also where the step cache is not in PostgreSQL: you have just purged it.",
)
@click.option(
    "--claim",
    "claimed",
    is_flag=True,
    help="The objects belong to this database alone: said once, or when it was moved.",
)
@click.option("--dry-run", is_flag=True, help="Count what would go, remove nothing.")
@output_option
def sweep(*, older_than: float, cache_purged: bool, claimed: bool, dry_run: bool, output: str) -> int:
    """Remove objects that nothing refers to any more."""
    if older_than < _YOUNGEST:
        raise click.UsageError("--older-than: an hour at least, as values may be on their way")
    before = datetime.now(UTC) - timedelta(seconds=older_than)
    if claimed and dry_run:
        raise click.UsageError("--claim and --dry-run: a count needs no claim, leave it out")
    found = late("sweeping:sweep_blobs")(
        settings(), before, cache_purged=cache_purged, claimed=claimed, dry_run=dry_run
    )
    show(View(found, [], lambda: [_block(found)]), output)
    return failures.COMPLETED


def _block(found: dict[str, Any]) -> Block:
    number = found["objects"]
    verb = "would remove" if found["dry_run"] else "removed"
    told = f"{verb} {number:,} object{'' if number == 1 else 's'}, {looks.size(found['bytes'])}"
    rest = f"  {found['kept']:,} are referred to, {found['young']:,} too young"
    return Lines((line(Span(told, "good")), line(Span(rest, "faint"))))
