"""A store that several databases may share: each finds its own results unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.model.caching import digest_of
from tributary_daemon.store.db import query

if TYPE_CHECKING:
    from tributary_daemon.model.caching import CacheKey, Holder
    from tributary_daemon.store.cache.entries import Busy, CacheStore, Hit, Mine, Stat
    from tributary_daemon.store.db import Connection


def identity(connection: Connection) -> str:
    """Return what tells the database of a connection apart from all others."""
    row = connection.execute(query("database_identity")).fetchone()
    assert row is not None
    return str(row[0])


class Namespaced:
    """A `CacheStore` whose keys are those of one namespace; what counts and purges sees all that is there.

    Args:
        store: where results are kept.
        namespace: of the keys.
    """

    def __init__(self, store: CacheStore, namespace: str) -> None:
        self._store = store
        self._namespace = namespace

    def begin(self, key: CacheKey, holder: Holder) -> Hit | Mine | Busy:
        """See `CacheStore`."""
        return self._store.begin(self._own(key), holder)

    def take_over(self, key: CacheKey, old: Holder, new: Holder) -> bool:
        """See `CacheStore`."""
        return self._store.take_over(self._own(key), old, new)

    def fill(self, key: CacheKey, holder: Holder, value: str) -> bool:
        """See `CacheStore`."""
        return self._store.fill(self._own(key), holder, value)

    def give_up(self, key: CacheKey, holder: Holder) -> bool:
        """See `CacheStore`."""
        return self._store.give_up(self._own(key), holder)

    def stats(self) -> list[Stat]:
        """See `CacheStore`."""
        return self._store.stats()

    def purge(self, step_name: str | None, *, expired: bool) -> int:
        """See `CacheStore`."""
        return self._store.purge(step_name, expired=expired)

    def close(self) -> None:
        """See `CacheStore`."""
        self._store.close()

    def _own(self, key: CacheKey) -> CacheKey:
        return key._replace(digest=digest_of((self._namespace, key.digest)))
