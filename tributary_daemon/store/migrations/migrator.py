"""The programmatic ``trib migrate``."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

import psycopg

from tributary_daemon.errors import InvalidInput, SchemaError
from tributary_daemon.store import db, faults
from tributary_daemon.store.migrations import check, files, shards
from tributary_daemon.store.migrations.apply import LiveTarget, Target
from tributary_daemon.store.migrations.dry_run import ScriptTarget
from tributary_daemon.store.migrations.functions import Functions
from tributary_daemon.store.migrations.journal import Journal
from tributary_daemon.store.migrations.lock import migration_lock
from tributary_daemon.store.migrations.records import Entry, MigrationStatus, Report, Step
from tributary_daemon.store.migrations.roles import RoleNames, check_owner, remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tributary_daemon.store.migrations.files import Kind, MigrationFile

LOCK = f"{check.SCHEMA}.migrations"
"""The name of the lock under which Tributary's own migrations are applied."""


def _silent(_: str) -> None:
    """Ignore progress."""


class Migrator:
    """Applies and rolls back migrations, one process at a time.

    Args:
        url: libpq URL; may lead through a pooler in transaction mode.
        directory: the migrations; None for Tributary's own.
        schema: where the bookkeeping lives.
        table: the bookkeeping's name; give your own migrations one of their own.
        functions: directory of functions and views that are re-applied when their text changes; None
            for Tributary's own when ``directory`` is None too, else for none.
        dry_run: change nothing, print SQL for psql instead.
        out: where a dry run prints; standard output by default.
        lock_timeout: seconds to wait for another migration to end, and for tables that are in use.
        progress: called with a sentence about what happens.
        shards: into how many a schema is split that is created now; nothing to one that is there.
    """

    def __init__(
        self,
        url: str,
        *,
        directory: Path | None = None,
        schema: str = check.SCHEMA,
        table: str = "migrations",
        functions: Path | None = None,
        dry_run: bool = False,
        out: TextIO | None = None,
        lock_timeout: float = 900,
        progress: Callable[[str], None] = _silent,
        shards: int = 1,
    ) -> None:
        if directory is None:
            functions = functions or db.sql_dir() / "functions"
        elif functions is None and (schema, table) == (check.SCHEMA, "migrations"):
            raise InvalidInput(
                "the table tributary.migrations is Tributary's own",
                hint="keep your migrations in a table of their own, e.g. --table app_migrations",
            )
        self._url = url
        self._directory = directory or db.sql_dir() / "migrations"
        self._journal = Journal(schema, table)
        self._functions = Functions(functions, schema) if functions else None
        self._dry_run = dry_run
        self._out = out
        self._lock_timeout = lock_timeout
        self._progress = progress
        self._shards = shards

    def up(self) -> Report:
        """Apply everything pending as one group, then the functions if anything of them changed.

        Raises:
            SchemaError: a migration failed (those before it stay applied), a file is wrong, or the
                schema belongs to a newer release.
        """
        return self._up(None)

    def up_to(self, name: str) -> Report:
        """Apply what is pending up to and including ``name`` (full, its digits, or its words)."""
        return self._up(name)

    def down(self) -> Report:
        """Roll back the last group, newest migration first.

        Raises:
            SchemaError: a file or its down part is missing (nothing is changed then), or it failed.
        """
        return self._down(None)

    def down_to(self, name: str) -> Report:
        """Roll back everything newer than ``name``, which stays applied."""
        return self._down(name)

    def roles(self, names: RoleNames | None = None) -> RoleNames:
        """Create the group roles that are missing, and grant them what `sql/roles.sql` says.

        Every later `up` grants anew, so that new functions and tables have their rights.

        Args:
            names: of the roles; those of the last time, else the usual ones, if omitted.

        Raises:
            InvalidInput: these are not Tributary's own migrations, or the owner is one of the roles.
            SchemaError: the schema is not that of this release, or a right is lacking.
        """
        with self._target() as target:
            facts = self._current(target, "roles")
            chosen = names or _with_app(remembered(facts)) or RoleNames()
            check_owner(target.connection, chosen, self._journal.schema)
            target.grant(chosen)
        return chosen

    def reshard(self, number: int) -> tuple[int, int]:
        """Spread all rows over another number of shards; return the number before, and the one now.

        Raises:
            InvalidInput: there cannot be so many, or these are not Tributary's own migrations.
            NotPossible: workers are at work.
            SchemaError: the schema is not that of this release, or a table was in use all the time.
        """
        shards.check_number(number)
        with self._target() as target:
            before = shards.remembered(self._current(target, "shards"))
            target.reshard(number)
        return before, number

    def _current(self, target: Target, what: str) -> dict[str, str]:
        """Return the rows of ``meta`` of a schema that is exactly that of this release."""
        if self._functions is None:
            raise InvalidInput(f"{what} belong to Tributary's own schema", hint="leave out --dir")
        facts = self._journal.facts(target.connection)
        status = check.judge(facts)
        if status.verdict != "ok" or not status.functions_current:
            raise SchemaError(
                f"the schema is not that of this release, so its {what} are left alone",
                hint="run `trib migrate up` first",
            )
        return facts

    def status(self) -> tuple[MigrationStatus, ...]:
        """Return every migration known to the directory or the database, oldest first."""
        known = {file.name: file for file in files.find(self._directory)}
        with self._connect() as connection:
            entries = self._journal.read(connection)
        return tuple(_status(name, known.get(name), entries.get(name)) for name in sorted({*known, *entries}))

    def version(self) -> str | None:
        """Return the newest applied migration, None before the first."""
        with self._connect() as connection:
            return _newest(self._journal.read(connection))

    def missing(self) -> tuple[str, ...]:
        """Return the applied migrations whose file is gone."""
        return tuple(line.name for line in self.status() if line.state == "missing")

    @staticmethod
    def create(name: str, kind: Kind, directory: Path) -> tuple[Path, ...]:
        """Write the empty files of a new migration and return them; ``kind`` is ``sql`` or ``python``."""
        return files.create(name, kind, directory)

    @contextmanager
    def _connect(self) -> Iterator[db.Connection]:
        with db.connect(self._url, application_name="trib migrate") as connection:
            try:
                yield connection
            except psycopg.Error as error:
                # such as a user who may not even read the bookkeeping
                raise faults.translate(error) from error

    @contextmanager
    def _target(self) -> Iterator[Target]:
        """Yield what migrations are applied to: under the lock, or the printer of a dry run."""
        if self._dry_run:
            with self._connect() as connection:
                yield ScriptTarget(connection, self._journal, self._functions, self._out)
            return
        with (
            migration_lock(
                self._url,
                self._journal.name,
                timeout=self._lock_timeout,
                waiting=lambda: self._progress("waiting for another migration to end"),
            ) as lock,
            self._connect() as connection,
        ):
            yield LiveTarget(
                self._url, connection, self._journal, self._functions, lock,
                patience=self._lock_timeout, progress=self._progress,
            )  # fmt: skip

    def _entries(self, target: Target) -> dict[str, Entry]:
        if self._functions is not None:
            status = check.judge(self._journal.facts(target.connection))
            if status.verdict == "too_new":
                raise check.too_new(status)
        return self._journal.read(target.connection)

    def _up(self, name: str | None) -> Report:
        known = files.find(self._directory)
        last = files.resolve(name, (file.name for file in known)) if name else None
        with self._target() as target:
            entries = self._entries(target)
            applied = {entry.name for entry in entries.values() if entry.state == "applied"}
            pending = [file for file in known if file.name not in applied]
            chosen = [file for file in pending if last is None or file.name <= last]
            group = max((entry.group for entry in entries.values()), default=0) + 1
            target.bootstrap(None if applied else self._shards)
            steps = []
            for file in chosen:
                self._progress(f"applying {file.name}")
                applied.add(file.name)
                start = time.monotonic()
                target.up(file, group, max(applied))
                steps.append(Step(file.name, time.monotonic() - start))
            newer = sorted(applied - {file.name for file in known})
            functions, notes = self._refresh(
                target, newer, strict=len(chosen) == len(pending), stale=bool(steps)
            )
        return Report(
            direction="up",
            steps=tuple(steps),
            group=group if steps else None,
            functions=functions,
            dry_run=self._dry_run,
            notes=notes,
        )

    def _refresh(
        self, target: Target, newer: Sequence[str], *, strict: bool, stale: bool
    ) -> tuple[bool, tuple[str, ...]]:
        if self._functions is None:
            return False, ()
        if newer:
            # an older release must not put its functions over those of a newer one
            return False, (f"functions left alone: {newer[-1]} is not of this release",)
        if not stale and self._journal.facts(target.connection).get("functions") == self._functions.digest:
            return False, ()
        note = target.functions(strict=strict)
        return note is None, (note,) if note else ()

    def _down(self, name: str | None) -> Report:
        known = {file.name: file for file in files.find(self._directory)}
        with self._target() as target:
            entries = self._entries(target)
            applied = {key: entry for key, entry in entries.items() if entry.state == "applied"}
            chosen = _to_roll_back(applied, known, name)
            if not chosen:
                return Report(direction="down", dry_run=self._dry_run)
            target.drop_functions()
            steps = []
            try:
                for file in chosen:
                    self._progress(f"rolling back {file.name}")
                    entry = applied.pop(file.name)
                    start = time.monotonic()
                    target.down(file, entry, max(applied, default=""))
                    steps.append(Step(file.name, time.monotonic() - start))
            finally:
                functions, note = False, None
                if self._functions is not None and target.has_tables():
                    note = target.functions(strict=False)
                    functions = note is None
        return Report(
            direction="down",
            steps=tuple(steps),
            group=entries[chosen[-1].name].group,
            functions=functions,
            dry_run=self._dry_run,
            notes=(note,) if note else (),
        )


def _with_app(names: RoleNames | None) -> RoleNames | None:
    """Return roles of a release that had none for applications, with one, unless their names are their own.

    Roles belong to the server: the usual name may be in use by another database.
    """
    usual = RoleNames()
    return usual if names is not None and names == replace(usual, app=None) else names


def _to_roll_back(
    applied: dict[str, Entry], known: dict[str, MigrationFile], name: str | None
) -> list[MigrationFile]:
    """Return what a down undoes, newest first, having made sure that all of it can be undone."""
    if name is None:
        group = max((entry.group for entry in applied.values()), default=0)
        names = [key for key, entry in applied.items() if entry.group == group]
    else:
        last = files.resolve(name, applied)
        names = [key for key in applied if key > last]
    names.sort(reverse=True)
    lost = [key for key in names if key not in known]
    if lost:
        raise SchemaError(
            f"cannot roll back {', '.join(lost)}: applied, but the files are gone; nothing was changed",
            hint="restore the files, or run the release that has them",
        )
    chosen = [known[key] for key in names]
    for file in chosen:
        if file.python is None:
            file.script("down")
    return chosen


def _newest(entries: dict[str, Entry]) -> str | None:
    return max((entry.name for entry in entries.values() if entry.state == "applied"), default=None)


def _status(name: str, file: MigrationFile | None, entry: Entry | None) -> MigrationStatus:
    if entry is None:
        return MigrationStatus(name, "pending")
    return MigrationStatus(
        name=name,
        state="missing" if file is None and entry.state == "applied" else entry.state,
        group=entry.group,
        applied_at=entry.at,
        error=entry.error,
        changed=file is not None and entry.state == "applied" and file.checksum != entry.checksum,
    )
