"""The step cache in a file of SQLite: for all workers of one machine."""

from __future__ import annotations

import sqlite3
import time
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
_PRIMARY: Final = 0xFF  # of an extended code of SQLite
_AGAIN: Final = 0.005
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
        try:
            _prepare(self._connection, timeout)
        except BaseException:
            self._connection.close()
            raise

    def run(self, statement: str, given: Sequence[Any]) -> tuple[list[Any], int]:
        cursor = self._connection.execute(statement, tuple(given))
        return cursor.fetchall(), cursor.rowcount

    def close(self) -> None:
        self._connection.close()


def _prepare(connection: sqlite3.Connection, timeout: float) -> None:
    # the change to WAL needs a new file for itself: who comes second is refused at once, whatever its timeout
    patient_until = time.monotonic() + timeout
    while True:
        try:
            for statement in ("pragma journal_mode = wal", "pragma synchronous = normal", _TABLE, _INDEX):
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() > patient_until:
                raise
            time.sleep(_AGAIN)
        else:
            return


def open_store(url: str, timeout: float) -> TableStore:
    """Return the store in the file of a ``sqlite:///FILE`` URL; four slashes begin an absolute path."""
    return TableStore(_Sqlite(url.removeprefix("sqlite:///"), timeout))
