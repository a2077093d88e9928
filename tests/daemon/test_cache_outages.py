"""A store of the step cache that is away, silent or forgetful: work goes on, and it is told once."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.cache_servers import MariaServer, RedisServer, serving
from tests.daemon.test_step_cache import price, until
from tests.store.cache.test_stores import holder, key
from tributary_daemon import events
from tributary_daemon.daemon.cache_events import CacheAvailable, CacheUnavailable
from tributary_daemon.daemon.cache_lookup import CacheLookup
from tributary_daemon.daemon.cache_threads import CacheThreads, Call
from tributary_daemon.store.cache.entries import Hit, Mine


@pytest.fixture(scope="module")
def redis_server():
    """A server of Redis."""
    yield from serving(RedisServer)


@pytest.fixture(scope="module")
def maria_server():
    """A server of MariaDB."""
    yield from serving(MariaServer)


@pytest.fixture
def other_database(server, template):
    """The URL of a second database of the same server."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy")
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        admin.execute(f"drop database {name} with (force)")


def test_a_store_that_is_away_slows_work_and_fails_none(desk, crew, tmp_path, redis_server):
    shutil.copy(Path(__file__).with_name("cached_handlers.py"), tmp_path / "cached_handlers.py")
    worker = crew(
        "--import", "./cached_handlers.py", env={"TRIB_CACHE": redis_server.url, "TRIB_CACHE_TIMEOUT": "6s"}
    )
    until(desk, desk.run(price(), {"article": "tea"}))
    until(desk, desk.run(price(), {"article": "tea"}), "cached")
    assert desk.one("select count(*) from tributary.step_cache")[0] == 0

    # it has died: connections are refused
    redis_server.stop()
    for _ in range(2):
        until(desk, desk.run(price(), {"article": "tea"}))
    assert worker.log().count("cache unavailable") == 1
    assert "sesame" not in worker.log()

    # it is back, without what it knew
    redis_server.start()

    def is_served():
        return desk.row(desk_run(desk, "tea"), 1)[2] == "cached"

    desk.wait(is_served, 30, "the cache is used again")
    assert worker.log().count("cache available") == 1

    # it stands still in the middle of an attempt: the result is the step's all the same
    gated = price(gate="gate")
    run = desk.run(gated, {"article": "jam"})
    desk.noted("priced", run)
    redis_server.freeze()
    desk.open()
    until(desk, run)
    assert worker.log().count("cache unavailable") == 2
    redis_server.thaw()
    # nobody has filled that entry; its holder is known to be gone
    desk.wait(lambda: desk.row(desk_run(desk, "jam", gated), 1)[2] == "cached", 30, "taken over")
    assert desk.one("select count(*) from tributary.runs where state <> 'completed'")[0] == 0


def desk_run(desk, article, text=None):
    """Submit, wait for the end, return the id."""
    run = desk.run(text or price(), {"article": article})
    desk.until_run(run, "completed")
    return run


class Postgres:
    """The session's server: what is taken away are connections to it."""

    url = "postgres"

    def __init__(self, desk):
        self._desk = desk

    def stop(self):
        """Cut what is connected."""
        assert self._desk.cut("trib cache") > 0

    def start(self):
        """It never was away."""


@pytest.mark.parametrize("kind", ["redis", "mysql", "postgres"])
def test_a_store_that_has_gone_and_come_back_is_used_again(kind, request, desk, monkeypatch):
    names = {"redis": "redis_server", "mysql": "maria_server"}
    server = request.getfixturevalue(names[kind]) if kind in names else Postgres(desk)
    told = []
    detach = events.attach(told.append)
    threads = CacheThreads(kind, lambda: CacheLookup(server.url, desk.url, 1, 5.0), 20.0)
    me = holder()

    def ask(again=True):
        if again:
            monkeypatch.setattr(threads, "_again_at", 0.0)
        return threads.ask(Call(lambda there: there.ask(key(kind), me)))

    try:
        assert ask() == Mine()
        server.stop()
        assert ask() is None
        # nobody else is kept waiting
        assert ask(again=False) is None
        server.start()
        assert ask() == Mine()
        if kind != "postgres":
            monkeypatch.setattr(threads, "_patience", 0.2)
            server.freeze()
            assert ask() is None
            server.thaw()
            monkeypatch.setattr(threads, "_patience", 20.0)
            assert ask() == Mine()
    finally:
        detach()
        threads.close()
    outages = 1 if kind == "postgres" else 2
    assert [type(event) for event in told] == [CacheUnavailable, CacheAvailable] * outages


def test_databases_that_share_a_store_find_their_own_results(desk, redis_server, other_database):
    redis_server.empty()
    opened = [
        CacheLookup(redis_server.url, url, 1, 20.0, namespace=name)
        for url, name in ((desk.url, ""), (other_database, ""), (desk.url, "both"), (other_database, "both"))
    ]
    try:
        answers = []
        for number, lookup in enumerate(opened):
            me = holder()
            answers.append(lookup.ask(key("shared"), me))
            if answers[-1] == Mine():
                lookup.keep(key("shared"), me, str(number))
        assert answers == [Mine(), Mine(), Mine(), Hit("2")]
        assert [lookup.ask(key("shared"), holder()) for lookup in opened] == [*map(Hit, "0122")]
        (stat,) = opened[0].store.stats()
        assert stat.entries == 3
    finally:
        for lookup in opened:
            lookup.close()
