"""What migrations are applied to in a dry run: a script for psql."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from tributary_daemon.store.migrations import roles, shards
from tributary_daemon.store.migrations.records import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import sql

    from tributary_daemon.store import db
    from tributary_daemon.store.migrations.files import MigrationFile
    from tributary_daemon.store.migrations.functions import Functions
    from tributary_daemon.store.migrations.journal import Journal
    from tributary_daemon.store.migrations.records import Direction

_HEAD = "-- for psql; changes nothing by being printed\n\\set ON_ERROR_STOP on\n"


class ScriptTarget:
    """Prints what LiveTarget would execute.

    Args:
        connection: read from, never written to.
        journal: the bookkeeping.
        functions: as for LiveTarget.
        out: standard output by default.
    """

    def __init__(
        self, connection: db.Connection, journal: Journal, functions: Functions | None, out: TextIO | None
    ) -> None:
        self.connection = connection
        self._journal = journal
        self._functions = functions
        self._out = out or sys.stdout
        self._begun = False

    def bootstrap(self, number: int | None) -> None:
        """Print the bookkeeping tables that are missing, and the number of shards of a new schema."""
        own = self._functions is not None
        statements = self._journal.bootstrap(self.connection, meta=own, shards=number)
        if statements:
            self._transaction("-- bookkeeping", statements)

    def up(self, file: MigrationFile, group: int, version: str) -> None:
        """Print one migration."""
        entry = Entry(file.name, group, "applied", file.checksum)
        running = [self._journal.record(replace(entry, state="interrupted"))]
        self._migration(file, "up", running, [self._journal.record(entry), *self._version(version)])

    def down(self, file: MigrationFile, entry: Entry, version: str) -> None:
        """Print the rolling back of one migration."""
        self._migration(file, "down", [], [self._journal.forget(entry.name), *self._version(version)])

    def _version(self, version: str) -> list[sql.Composed]:
        if self._functions is None:
            return []
        return [self._journal.remember("version", version), self._journal.remember("functions", "")]

    def _migration(
        self,
        file: MigrationFile,
        direction: Direction,
        running: Sequence[sql.Composed],
        done: Sequence[sql.Composed],
    ) -> None:
        title = f"-- {file.name}, {direction}"
        if file.python is not None:
            reason = f"{file.name} is a Python migration: psql cannot go on, run trib migrate"
            self._print(title, f"DO $$ BEGIN RAISE EXCEPTION '{reason}'; END $$")
            return
        script = file.script(direction)
        if script.transaction:
            scope = [self._journal.scope()] if self._functions is not None else []
            self._transaction(title, [*scope, *script.batches, *done])
            return
        self._print(title, *running, *script.batches)
        self._transaction(f"-- {file.name} is done", done)

    def functions(self, *, strict: bool) -> str | None:
        """Print the functions, if it is known that they will fit."""
        if self._functions is None:
            return None
        if not strict:
            self._print("-- then the functions are applied, if they fit these migrations")
            return None
        names = roles.remembered(self._journal.facts(self.connection))
        self._transaction(
            "-- functions and views",
            [
                self._journal.scope(),
                "SET LOCAL check_function_bodies = off",
                *self._functions.texts,
                self._functions.closing,
                *([roles.grants(names)] if names is not None else []),
            ],
        )
        self._transaction(
            "-- those of other signatures, which nobody calls any more once what runs now has ended",
            [
                self._journal.scope(),
                *self._functions.drops,
                self._journal.remember("functions", self._functions.digest),
            ],
        )
        return None

    def grant(self, names: roles.RoleNames) -> None:
        """Print what creates the roles that are missing, and grants."""
        created = roles.creations(roles.missing(self.connection, names))
        if created:
            self._print("-- these need CREATEROLE, all else the owner of the schema", *created)
        self._transaction(
            "-- what the roles may do",
            [roles.grants(names), self._journal.remember(roles.META, names.to_json())],
        )

    def reshard(self, number: int) -> None:
        """Print what spreads all rows over another number of shards."""
        self._transaction(f"-- {number} shards", [shards.moves(number)])

    def drop_functions(self) -> None:
        """Print what drops the functions and views."""
        if self._functions is not None:
            self._transaction(
                "-- functions and views go first", self._functions.drop_statements(self.connection)
            )

    def has_tables(self) -> bool:
        """Return True: what a script leaves is not known before it has run."""
        return True

    def _transaction(self, title: str, statements: Sequence[str | sql.Composed]) -> None:
        self._print(title, "BEGIN", *statements, "COMMIT")

    def _print(self, title: str, *statements: str | sql.Composed) -> None:
        if not self._begun:
            self._out.write(_HEAD)
            self._begun = True
        self._out.write(f"\n{title}\n")
        for statement in statements:
            text = statement if isinstance(statement, str) else statement.as_string(self.connection)
            text = text.strip()
            # a line of its own: the text may end in a comment
            self._out.write(text if text.endswith(";") else f"{text}\n;" if "\n" in text else f"{text};")
            self._out.write("\n")
