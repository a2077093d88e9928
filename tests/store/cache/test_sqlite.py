"""What a file of SQLite has that servers do not: whoever comes first makes it, and locks are the file's."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tributary_daemon.store.cache.sqlite import open_store

AT_ONCE, FILES = 8, 60


def test_whoever_opens_a_new_file_at_the_same_moment_gets_it(tmp_path):
    """Unmended, one file in ten refused somebody."""

    def opened(url, start):
        start.wait()
        store = open_store(url, 20)
        try:
            return store.stats()
        finally:
            store.close()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number in range(FILES):
            start = threading.Barrier(AT_ONCE)
            url = f"sqlite:///{tmp_path / f'{number}.db'}"
            asked = [threads.submit(opened, url, start) for _ in range(AT_ONCE)]
            assert [one.result(30) for one in asked] == [[]] * AT_ONCE


def test_a_file_that_stays_locked_is_refused_when_the_time_is_over(tmp_path):
    path = tmp_path / "cache.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    began = time.monotonic()
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        open_store(f"sqlite:///{path}", 0.3)
    assert time.monotonic() - began >= 0.3
    other.execute("rollback")
    other.close()
    open_store(f"sqlite:///{path}", 0.3).close()
