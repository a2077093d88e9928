"""What one thread needs to ask the step cache: its store, and the database that knows who still lives."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tributary_daemon import codec
from tributary_daemon.sealing.envelope import NOWHERE, Field, Origin, token_of
from tributary_daemon.store import session
from tributary_daemon.store.cache import holders
from tributary_daemon.store.cache.entries import Busy, Hit, Mine
from tributary_daemon.store.cache.namespaced import Namespaced, identity
from tributary_daemon.store.cache.opening import open_store
from tributary_daemon.store.cache.postgres import PostgresStore
from tributary_daemon.store.db import connect

if TYPE_CHECKING:
    from tributary_daemon.model.caching import CacheKey, Holder
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.cache.entries import CacheStore
    from tributary_daemon.store.watched import Watched

_NAME: Final = "trib cache"
_TRIES: Final = 5
_IDENTITIES: Final[dict[str, str]] = {}


def _place(key: CacheKey) -> Origin:
    return Origin(key.tenant, key.run_id or NOWHERE, key.digest, Field.CACHED)


@dataclass(frozen=True, slots=True)
class Above:
    """Who makes the result waits for who has asked: the one is a step of the other's child run."""


class CacheLookup:
    """Asks one store; used by one thread.

    Args:
        cache: where results are kept: the setting ``cache``.
        url: of the database.
        shards: number of its shards.
        timeout: seconds for a connection, and for an answer.
        keys: encrypt what is kept; None where values are stored as they are.
        namespace: of keys in a store beside the database; empty for the database's own.
    """

    def __init__(
        self,
        cache: str,
        url: str,
        shards: int,
        timeout: float,
        keys: Ring | None = None,
        *,
        namespace: str = "",
    ) -> None:
        self._keys = keys
        self._timeout = timeout
        self._url = url
        self._shards = shards
        self._connection: Watched | None = None
        own = open_store(cache, timeout)
        self.store: CacheStore = (
            PostgresStore(self._database(), shards)
            if own is None
            else Namespaced(own, namespace or self._identity(own))
        )

    def ask(self, key: CacheKey, holder: Holder) -> Hit | Mine | Busy | Above | None:
        """Return the result, or the right to make it, or who makes it; from the dead the right is taken.

        What `keep` has stored comes back here as the result, and nowhere else. None: what lies there is not
        what was stored, and is of no use.
        """
        answer = self.store.begin(key, holder)
        for _ in range(_TRIES):
            if isinstance(answer, Hit):
                value = self._opened(key, answer.value)
                return None if value is None else Hit(value)
            if isinstance(answer, Mine):
                return answer
            if answer.holder == holder:
                # asked before, and the answer was lost
                return Mine()
            if holders.lives(self._database(), self._shards, answer.holder):
                above = holders.is_above(self._database(), self._shards, answer.holder, holder)
                return Above() if above else answer
            if self.store.take_over(key, answer.holder, holder):
                return Mine()
            answer = self.store.begin(key, holder)
        return answer

    def keep(self, key: CacheKey, holder: Holder, result: str) -> bool:
        """Store a result, JSON text; False when ``holder`` is not who makes it."""
        stored = result if self._keys is None else self._keys.seal(result, _place(key))
        return self.store.fill(key, holder, stored)

    def _opened(self, key: CacheKey, stored: str) -> str | None:
        """Return a result of which `keep` has made what is stored; None if it was changed, or moved here."""
        if self._keys is None or self._keys.key_for(key.tenant) is None:
            return stored
        token = token_of(codec.loads(stored))
        return None if token is None else self._keys.open_at(token, _place(key))

    def close(self) -> None:
        """Close connections; what is wrong with them does not matter any more."""
        with suppress(Exception):
            self.store.close()
        self._leave_database()

    def _leave_database(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _identity(self, store: CacheStore) -> str:
        try:
            # asked once per process: a hit needs no connection
            if self._url not in _IDENTITIES:
                _IDENTITIES[self._url] = identity(self._database())
        except BaseException:
            store.close()
            self._leave_database()
            raise
        return _IDENTITIES[self._url]

    def _database(self) -> Watched:
        if self._connection is None or self._connection.closed:
            self._connection = connect(
                self._url, application_name=_NAME, connect_timeout=self._timeout, limits=session.OWN
            )
            self._connection.silence = self._timeout
        return self._connection
