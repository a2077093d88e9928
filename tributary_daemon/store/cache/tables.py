"""The step cache in a table of another SQL database: single statements, each of which compares and swaps."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from tributary_daemon.errors import NotPossible
from tributary_daemon.model.caching import Holder
from tributary_daemon.store.cache.entries import FORGOTTEN, Busy, Hit, Mine, Stat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.model.caching import CacheKey

_READ: Final = """
    select value, expires_at, holder_run, holder_ordinal, holder_seq, created_at
    from step_cache where cache_key = ?
"""
_INSERT: Final = """
    into step_cache (cache_key, tenant_id, step_name, version, scope, run_id, created_at, expires_at,
                     holder_run, holder_ordinal, holder_seq)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_RENEW: Final = """
    update step_cache
    set value = null, version = ?, created_at = ?, expires_at = ?, filled_at = null,
        holder_run = ?, holder_ordinal = ?, holder_seq = ?
    where cache_key = ? and holder_seq is null and expires_at = ?
"""
_MINE: Final = "cache_key = ? and holder_run = ? and holder_ordinal = ? and holder_seq = ?"
_TAKE: Final = f"""
    update step_cache
    set created_at = ?, expires_at = ?, holder_run = ?, holder_ordinal = ?, holder_seq = ?
    where {_MINE}
"""  # noqa: S608 - of constants
_FILL: Final = f"""
    update step_cache
    set value = ?, filled_at = ?, expires_at = ?, holder_run = null, holder_ordinal = null, holder_seq = null
    where {_MINE}
"""  # noqa: S608 - of constants
_DROP: Final = f"delete from step_cache where {_MINE}"  # noqa: S608 - of constants
_STATS: Final = """
    select step_name, sum(value is not null), sum(value is null), sum(value is not null and expires_at <= ?),
           sum(coalesce(length(cast(value as {binary})), 0)), min(created_at)
    from step_cache group by step_name order by 5 desc, 1
"""
_PURGE: Final = "delete from step_cache where (? is null or step_name = ?) and (? = 0 or expires_at <= ?)"
_FORGET: Final = "delete from step_cache where expires_at <= ?"
_TRIES: Final = 5
# an entry more that is begun: now and then what has expired is removed
_FORGET_EVERY: Final = 200


class Dialect(Protocol):
    """A connection, and where its SQL differs. Times are whole microseconds since 1970."""

    #: an insert that does nothing where the key is there
    insert_ignore: str
    #: the type of bytes in a cast
    binary: str

    def run(self, statement: str, given: Sequence[Any]) -> tuple[list[Any], int]:
        """Run one statement, each a transaction; return its rows, and how many it has changed."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class TableStore:
    """Keeps results in a table ``step_cache``.

    Args:
        dialect: of the database.
        now: seconds since 1970, by which is decided what has expired.
    """

    def __init__(self, dialect: Dialect, now: Callable[[], float] = time.time) -> None:
        self._dialect = dialect
        self._clock = now
        self._begun = 0

    def begin(self, key: CacheKey, holder: Holder) -> Hit | Mine | Busy:
        """See `CacheStore`."""
        for _ in range(_TRIES):
            now = self._now()
            rows, _ = self._dialect.run(_READ, (key.digest,))
            if not rows:
                own = (key.digest, key.tenant, key.step_name, key.version, key.scope, key.run_id)
                statement = f"{self._dialect.insert_ignore} {_INSERT}"
                if self._changes(statement, (*own, now, now + _us(FORGOTTEN), *holder)):
                    self._forget(now)
                    return Mine()
                continue
            value, expires_at, run_id, ordinal, seq, since = rows[0]
            if seq is not None:
                return Busy(Holder(run_id, ordinal, seq), max(0, now - since) / 1e6)
            if expires_at is None or expires_at > now:
                return Hit(value)
            renewed = (key.version, now, now + _us(FORGOTTEN), *holder, key.digest, expires_at)
            if self._changes(_RENEW, renewed):
                return Mine()
        raise NotPossible(f"the entry {key.digest} of the step cache changes faster than it can be read")

    def take_over(self, key: CacheKey, old: Holder, new: Holder) -> bool:
        """See `CacheStore`."""
        now = self._now()
        return self._changes(_TAKE, (now, now + _us(FORGOTTEN), *new, key.digest, *old))

    def fill(self, key: CacheKey, holder: Holder, value: str) -> bool:
        """See `CacheStore`."""
        now = self._now()
        end = None if key.ttl is None else now + _us(key.ttl)
        return self._changes(_FILL, (value, now, end, key.digest, *holder))

    def give_up(self, key: CacheKey, holder: Holder) -> bool:
        """See `CacheStore`."""
        return self._changes(_DROP, (key.digest, *holder))

    def stats(self) -> list[Stat]:
        """See `CacheStore`."""
        rows, _ = self._dialect.run(_STATS.format(binary=self._dialect.binary), (self._now(),))
        return [
            Stat(row[0], int(row[1]), int(row[2]), int(row[3] or 0), int(row[4]), _time(row[5]))
            for row in rows
        ]

    def purge(self, step_name: str | None, *, expired: bool) -> int:
        """See `CacheStore`."""
        _, removed = self._dialect.run(_PURGE, (step_name, step_name, int(expired), self._now()))
        return removed

    def close(self) -> None:
        """See `CacheStore`."""
        self._dialect.close()

    def _now(self) -> int:
        return _us(self._clock())

    def _changes(self, statement: str, given: Sequence[Any]) -> bool:
        return self._dialect.run(statement, given)[1] > 0

    def _forget(self, now: int) -> None:
        """Remove what has expired: there is no maintenance in this database."""
        self._begun += 1
        if self._begun % _FORGET_EVERY == 1:
            self._dialect.run(_FORGET, (now,))


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def _us(seconds: float) -> int:
    # what 63 bits cannot count is later than anybody cares
    return min(int(seconds * 1_000_000), 2**62)
