"""An upgrade without a stop: the schema first, while workers go on; then one worker after the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.upgrade.conftest import complaints
from tests.upgrade.previous import read


@pytest.mark.timeout(300)
def test_workers_of_the_release_before_go_on_while_the_schema_is_upgraded_and_are_replaced(
    old, new, load, eventually, database
):
    assert old.trib("migrate", "version").strip() == read().version
    new.trib("list", code=7)
    first = old.worker("first")
    with load.flowing():
        load.more(30)
        with psycopg.connect(database, autocommit=True) as sql, ThreadPoolExecutor(1) as pool:
            # somebody's statement: what is called by the signature before stays as long
            lasts = pool.submit(sql.execute, "select pg_sleep(3)")
            new.trib("migrate", "up")
            assert lasts.result(1)
        # the old one alone on the new schema
        before = load.codes()[str(old.tree)]
        load.more(20)
        eventually(lambda: load.codes()[str(old.tree)] > before + 20, 60, "the old worker goes on")
        second = new.worker("second")
        eventually(lambda: load.codes()[str(new.tree)] > 20, 60, "the new worker takes its part")
        before = load.codes()[str(old.tree)]
        eventually(lambda: load.codes()[str(old.tree)] > before + 5, 60, "so does the old one")
        assert first.stop() == 0
        load.more(20)
    load.check()
    assert complaints(first) == []
    assert complaints(second) == []
    assert second.stop() == 0
