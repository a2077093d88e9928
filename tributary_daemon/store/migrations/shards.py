"""The number of shards of a database, and the statements of `sql/reshard.sql` that change it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from psycopg import sql

from tributary_daemon.errors import InvalidInput
from tributary_daemon.store import db

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

META: Final = "shards"
"""Key of the row of ``meta`` that holds the number; without it there is one shard."""

MOST: Final = 4096
"""An id has 12 bits that lead to a shard."""

_NOW: Final = "SELECT clock_timestamp()"
# who has begun before may have read the number before, and may be recording by it
_EARLIER: Final = """SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < %s
  AND backend_type = 'client backend'"""
_PAUSE: Final = 0.05


def check_number(shards: int) -> None:
    """Refuse a number of shards that cannot be.

    Raises:
        InvalidInput: it is not 1 to 4096.
    """
    if not 1 <= shards <= MOST:
        raise InvalidInput(f"{shards} shards cannot be", hint=f"1 to {MOST}")


def remembered(facts: Mapping[str, str]) -> int:
    """Return the number of shards that ``meta`` remembers."""
    return int(facts.get(META, "1"))


def moves(shards: int) -> sql.Composed:
    """Return the statements that spread all rows over so many shards."""
    text = (db.sql_dir() / "reshard.sql").read_text(encoding="utf-8")
    return sql.SQL(text).format(shards=sql.Literal(shards))


def outlive(connection: db.Connection, patience: float, waiting: Callable[[], None]) -> bool:
    """Wait until all transactions have ended that have begun before now; False: some have not.

    Args:
        connection: autocommit.
        patience: seconds to wait at most.
        waiting: called once, if there is one.
    """
    row = connection.execute(_NOW).fetchone()
    deadline = time.monotonic() + patience
    told = False
    while True:
        found = connection.execute(_EARLIER, row).fetchone()
        if found is None or found[0] == 0:
            return True
        if time.monotonic() > deadline:
            return False
        if not told:
            told = True
            waiting()
        time.sleep(_PAUSE)
