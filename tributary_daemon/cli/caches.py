"""The step cache for the command that runs now."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tributary_daemon.cli import failures
from tributary_daemon.cli.settings import settings
from tributary_daemon.config.values import OFF, mask
from tributary_daemon.errors import DatabaseUnreachable, NotPossible, TributaryError
from tributary_daemon.store import membership
from tributary_daemon.store.cache.opening import MEMORY, open_store
from tributary_daemon.store.cache.postgres import PostgresStore
from tributary_daemon.store.db import connect
from tributary_daemon.store.migrations import ensure_schema
from tributary_daemon.wiring import database_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.config import Config
    from tributary_daemon.store.cache.entries import CacheStore


# a command looks at all entries, and nobody waits behind it
_TIMEOUT: Final = 10.0


@contextmanager
def opened_cache() -> Iterator[CacheStore]:
    """Open the store that flags, environment and files name.

    Raises:
        NotPossible: there is none, or it is in the memory of workers.
        DatabaseUnreachable: it does not answer.
        ConfigError: its client is not installed.
    """
    config = settings()
    if config.cache == OFF:
        raise NotPossible("the step cache is off", hint="TRIB_CACHE names a store, or leave it out")
    if config.cache == MEMORY:
        raise NotPossible(
            "the step cache is in the memory of each process of a worker, out of reach from here",
            hint="restart the worker to empty it",
        )
    try:
        store = open_store(config.cache, _TIMEOUT) or _postgres(config)
        try:
            yield store
        finally:
            store.close()
    except TributaryError:
        raise
    except Exception as error:
        # clients raise what they like
        raise DatabaseUnreachable(
            f"the step cache in {mask(config.cache)} does not answer: {error}",
            hint="workers go on without it; look at TRIB_CACHE and at that server",
        ) from error


def _postgres(config: Config) -> PostgresStore:
    url = database_url(config, say=failures.say)
    connection = connect(url, application_name="trib cache")
    ensure_schema(url, config, connection=connection)
    return PostgresStore(connection, membership.shard_count(connection))
