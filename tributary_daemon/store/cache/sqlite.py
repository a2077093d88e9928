"""The step cache in a file of SQLite: for all workers of one machine."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.store.cache.tables import TableStore

if TYPE_CHECKING:
    from collections.abc import Sequence

_TABLE: Final = """
    create table if not exists step_cache (
        cache_key text primary key, tenant_id text not null, step_name text not null, version text,
        scope text not null, run_id text, created_at integer not null, filled_at integer, expires_at integer,
        holder_run text, holder_ordinal integer, holder_seq integer, value text
    ) without rowid
"""
_INDEX: Final = "create index if not exists step_cache_expires on step_cache (expires_at)"


class _Sqlite:
    """One connection; see `tables.Dialect`."""

    insert_ignore = "insert or ignore"
    binary = "blob"

    def __init__(self, path: str, timeout: float) -> None:
        # by name, so that nothing in a path is taken for a parameter; used by one thread after the other
        self._connection = sqlite3.connect(
            path, timeout=timeout, isolation_level=None, check_same_thread=False
        )
        self._connection.execute("pragma journal_mode = wal")
        self._connection.execute("pragma synchronous = normal")
        self._connection.execute(_TABLE)
        self._connection.execute(_INDEX)

    def run(self, statement: str, given: Sequence[Any]) -> tuple[list[Any], int]:
        cursor = self._connection.execute(statement, tuple(given))
        return cursor.fetchall(), cursor.rowcount

    def close(self) -> None:
        self._connection.close()


def open_store(url: str, timeout: float) -> TableStore:
    """Return the store in the file of a ``sqlite:///FILE`` URL; four slashes begin an absolute path."""
    return TableStore(_Sqlite(url.removeprefix("sqlite:///"), timeout))
