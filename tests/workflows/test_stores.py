"""The recipe of the step cache, run with each store but PostgreSQL, with which test_programs runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.cache_servers import MariaServer, RedisServer, serving
from tributary_daemon.store.cache.opening import open_store

PROGRAM = Path(__file__).resolve().parents[2] / "workflows" / "recipes" / "stores.py"


@pytest.fixture(scope="module")
def redis_server():
    """A server of Redis."""
    yield from serving(RedisServer)


@pytest.fixture(scope="module")
def maria_server():
    """A server of MariaDB."""
    yield from serving(MariaServer)


@pytest.mark.parametrize("kind", ["redis", "mysql", "sqlite", "memory"])
def test_the_same_batch_is_served_by_each_store(kind, request, database, tmp_path):
    match kind:
        case "redis":
            url = request.getfixturevalue("redis_server").url
        case "mysql":
            url = request.getfixturevalue("maria_server").url
        case "sqlite":
            url = f"sqlite:///{tmp_path / 'cache.db'}"
        case _:
            url = "memory"
    said = subprocess.run(
        [sys.executable, PROGRAM],
        env={**os.environ, "TRIB_DATABASE_URL": database, "TRIB_CACHE": url, "TRIB_CACHE_TIMEOUT": "20s",
             "TRIB_HOME": str(tmp_path), "HOME": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines() == [
        f"{kind} first completed 5224 fetched 3",
        f"{kind} second completed 5224 fetched 3",
    ], said.stderr
    with psycopg.connect(database) as connection:
        assert connection.execute("select count(*) from tributary.step_cache").fetchone() == (0,)
    if kind != "memory":
        store = open_store(url, 20)
        (stat,) = store.stats()
        store.close()
        assert (stat.step_name, stat.entries, stat.filling) == ("stores.fetch_rate.v1", 3, 0)
