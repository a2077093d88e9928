"""The step cache in Redis, or what speaks like it: a hash for each entry, changed by scripts alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tributary_daemon.model.caching import Holder
from tributary_daemon.store.cache.entries import FORGOTTEN, Busy, Hit, Mine, Stat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tributary_daemon.model.caching import CacheKey

_PREFIX: Final = "trib:cache:"
# who asks about many entries reads some of them at a time
_AT_ONCE: Final = 500
# an entry outlives its end by this, so that one clock alone, that of who asks, decides what has expired
_GRACE: Final = 60.0

# KEYS: entry. ARGV: now, holder, step name, when it is forgotten, milliseconds until then
_BEGIN: Final = """
local held = redis.call('HMGET', KEYS[1], 'value', 'expires', 'holder', 'since')
if held[1] and (not held[2] or tonumber(held[2]) > tonumber(ARGV[1])) then return {'hit', held[1]} end
if held[3] then return {'busy', held[3], held[4]} end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'holder', ARGV[2], 'since', ARGV[1], 'step', ARGV[3], 'expires', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'mine'}
"""
# ARGV: old holder, new holder, now, when it is forgotten, milliseconds until then
_TAKE: Final = """
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'holder', ARGV[2], 'since', ARGV[3], 'expires', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
"""
# ARGV: holder, value, when it expires (empty: never), milliseconds until it goes (empty: never)
_FILL: Final = """
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'holder', 'expires')
redis.call('HSET', KEYS[1], 'value', ARGV[2])
if ARGV[3] == '' then redis.call('PERSIST', KEYS[1]) else
redis.call('HSET', KEYS[1], 'expires', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
"""
# after ARGV: of who made it
_DROP: Final = """
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class RedisStore:
    """Keeps results in Redis; entries leave by its own expiry, and by its eviction, if it has one.

    Args:
        client: connected on first use.
        now: seconds since 1970, by which is decided what has expired.
    """

    def __init__(self, client: Redis, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._now = now

    def begin(self, key: CacheKey, holder: Holder) -> Hit | Mine | Busy:
        """See `CacheStore`."""
        now = self._now()
        given = [repr(now), _written(holder), key.step_name, repr(now + FORGOTTEN), _ms(FORGOTTEN)]
        answer, *rest = self._do(_BEGIN, key, given)
        match answer:
            case b"hit":
                return Hit(rest[0].decode())
            case b"mine":
                return Mine()
        return Busy(_read(rest[0].decode()), max(0.0, now - float(rest[1])))

    def take_over(self, key: CacheKey, old: Holder, new: Holder) -> bool:
        """See `CacheStore`."""
        now = self._now()
        given = [_written(old), _written(new), repr(now), repr(now + FORGOTTEN), _ms(FORGOTTEN)]
        return bool(self._do(_TAKE, key, given))

    def fill(self, key: CacheKey, holder: Holder, value: str) -> bool:
        """See `CacheStore`."""
        end = ["", ""] if key.ttl is None else [repr(self._now() + key.ttl), _ms(key.ttl + _GRACE)]
        return bool(self._do(_FILL, key, [_written(holder), value, *end]))

    def give_up(self, key: CacheKey, holder: Holder) -> bool:
        """See `CacheStore`."""
        return bool(self._do(_DROP, key, [_written(holder)]))

    def stats(self) -> list[Stat]:
        """See `CacheStore`; reads every entry but for its value."""
        now = self._now()
        found: dict[str, list[Any]] = {}
        for _, step, since, size, expired in self._entries(now):
            sums = found.setdefault(step, [0, 0, 0, 0, since])
            sums[0] += size is not None
            sums[1] += size is None
            sums[2] += expired and size is not None
            sums[3] += size or 0
            sums[4] = min(sums[4], since)
        stats = [
            Stat(step, entries, filling, expired, size, datetime.fromtimestamp(since, UTC))
            for step, (entries, filling, expired, size, since) in found.items()
        ]
        return sorted(stats, key=lambda stat: (-stat.bytes, stat.step_name))

    def purge(self, step_name: str | None, *, expired: bool) -> int:
        """See `CacheStore`."""
        gone = [
            name
            for name, step, _, _, is_expired in self._entries(self._now())
            if step_name in {None, step} and (is_expired or not expired)
        ]
        return sum(
            int(self._client.unlink(*gone[at : at + _AT_ONCE])) for at in range(0, len(gone), _AT_ONCE)
        )

    def close(self) -> None:
        """See `CacheStore`."""
        self._client.close()

    def _do(self, script: str, key: CacheKey, given: list[str]) -> Any:
        return self._client.eval(script, 1, _PREFIX + key.digest, *given)

    def _entries(self, now: float) -> Iterator[tuple[bytes, str, float, int | None, bool]]:
        """Yield name, step, beginning, size (None while it is made) of each entry, and if it has expired."""
        names: list[bytes] = []
        for name in self._client.scan_iter(match=f"{_PREFIX}*", count=_AT_ONCE):
            names.append(name)
            if len(names) == _AT_ONCE:
                yield from self._read(names, now)
                names = []
        yield from self._read(names, now)

    def _read(self, names: list[bytes], now: float) -> Iterator[tuple[bytes, str, float, int | None, bool]]:
        with self._client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hmget(name, "step", "since", "expires", "holder")
                pipeline.hstrlen(name, "value")
            answers = pipeline.execute()
        for name, (step, since, expires, holder), size in zip(
            names, answers[::2], answers[1::2], strict=True
        ):
            if step is not None:
                expired = expires is not None and float(expires) <= now
                yield name, step.decode(), float(since), size if holder is None else None, expired


def open_store(url: str, timeout: float) -> RedisStore:
    """Return the store at a ``redis://`` or ``rediss://`` URL; nothing is tried twice."""
    client = Redis.from_url(
        url,
        socket_connect_timeout=timeout,
        socket_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        client_name="trib-cache",
    )
    return RedisStore(client)


def _written(holder: Holder) -> str:
    return f"{holder.run_id} {holder.ordinal} {holder.seq}"


def _read(text: str) -> Holder:
    run_id, ordinal, seq = text.split()
    return Holder(run_id, int(ordinal), int(seq))


def _ms(seconds: float) -> str:
    # what Redis cannot count goes later than anybody cares
    return str(min(int(seconds * 1000), 2**53))
