"""What migrations are applied to: the database itself."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import psycopg

from tributary_daemon.errors import DatabaseError, SchemaError, TributaryError
from tributary_daemon.store import db, faults
from tributary_daemon.store.migrations import roles, shards
from tributary_daemon.store.migrations.giving_way import giving_way
from tributary_daemon.store.migrations.records import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import ModuleType

    from psycopg import sql

    from tributary_daemon.store.migrations.files import MigrationFile
    from tributary_daemon.store.migrations.functions import Functions
    from tributary_daemon.store.migrations.journal import Journal
    from tributary_daemon.store.migrations.lock import Held
    from tributary_daemon.store.migrations.records import Direction

_TABLES = """SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND c.relname <> 'meta' AND c.oid <> %s::regclass LIMIT 1"""


# a batch of a loose migration that is a transaction of its own, and waits for no table that is in use
_GIVES_WAY = re.compile(r"^-- trib:gives-way$", re.MULTILINE)


class Target(Protocol):
    """The database, or the script that a dry run prints."""

    connection: db.Connection

    def bootstrap(self, number: int | None) -> None:
        """Make the bookkeeping tables; a new schema is told its number of shards."""

    def up(self, file: MigrationFile, group: int, version: str) -> None:
        """Apply one migration; ``version`` is the schema's afterwards."""

    def down(self, file: MigrationFile, entry: Entry, version: str) -> None:
        """Roll one back."""

    def functions(self, *, strict: bool) -> str | None:
        """Apply the functions; not strict: return why they do not fit instead of raising."""

    def grant(self, names: roles.RoleNames) -> None:
        """Create the roles that are missing, and grant them what they may do."""

    def reshard(self, number: int) -> None:
        """Spread all rows over another number of shards."""

    def drop_functions(self) -> None:
        """Drop the functions and views."""

    def has_tables(self) -> bool:
        """Return whether the schema holds a table besides the bookkeeping."""


class LiveTarget:
    """The database, under the migration lock.

    Args:
        url: for a second try at writing down a failure.
        connection: autocommit.
        journal: the bookkeeping.
        functions: None for a user's own migrations, which have no ``meta`` either.
        lock: verified before every change.
        patience: seconds to wait for tables that are in use.
        progress: called with a sentence about what happens.
    """

    def __init__(
        self, url: str, connection: db.Connection, journal: Journal, functions: Functions | None, lock: Held,
        *, patience: float, progress: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._url = url
        self.connection = connection
        self._journal = journal
        self._functions = functions
        self._lock = lock
        self._patience = patience
        self._progress = progress

    def bootstrap(self, number: int | None) -> None:
        """Make the bookkeeping tables; a new schema is told its number of shards."""
        own = self._functions is not None
        try:
            with self.connection.transaction():
                for statement in self._journal.bootstrap(self.connection, meta=own, shards=number):
                    self.connection.execute(statement)
        except psycopg.Error as error:
            raise faults.translate(error) from error

    def up(self, file: MigrationFile, group: int, version: str) -> None:
        """Apply one migration.

        Raises:
            SchemaError: it failed; what failed is recorded.
        """
        entry = Entry(file.name, group, "applied", file.checksum)
        running = [self._journal.record(replace(entry, state="interrupted"))]
        done = [self._journal.record(entry), *self._version(version)]
        try:
            self._run(file, "up", running, done)
        except Exception as error:
            self._note(replace(entry, state="failed", error=_one_line(error)))
            raise self._failure(file, "up", error) from error

    def down(self, file: MigrationFile, entry: Entry, version: str) -> None:
        """Roll back one migration.

        Raises:
            SchemaError: it failed; the migration counts as applied still, its error is recorded.
        """
        try:
            self._run(file, "down", [], [self._journal.forget(file.name), *self._version(version)])
        except Exception as error:
            self._note(replace(entry, error=f"rolling back failed: {_one_line(error)}"))
            raise self._failure(file, "down", error) from error

    def _version(self, version: str) -> list[sql.Composed]:
        if self._functions is None:
            return []
        # no functions hash: whatever happens next, the next up applies them again
        return [self._journal.remember("version", version), self._journal.remember("functions", "")]

    def _run(
        self,
        file: MigrationFile,
        direction: Direction,
        running: Sequence[sql.Composed],
        done: Sequence[sql.Composed],
    ) -> None:
        self._lock.verify()
        connection = self.connection
        module = load(file.python) if file.python else None
        script = file.script(direction) if module is None else None
        loose = not getattr(module, "transaction", True) if script is None else not script.transaction
        if loose:
            for statement in running:
                connection.execute(statement)
            self._execute(direction, module, script.batches if script else ())
            with connection.transaction():
                for statement in done:
                    connection.execute(statement)
            return

        def whole() -> None:
            # a role's limit on statements is meant for applications
            connection.execute("SET LOCAL statement_timeout = 0")
            if self._functions is not None:
                connection.execute(self._journal.scope())
            self._execute(direction, module, script.batches if script else ())
            for statement in done:
                connection.execute(statement)

        if self._functions is not None:
            self._patiently(whole)
            return
        # a user's own may count on being run once, and knows its tables
        with connection.transaction():
            whole()

    def _patiently(self, work: Callable[[], object]) -> None:
        giving_way(
            self.connection, work, patience=self._patience,
            waiting=lambda: self._progress("waiting for tables that are in use"),
        )  # fmt: skip

    def _execute(self, direction: Direction, module: ModuleType | None, batches: Sequence[str]) -> None:
        if module is not None:
            getattr(module, direction)(self.connection)
            return
        for batch in batches:
            if _GIVES_WAY.search(batch):
                self._patiently(partial(self.connection.execute, batch.encode()))
            else:
                self.connection.execute(batch.encode())

    def _note(self, entry: Entry) -> None:
        statement = self._journal.record(entry)
        # the caller raises the failure itself, which matters more than its record
        with contextlib.suppress(psycopg.Error, DatabaseError):
            if self.connection.closed:
                with db.connect(self._url, application_name="trib migrate") as connection:
                    connection.execute(statement)
            else:
                self.connection.execute(statement)

    def _failure(self, file: MigrationFile, direction: Direction, error: Exception) -> TributaryError:
        verb = "failed" if direction == "up" else "could not be rolled back"
        own = error.hint if isinstance(error, TributaryError) else None
        return SchemaError(
            f"migration {file.name} {verb}: {_one_line(error)}",
            hint=own
            or "those before it are done and stay; correct the file and run the command again"
            " (`trib migrate status` shows where it stands)",
        )

    def functions(self, *, strict: bool) -> str | None:
        """Apply the functions and remember their hash."""
        if self._functions is None:
            return None
        self._lock.verify()
        names = roles.remembered(self._journal.facts(self.connection))
        gone = roles.missing(self.connection, names) if names is not None else ()
        grants = [roles.grants(names)] if names is not None and not gone else []
        try:
            self._functions.apply(
                self.connection, self._patiently, grants,
                waiting=lambda: self._progress("waiting for statements that began before"),
            )  # fmt: skip
        except SchemaError as error:
            if strict:
                raise
            return f"functions not applied, they need other migrations: {error.message}"
        self.connection.execute(self._journal.remember("functions", self._functions.digest))
        return None

    def grant(self, names: roles.RoleNames) -> None:
        """Create the roles that are missing, and grant them what they may do, all in one transaction.

        Raises:
            SchemaError: this user may not create roles, or does not own the schema; nothing has changed.
        """
        self._lock.verify()
        gone = roles.missing(self.connection, names)
        try:
            # the policies of workers lock tables that are in use
            self._patiently(partial(self._grant, names, gone))
        except psycopg.errors.InsufficientPrivilege as error:
            raise _ungranted(error, gone) from error
        except psycopg.Error as error:
            raise faults.translate(error) from error

    def reshard(self, number: int) -> None:
        """Spread all rows over another number of shards, in one transaction that gives way.

        Raises:
            NotPossible: workers are at work.
            SchemaError: a table was in use all the time.
        """
        self._lock.verify()
        connection = self.connection

        def work() -> None:
            connection.execute(shards.moves(number))

        try:
            self._patiently(work)
            # who waited for these locks may record by the number before, and then keeps meta locked until it
            # ends: the second time waits for that, and moves what it has recorded
            self._patiently(work)
        except psycopg.Error as error:
            raise faults.translate(error) from error

    def _grant(self, names: roles.RoleNames, gone: Sequence[str]) -> None:
        for statement in roles.creations(tuple(gone)):
            self.connection.execute(statement)
        self.connection.execute(roles.grants(names))
        self.connection.execute(self._journal.remember(roles.META, names.to_json()))

    def drop_functions(self) -> None:
        """Drop the functions and views in one transaction."""
        if self._functions is None:
            return
        self._lock.verify()
        try:
            self._patiently(self._dropping(self._functions))
        except psycopg.Error as error:
            raise faults.translate(error) from error

    def _dropping(self, functions: Functions) -> Callable[[], None]:
        def work() -> None:
            functions.drop(self.connection)
            self.connection.execute(self._journal.remember("functions", ""))

        return work

    def has_tables(self) -> bool:
        """Return whether the schema holds a table besides the bookkeeping."""
        name = self._journal.table.as_string(self.connection)
        return self.connection.execute(_TABLES, (self._journal.schema, name)).fetchone() is not None


def _ungranted(error: psycopg.Error, gone: tuple[str, ...]) -> SchemaError:
    who = "the owner of the schema"
    if gone:
        created = "; ".join(f"CREATE ROLE {name} NOLOGIN" for name in gone)
        who = f"somebody with CREATEROLE, or have an administrator say first: {created}"
    return SchemaError(f"the roles were not granted: {error.diag.message_primary}", hint=f"run it as {who}")


def _one_line(error: Exception) -> str:
    if isinstance(error, psycopg.Error):
        translated = faults.translate(error)
        where = (
            f" (statement position {error.diag.statement_position})" if error.diag.statement_position else ""
        )
        return f"{translated.message}{where}"
    if isinstance(error, TributaryError):
        return error.message
    return f"{type(error).__name__}: {error}"


def load(path: Path) -> ModuleType:
    """Import a Python migration.

    Raises:
        SchemaError: it does not import, or lacks ``up`` or ``down``.
    """
    spec = importlib.util.spec_from_file_location(f"_tributary_migration_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise SchemaError(f"cannot load {path}", hint="a migration is a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("up", "down"):
        if not callable(getattr(module, name, None)):
            raise SchemaError(f"{path} has no function {name}(connection)", hint="define up and down")
    return module
