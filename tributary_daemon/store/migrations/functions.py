"""The protocol's functions and views: files that are applied again whenever their text changes."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from tributary_daemon.errors import SchemaError
from tributary_daemon.store.migrations import outdated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from tributary_daemon.store import db

# A changed result type, argument name, view column or kind: CREATE OR REPLACE refuses, the old one must go.
_NEEDS_DROP = frozenset({"42P13", "42P16", "42809"})
_IN_THE_WAY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

_CREATED = re.compile(
    r"^\s*create (?:or replace )?(?:function|procedure|view) (?:\w+\.)?(\w+)", re.IGNORECASE | re.MULTILINE
)

_VIEWS = """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'v' ORDER BY c.relname"""

# A function that a table leans on (default, CHECK, index, trigger, policy) is the migrations', not ours.
_FUNCTIONS = """SELECT p.proname, pg_get_function_identity_arguments(p.oid),
  CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %s
  AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
      AND (d.classid IN ('pg_attrdef'::regclass, 'pg_constraint'::regclass, 'pg_class'::regclass,
                         'pg_policy'::regclass)
           OR d.classid = 'pg_trigger'::regclass AND EXISTS (
             SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
             WHERE t.oid = d.objid AND c.relkind IN ('r', 'p'))))
  AND NOT EXISTS (
    SELECT FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY p.proname, 2"""

_CLOSING = """REVOKE ALL ON ALL ROUTINES IN SCHEMA {0} FROM PUBLIC;
DO $$ DECLARE called text; BEGIN
  FOR called IN
    SELECT DISTINCT p.oid::regprocedure::text FROM pg_proc p
    JOIN pg_depend d
      ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid AND d.classid = 'pg_policy'::regclass
    WHERE p.pronamespace = {1}::regnamespace
  LOOP
    EXECUTE 'GRANT EXECUTE ON FUNCTION ' || called || ' TO PUBLIC';
  END LOOP;
END $$"""

# Views of somebody else on ours: CASCADE must not take them.
_STRANGERS = """SELECT DISTINCT vn.nspname || '.' || v.relname
FROM pg_depend d
JOIN pg_rewrite r ON r.oid = d.objid
JOIN pg_class v ON v.oid = r.ev_class
JOIN pg_namespace vn ON vn.oid = v.relnamespace
LEFT JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid AND c.relkind = 'v'
LEFT JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
JOIN pg_namespace n ON n.oid = COALESCE(c.relnamespace, p.pronamespace)
WHERE d.classid = 'pg_rewrite'::regclass AND n.nspname = %s AND vn.nspname <> n.nspname
ORDER BY 1"""


class _NeedsDropError(SchemaError):
    """The server refuses to replace what a file creates.

    Attributes:
        names: of what the file creates.
    """

    def __init__(self, message: str, names: frozenset[str]) -> None:
        super().__init__(
            message, hint="nothing of the functions was changed; correct the file, then `trib migrate up`"
        )
        self.names = names


class Functions:
    """The files of one directory.

    Args:
        directory: holds ``*.sql``, one function or view each (``CREATE OR REPLACE``), below ``DROP FUNCTION
            IF EXISTS`` of the signatures that it had before; may be missing.
        schema: where they live.
    """

    def __init__(self, directory: Path, schema: str) -> None:
        self._schema = schema
        self._texts = {
            path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.sql"))
        }
        parts = {name: outdated.split(text) for name, text in self._texts.items()}
        self._created = {name: text for name, (text, _) in parts.items()}
        self._outdated = [signature for _, signatures in parts.values() for signature in signatures]

    @property
    def digest(self) -> str:
        """Hash of all texts."""
        whole = hashlib.sha256()
        for name, text in self._texts.items():
            whole.update(f"{name}\0{text}\0".encode())
        return whole.hexdigest()

    @property
    def texts(self) -> tuple[str, ...]:
        """What creates them, in order of application."""
        return tuple(self._created.values())

    @property
    def drops(self) -> list[str]:
        """What drops those whose place they have taken, for a transaction of its own afterwards."""
        return outdated.drops(self._outdated)

    @property
    def closing(self) -> sql.Composed:
        """What takes from everybody the right to call what was created, which PostgreSQL grants by itself.

        But what policies call is called by whoever reads, with whatever grants.
        """
        return sql.SQL(_CLOSING).format(sql.Identifier(self._schema), sql.Literal(self._schema))

    def apply(
        self,
        connection: db.Connection,
        transaction: Callable[[Callable[[], None]], None],
        grants: Sequence[sql.Composed] = (),
        *,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """Apply every file in one transaction, and drop those of another signature in a second one.

        What exists is replaced, which keeps its grants, and workers call it all the while. Only what the
        server refuses to replace is dropped first. Nobody but the owner may call what is new.
        Those of another signature stay for the statements that may be about to call them (outdated.py).

        Args:
            connection: autocommit.
            transaction: runs in a transaction what it is given.
            grants: executed at the end of the first transaction.
            waiting: called if statements that began before have to be waited for.

        Raises:
            SchemaError: a file was refused; nothing has changed.
        """
        refused: set[str] = set()
        while True:
            try:
                transaction(partial(self._create, connection, frozenset(refused), grants))
            except _NeedsDropError as error:
                if error.names <= refused:
                    raise
                refused |= error.names
            else:
                break
        old = outdated.find(connection, self._scope, self._outdated)
        if old:
            outdated.wait(connection, waiting)
            transaction(partial(self._drop_outdated, connection, old))

    def _drop_outdated(self, connection: db.Connection, signatures: Sequence[str]) -> None:
        connection.execute(self._scope)
        for statement in outdated.drops(signatures):
            connection.execute(statement.encode())

    @property
    def _scope(self) -> sql.Composed:
        return sql.SQL("SET LOCAL search_path TO {}, pg_temp").format(sql.Identifier(self._schema))

    def _create(
        self, connection: db.Connection, refused: Collection[str], grants: Sequence[sql.Composed]
    ) -> None:
        connection.execute("SET LOCAL statement_timeout = 0")
        if refused:
            self._drop(connection, refused)
        connection.execute(self._scope)
        # unchecked first, since functions call each other; checked then, since tables may not fit them
        for checked in ("off", "on"):
            connection.execute(f"SET LOCAL check_function_bodies = {checked}".encode())
            for name, text in self._created.items():
                try:
                    connection.execute(text.encode())
                except _IN_THE_WAY:
                    raise
                except psycopg.Error as error:
                    message = f"sql/functions/{name} was refused: {error}"
                    if error.sqlstate in _NEEDS_DROP:
                        raise _NeedsDropError(message, frozenset(_CREATED.findall(text))) from error
                    raise SchemaError(
                        message,
                        hint="nothing of the functions was changed; correct the file, then `trib migrate up`",
                    ) from error
        if self._created:
            connection.execute(self.closing)
        for statement in grants:
            try:
                connection.execute(statement)
            except _IN_THE_WAY:
                raise
            except psycopg.Error as error:
                raise SchemaError(
                    f"sql/roles.sql was refused: {error}",
                    hint="nothing of the functions was changed; `trib migrate roles` grants anew",
                ) from error

    def drop(self, connection: db.Connection) -> None:
        """Drop all views and functions of the schema, except functions that a table leans on.

        Raises:
            SchemaError: somebody's own view is built on them.
        """
        self._drop(connection, None)

    def _drop(self, connection: db.Connection, names: Collection[str] | None) -> None:
        strangers = [row[0] for row in connection.execute(_STRANGERS, (self._schema,))]
        if strangers:
            raise SchemaError(
                f"views outside the schema {self._schema} are built on it: {', '.join(strangers)}",
                hint="drop them first and create them again afterwards",
            )
        for statement in self.drop_statements(connection, names):
            connection.execute(statement)

    def drop_statements(
        self, connection: db.Connection, names: Collection[str] | None = None
    ) -> list[sql.Composed]:
        """Return what ``drop`` executes, of these names alone if some are given."""
        schema = self._schema
        statements = [
            sql.SQL("DROP VIEW IF EXISTS {} CASCADE").format(sql.Identifier(schema, name))
            for (name,) in connection.execute(_VIEWS, (schema,))
            if names is None or name in names
        ]
        for name, arguments, kind in connection.execute(_FUNCTIONS, (schema,)):
            if names is not None and name not in names:
                continue
            text = "DROP {kind} IF EXISTS {name}({arguments}) CASCADE"
            statements.append(
                sql.SQL(text).format(
                    kind=sql.SQL(kind), name=sql.Identifier(schema, name), arguments=sql.SQL(arguments)
                )
            )
        return statements
