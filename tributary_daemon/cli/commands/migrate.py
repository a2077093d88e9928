"""``trib migrate …``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from tributary_daemon.cli import failures, looks
from tributary_daemon.cli.blocks import Lines, Span, Table, line
from tributary_daemon.cli.loader import Entry, LazyGroup, late
from tributary_daemon.cli.output import View, output_option, show
from tributary_daemon.cli.settings import settings
from tributary_daemon.cli.shared import Command
from tributary_daemon.client.documents import rfc3339
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.store.migrations import MigrationStatus, Migrator, Report

F = TypeVar("F", bound="Callable[..., Any]")

_ENTRIES: Final = {
    "up": Entry("commands.migrate:up", "Apply all that is pending, as one group"),
    "up-to": Entry("commands.migrate:up_to", "Apply what is pending up to and including NAME"),
    "down": Entry("commands.migrate:down", "Roll back the last group"),
    "down-to": Entry("commands.migrate:down_to", "Roll back all that is newer than NAME"),
    "status": Entry("commands.migrate:status", "List migrations and their states"),
    "version": Entry("commands.migrate:version", "Print the newest applied migration"),
    "missing": Entry("commands.migrate:missing", "List applied migrations whose file is gone"),
    "roles": Entry("commands.migrate:roles", "Create the group roles, and grant what they may do"),
    "shards": Entry("commands.migrate:shards", "Spread all rows over another number of shards"),
    "create": Entry("commands.migrate:create", "Create the empty files of a migration of your own"),
}
_STYLES: Final = {
    "applied": "good",
    "pending": "scheduled",
    "failed": "bad",
    "interrupted": "bad",
    "missing": "bad",
}


@click.command(
    cls=LazyGroup,
    entries=_ENTRIES,
    epilog="""\b
Without --dir this is about Tributary's own schema; with it about yours, in a folder and a
bookkeeping table that you name.

\b
Examples:
  trib migrate up
  trib migrate up --dry-run | psql mydb
  trib migrate create add_orders --sql --dir migrations
  trib migrate up --dir migrations --table app_migrations""",
)
def migrate() -> None:
    """Bring the database schema up or down."""


def _place(function: F) -> F:
    for option in (
        click.option(
            "--table",
            metavar="NAME",
            help="Bookkeeping table in schema tributary [default: migrations; user_migrations with --dir].",
        ),
        click.option(
            "--dir",
            "directory",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            metavar="DIR",
            help="Folder of your own migrations.",
        ),
    ):
        function = option(function)
    return function


def _dry(function: F) -> F:
    return click.option("--dry-run", is_flag=True, help="Change nothing; print SQL for psql.")(function)


@click.command(cls=Command)
@_place
@_dry
def up(*, directory: Path | None, table: str | None, dry_run: bool) -> int:
    """Apply all that is pending, as one group."""
    return _report(_migrator(directory, table, dry_run=dry_run).up())


@click.command("up-to", cls=Command)
@click.argument("name")
@_place
@_dry
def up_to(*, name: str, directory: Path | None, table: str | None, dry_run: bool) -> int:
    """Apply what is pending up to and including NAME."""
    return _report(_migrator(directory, table, dry_run=dry_run).up_to(name))


@click.command(cls=Command)
@_place
@_dry
def down(*, directory: Path | None, table: str | None, dry_run: bool) -> int:
    """Roll back the last group."""
    return _report(_migrator(directory, table, dry_run=dry_run).down())


@click.command("down-to", cls=Command)
@click.argument("name")
@_place
@_dry
def down_to(*, name: str, directory: Path | None, table: str | None, dry_run: bool) -> int:
    """Roll back all that is newer than NAME."""
    return _report(_migrator(directory, table, dry_run=dry_run).down_to(name))


@click.command(cls=Command)
@_place
@output_option
def status(*, directory: Path | None, table: str | None, output: str) -> int:
    """List migrations and their states."""
    found = _migrator(directory, table).status()
    rows = [_row(one) for one in found]
    show(View(rows, [one.name for one in found], lambda: [_table(rows)]), output)
    return failures.COMPLETED


@click.command(cls=Command)
@_place
@output_option
def version(*, directory: Path | None, table: str | None, output: str) -> int:
    """Print the newest applied migration."""
    newest = _migrator(directory, table).version()
    text = newest or "no migration is applied"
    show(View({"version": newest}, [newest] if newest else [], lambda: [Lines((line(text),))]), output)
    return failures.COMPLETED


@click.command(cls=Command)
@_place
@output_option
def missing(*, directory: Path | None, table: str | None, output: str) -> int:
    """List applied migrations whose file is gone."""
    names = list(_migrator(directory, table).missing())
    lines = tuple(line(Span(name, "bad")) for name in names) or (line("none is missing"),)
    show(View(names, names, lambda: [Lines(lines)]), output)
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  trib migrate create add_orders --dir migrations
  trib migrate create backfill_orders --python --dir migrations""",
)
@click.argument("name")
@click.option(
    "--sql", "kind", flag_value="sql", default="sql", help="An .up.sql and a .down.sql file (default)."
)
@click.option(
    "--python", "kind", flag_value="python", help="A .py file with up(connection) and down(connection)."
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Folder for the files; made if it does not exist.",
)
@output_option
def create(*, name: str, kind: str, directory: Path, output: str) -> int:
    """Create the empty files of a migration of your own."""
    made = [str(path) for path in late("readers:Migrator").create(name, kind, directory)]
    show(View(made, made, lambda: [Lines(tuple(line(path) for path in made))]), output)
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="""\b
Without names these are the roles of the last time, at first tributary_submit,
tributary_read, tributary_app, tributary_worker and tributary_admin. Later upgrades
grant anew.

\b
Examples:
  trib migrate roles
  trib migrate roles --submit shop_submit --read shop_read --app shop_app --worker shop_worker
  trib migrate roles --dry-run | psql mydb""",
)
@click.option("--submit", metavar="ROLE", help="Submits intents and registered workflows, reads nothing.")
@click.option("--read", metavar="ROLE", help="Reads everything, changes nothing.")
@click.option("--app", metavar="ROLE", help="Submits, reads, and steers its own work: an application.")
@click.option("--worker", metavar="ROLE", help="What workers log in as.")
@click.option("--admin", metavar="ROLE", help="Everything but objects and migrations.")
@_dry
def roles(*, dry_run: bool, **given: str | None) -> int:
    """Create the group roles, and grant what they may do."""
    names = {key: name for key, name in given.items() if name is not None}
    chosen = late("readers:RoleNames")(**names) if names else None
    granted = _migrator(None, None, dry_run=dry_run).roles(chosen)
    failures.say(f"{'would be ' if dry_run else ''}granted: {', '.join(granted.names)}")
    return failures.COMPLETED


@click.command(
    cls=Command,
    epilog="""\b
Workers have to be stopped, and producers should be: those that submit meanwhile wait.
A database with 10 million steps takes minutes. docs/shards.md says when to do this.

\b
Examples:
  trib migrate shards 4
  trib migrate shards 4 --dry-run | psql mydb""",
)
@click.argument("number", type=click.IntRange(1, 4096))
@_dry
def shards(*, number: int, dry_run: bool) -> int:
    """Spread all rows over another number of shards."""
    before, now = _migrator(None, None, dry_run=dry_run).reshard(number)
    failures.say(f"{'would be ' if dry_run else ''}spread over {now} shards; it was {before}")
    return failures.COMPLETED


def _migrator(directory: Path | None, table: str | None, *, dry_run: bool = False) -> Migrator:
    config = settings()
    migrator: Migrator = late("readers:Migrator")(
        late("readers:database_url")(config, say=failures.say),
        directory=directory,
        table=table or ("user_migrations" if directory else "migrations"),
        dry_run=dry_run,
        out=sys.stdout,
        progress=failures.say,
        shards=config.shards,
    )
    return migrator


def _report(report: Report) -> int:
    """Say on stderr what was done: stdout belongs to the SQL of a dry run."""
    failures.say_warnings(report.notes)
    would = "would be " if report.dry_run else ""
    word = "applied" if report.direction == "up" else "rolled back"
    for step in report.steps:
        took = "" if report.dry_run else f" in {durations.text(step.seconds)}"
        failures.say(f"{would}{word}: {step.name}{took}")
    if not report.steps:
        functions = "; the functions were applied again" if report.functions and not report.dry_run else ""
        failures.say(f"nothing to be {word}{functions}")
    return failures.COMPLETED


def _row(one: MigrationStatus) -> dict[str, Any]:
    return {
        "name": one.name,
        "state": one.state,
        "group": one.group,
        "applied_at": rfc3339(one.applied_at),
        "error": one.error,
        "changed": one.changed,
    }


def _table(rows: list[dict[str, Any]]) -> Table:
    return Table(
        ("migration", "state", "group", "at", "note"),
        tuple(
            (
                Span(row["name"], "name"),
                Span(row["state"], _STYLES[row["state"]]),
                Span(str(row["group"] or "")),
                Span(looks.clock(row["applied_at"])),
                Span(row["error"] or ("the file has changed since" if row["changed"] else ""), "bad"),
            )
            for row in rows
        ),
        frozenset({"group"}),
        "no migrations",
    )
