"""The step cache in the database of the work itself: the relation ``step_cache``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.model.caching import Holder
from tributary_daemon.model.ids import slot_of
from tributary_daemon.store.cache.entries import Busy, Hit, Mine, Stat
from tributary_daemon.store.db import query

if TYPE_CHECKING:
    from tributary_daemon.model.caching import CacheKey
    from tributary_daemon.store.db import Connection

_BEGIN: Final = """
    select answer, value, holder_run::text, holder_ordinal, holder_seq, age
    from tributary.begin_cached(%s::smallint, %s, %s, %s, %s, %s, %s::uuid, %s::uuid, %s, %s)
"""
_TAKE: Final = "select tributary.take_cached(%s::smallint, %s, %s, %s::uuid, %s, %s, %s::uuid, %s, %s)"
# it waits for no disk: the finish of the attempt, which comes later, waits for both
_FILL: Final = """
    select tributary.fill_cached(%s::smallint, %s, %s, %s::uuid, %s, %s, %s, %s)
    from set_config('synchronous_commit', 'off', true)
"""
_DROP: Final = "select tributary.drop_cached(%s::smallint, %s, %s, %s::uuid, %s, %s)"
_PURGE: Final = "select tributary.purge_cached(%s::smallint, %s, %s, %s)"
_AT_ONCE: Final = 1_000


class PostgresStore:
    """Keeps results in PostgreSQL; its clock decides what has expired.

    Args:
        connection: in autocommit mode.
        shards: number of shards.
    """

    def __init__(self, connection: Connection, shards: int) -> None:
        self._connection = connection
        self._shards = shards

    def begin(self, key: CacheKey, holder: Holder) -> Hit | Mine | Busy:
        """See `CacheStore`."""
        given = (*self._place(key), key.step_name, key.version, key.scope, key.run_id, *holder)
        answer, value, run_id, ordinal, seq, age = self._connection.execute(_BEGIN, given).fetchall()[0]
        match answer:
            case "hit":
                return Hit(value)
            case "mine":
                return Mine()
        return Busy(Holder(run_id, ordinal, seq), age)

    def take_over(self, key: CacheKey, old: Holder, new: Holder) -> bool:
        """See `CacheStore`."""
        return self._says(_TAKE, (*self._place(key), *old, *new))

    def fill(self, key: CacheKey, holder: Holder, value: str) -> bool:
        """See `CacheStore`."""
        return self._says(_FILL, (*self._place(key), *holder, value, key.ttl))

    def give_up(self, key: CacheKey, holder: Holder) -> bool:
        """See `CacheStore`."""
        return self._says(_DROP, (*self._place(key), *holder))

    def stats(self) -> list[Stat]:
        """See `CacheStore`."""
        return [Stat(*row) for row in self._connection.execute(query("cache_stats")).fetchall()]

    def purge(self, step_name: str | None, *, expired: bool) -> int:
        """See `CacheStore`."""
        removed = 0
        for shard in range(self._shards):
            found = _AT_ONCE
            while found >= _AT_ONCE:
                given = (shard, step_name, expired, _AT_ONCE)
                found = self._connection.execute(_PURGE, given).fetchall()[0][0]
                removed += found
        return removed

    def close(self) -> None:
        """See `CacheStore`."""
        self._connection.close()

    def _place(self, key: CacheKey) -> tuple[int, str, str]:
        return slot_of(key.digest) % self._shards, key.tenant, key.digest

    def _says(self, statement: str, given: tuple[object, ...]) -> bool:
        row = self._connection.execute(statement, given).fetchone()
        return bool(row and row[0])
