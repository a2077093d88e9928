"""The bookkeeping: which migrations were applied, which failed, and what the schema says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from tributary_daemon.store.migrations.records import Entry

if TYPE_CHECKING:
    from tributary_daemon.store import db

_TABLE = """CREATE TABLE IF NOT EXISTS {table} (
  name text PRIMARY KEY,
  group_id integer NOT NULL,
  state text NOT NULL CHECK (state IN ('applied', 'failed', 'interrupted')),
  checksum text NOT NULL,
  error text,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
)"""
_META = "CREATE TABLE IF NOT EXISTS {meta} (key text PRIMARY KEY, value text NOT NULL)"
_RECORD = """INSERT INTO {table} (name, group_id, state, checksum, error)
VALUES ({name}, {group}, {state}, {checksum}, {error})
ON CONFLICT (name) DO UPDATE SET group_id = excluded.group_id, state = excluded.state,
  checksum = excluded.checksum, error = excluded.error, at = excluded.at"""
_FORGET = "DELETE FROM {table} WHERE name = {name}"
_REMEMBER = (
    "INSERT INTO {meta} VALUES ({key}, {value}) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


class Journal:
    """Statements on the bookkeeping tables; each is also what a dry run prints.

    Args:
        schema: where the tables live.
        table: the one for migrations; ``meta`` is beside it.
    """

    def __init__(self, schema: str, table: str) -> None:
        self.schema = schema
        self.name = f"{schema}.{table}"
        self.table = sql.Identifier(schema, table)
        self.meta = sql.Identifier(schema, "meta")

    def bootstrap(
        self, connection: db.Connection, *, meta: bool, shards: int | None = None
    ) -> list[sql.Composed]:
        """Return the statements that make what is missing of the bookkeeping.

        Args:
            connection: used for reading only.
            meta: whether the table ``meta`` belongs to it.
            shards: into how many a schema is split that is created now; None: it is there already.
        """
        statements = []
        # the server checks the right to create a schema even where IF NOT EXISTS finds it
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (self.schema,)).fetchone()
        if found is None:
            statements.append(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(self.schema)))
        if not self._has(connection, self.table):
            statements.append(sql.SQL(_TABLE).format(table=self.table))
        found_meta = self._has(connection, self.meta)
        if meta and not found_meta:
            statements.append(sql.SQL(_META).format(meta=self.meta))
        # what nothing is said of has one; what was rolled back to nothing may have been told another number
        if meta and shards is not None and (found_meta or shards != 1):
            statements.append(self.remember("shards", str(shards)))
        return statements

    @staticmethod
    def _has(connection: db.Connection, table: sql.Identifier) -> bool:
        row = connection.execute("SELECT to_regclass(%s)", (table.as_string(connection),)).fetchone()
        return row is not None and row[0] is not None

    def read(self, connection: db.Connection) -> dict[str, Entry]:
        """Return every entry by name, oldest migration first; empty without bookkeeping."""
        if not self._has(connection, self.table):
            return {}
        text = "SELECT name, group_id, state, checksum, error, at FROM {} ORDER BY name"
        return {row[0]: Entry(*row) for row in connection.execute(sql.SQL(text).format(self.table))}

    def facts(self, connection: db.Connection) -> dict[str, str]:
        """Return the rows of ``meta``; empty without bookkeeping."""
        if not self._has(connection, self.meta):
            return {}
        return dict(connection.execute(sql.SQL("SELECT key, value FROM {}").format(self.meta)).fetchall())

    def scope(self) -> sql.Composed:
        """Statement that lets this transaction name the schema's objects without the schema.

        Behind a pooler nothing longer than a transaction may be set, so migrations outside of one
        name the schema themselves.
        """
        return sql.SQL("SET LOCAL search_path TO {}, pg_temp").format(sql.Identifier(self.schema))

    def record(self, entry: Entry) -> sql.Composed:
        """Statement that notes ``entry``, replacing what was known under its name."""
        return sql.SQL(_RECORD).format(
            table=self.table,
            name=entry.name,
            group=entry.group,
            state=entry.state,
            checksum=entry.checksum,
            error=entry.error,
        )

    def forget(self, name: str) -> sql.Composed:
        """Statement that removes the entry of a migration rolled back."""
        return sql.SQL(_FORGET).format(table=self.table, name=name)

    def remember(self, key: str, value: str) -> sql.Composed:
        """Statement that sets a row of ``meta``."""
        return sql.SQL(_REMEMBER).format(meta=self.meta, key=key, value=value)
