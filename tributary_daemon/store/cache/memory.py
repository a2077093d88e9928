"""The step cache in the memory of one process: for tests and trials, gone with the process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from tributary_daemon.store.cache.entries import FORGOTTEN, Busy, Hit, Mine, Stat

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.model.caching import CacheKey, Holder

_MOST: Final = 10_000


@dataclass(slots=True)
class _Entry:
    step_name: str
    since: float
    holder: Holder | None
    value: str | None = None
    expires_at: float | None = None

    def expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class MemoryStore:
    """Keeps at most 10,000 entries, and drops the oldest beyond that.

    Args:
        now: seconds since 1970.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}

    def begin(self, key: CacheKey, holder: Holder) -> Hit | Mine | Busy:
        """See `CacheStore`."""
        now = self._now()
        with self._lock:
            entry = self._entries.get(key.digest)
            if entry is not None and entry.value is not None and not entry.expired(now):
                return Hit(entry.value)
            if entry is not None and entry.holder is not None:
                return Busy(entry.holder, max(0.0, now - entry.since))
            # behind all others: the first one is the oldest
            self._entries.pop(key.digest, None)
            self._entries[key.digest] = _Entry(key.step_name, now, holder, expires_at=now + FORGOTTEN)
            while len(self._entries) > _MOST:
                del self._entries[next(iter(self._entries))]
            return Mine()

    def take_over(self, key: CacheKey, old: Holder, new: Holder) -> bool:
        """See `CacheStore`."""
        with self._lock:
            if (entry := self._held(key, old)) is not None:
                entry.holder, entry.since = new, self._now()
        return entry is not None

    def fill(self, key: CacheKey, holder: Holder, value: str) -> bool:
        """See `CacheStore`."""
        with self._lock:
            if (entry := self._held(key, holder)) is not None:
                entry.holder, entry.value = None, value
                entry.expires_at = None if key.ttl is None else self._now() + key.ttl
        return entry is not None

    def give_up(self, key: CacheKey, holder: Holder) -> bool:
        """See `CacheStore`."""
        with self._lock:
            if (entry := self._held(key, holder)) is not None:
                del self._entries[key.digest]
        return entry is not None

    def stats(self) -> list[Stat]:
        """See `CacheStore`."""
        now = self._now()
        with self._lock:
            entries = list(self._entries.values())
        found = [_stat(name, entries, now) for name in {entry.step_name for entry in entries}]
        return sorted(found, key=lambda stat: (-stat.bytes, stat.step_name))

    def purge(self, step_name: str | None, *, expired: bool) -> int:
        """See `CacheStore`."""
        now = self._now()
        with self._lock:
            gone = [
                digest
                for digest, entry in self._entries.items()
                if step_name in {None, entry.step_name} and (not expired or entry.expired(now))
            ]
            for digest in gone:
                del self._entries[digest]
        return len(gone)

    def close(self) -> None:
        """Keep everything: it belongs to the process."""

    def _held(self, key: CacheKey, holder: Holder) -> _Entry | None:
        entry = self._entries.get(key.digest)
        return entry if entry is not None and entry.holder == holder else None


def _stat(name: str, entries: list[_Entry], now: float) -> Stat:
    mine = [entry for entry in entries if entry.step_name == name]
    filled = [entry for entry in mine if entry.value is not None]
    return Stat(
        name,
        len(filled),
        len(mine) - len(filled),
        sum(entry.expired(now) for entry in filled),
        sum(len(entry.value.encode()) for entry in filled if entry.value is not None),
        datetime.fromtimestamp(min(entry.since for entry in mine), UTC),
    )


_OF_PROCESS: Final = MemoryStore()


def open_store(_: str, __: float) -> MemoryStore:
    """Return the one store of this process."""
    return _OF_PROCESS
