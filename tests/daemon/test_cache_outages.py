"""A store of the step cache that is away, silent or forgetful: work goes on, and it is told once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cache_servers import REDIS, RedisServer
from tests.daemon.test_step_cache import price, until


@pytest.fixture
def redis_server():
    """A server of Redis of its own."""
    if REDIS is None:
        pytest.skip("no redis-server for the tests: apt-get install redis-server")
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


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
