"""The number of shards of a database, and the statements of `sql/reshard.sql` that change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

from tributary_daemon.errors import InvalidInput
from tributary_daemon.store import db

if TYPE_CHECKING:
    from collections.abc import Mapping

META: Final = "shards"
"""Key of the row of ``meta`` that holds the number; without it there is one shard."""

MOST: Final = 4096
"""An id has 12 bits that lead to a shard."""


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
