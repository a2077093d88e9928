"""A store of each kind, by a clock of the test's."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from tests.cache_servers import MariaServer, RedisServer, serving
from tributary_daemon.store import db
from tributary_daemon.store.cache import memory, mysql, redis_store, sqlite
from tributary_daemon.store.cache.postgres import PostgresStore

KINDS = ("postgres", "redis", "mysql", "sqlite", "memory")
_NOW = time.time()


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self):
        self.now = _NOW
        self.watchers = []

    def __call__(self):
        return self.now

    def move(self, seconds):
        """Let time pass."""
        self.now += seconds
        for watcher in self.watchers:
            watcher()


@pytest.fixture(scope="session")
def redis_server():
    """A server of Redis, for all tests of this process."""
    yield from serving(RedisServer)


@pytest.fixture(scope="session")
def maria_server():
    """A server of MariaDB, for all tests of this process."""
    yield from serving(MariaServer)


@pytest.fixture
def clock():
    """The clock of the stores."""
    return Clock()


@pytest.fixture(params=KINDS)
def opens(request, clock, tmp_path):
    """Return a function that opens the store of one kind, again and again, as other processes do."""
    kind = request.param
    opened = []

    def postgres():
        url = request.getfixturevalue("database")
        connection = db.connect(url, application_name="test cache")

        def show():
            at = datetime.fromtimestamp(clock.now, UTC).isoformat()
            connection.execute("select set_config('tributary.fake_now', %s, false)", (at,))

        show()
        clock.watchers.append(show)
        return PostgresStore(connection, connection.execute("select tributary.shard_count()").fetchone()[0])

    one = memory.MemoryStore(clock)

    def make():
        match kind:
            case "postgres":
                store = postgres()
            case "redis":
                store = redis_store.open_store(request.getfixturevalue("redis_server").url, 20)
            case "mysql":
                store = mysql.open_store(request.getfixturevalue("maria_server").url, 20)
            case "sqlite":
                store = sqlite.open_store(f"sqlite:///{tmp_path / 'cache.db'}", 20)
            case _:
                store = one
        if kind == "redis":
            store._now = clock
        elif kind in {"mysql", "sqlite"}:
            store._clock = clock
        opened.append(store)
        return store

    if kind in {"redis", "mysql"}:
        request.getfixturevalue("redis_server" if kind == "redis" else "maria_server").empty()
    yield make
    clock.watchers.clear()
    for store in opened:
        store.close()


@pytest.fixture
def store(opens):
    """One store."""
    return opens()
