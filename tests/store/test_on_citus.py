"""The protocol on a Citus cluster, only where one is given by TRIB_TEST_CITUS_URL or --citus. Not run so far.

The rest of the suite: `TRIB_TEST_CITUS_URL=… pytest --postgres=citus tests/store`, one test after another.
"""

from __future__ import annotations

import pytest

from tests import citus
from tests.guards.citus_sql import classes
from tests.store import protocol_kit as kit
from tributary_daemon.store import db

COUNT = 40
WORKER = "select tributary.register_process('psql', 'python', array['t.citus.v1'])"


@pytest.fixture
def cluster(request):
    url = request.config.getoption("--citus")
    if not url:
        pytest.skip("no Citus is given (TRIB_TEST_CITUS_URL)")
    with citus.fresh(url) as database, db.connect(database, application_name="test") as connection:
        yield connection


def submit(connection, count=COUNT):
    kit.offer(connection, "t.citus.v1")
    ask = "select tributary.submit_intent('t.citus.v1', jsonb_build_object('n', %s::integer))"
    return {str(kit.scalar(connection, ask, n)) for n in range(count)}


def claim(connection, process, most=COUNT):
    rows = connection.execute(
        "select run_id::text, token, payload from tributary.claim(%s, '{default}', '{t.citus.v1}', %s)",
        (process, most),
    ).fetchall()
    return {row[0]: row[1] for row in rows}


def states(connection):
    rows = connection.execute("select state::text, count(*) from tributary.steps group by 1").fetchall()
    return dict(rows)


def test_tables_lie_where_they_belong(cluster):
    rows = cluster.execute(
        "select logicalrelid::text, partmethod::text, colocationid from pg_dist_partition"
        " where logicalrelid::text like 'tributary.%'"
    ).fetchall()
    told = {name.removeprefix("tributary."): (method, group) for name, method, group in rows}
    assert {name for name, (method, _) in told.items() if method == "h"} == set(classes()["sharded"])
    assert len({group for method, group in told.values() if method == "h"}) == 1
    assert set(told) == {*classes()["sharded"], *classes()["everywhere"], *classes()["counters"]}


def test_intents_of_all_shards_are_claimed_and_finished(cluster):
    ids = submit(cluster)
    assert len({row[0] for row in cluster.execute("select shard from tributary.steps")}) > 1
    process = kit.scalar(cluster, WORKER)
    held = claim(cluster, process)
    assert set(held) == ids
    finished = [
        kit.scalar(
            cluster, "select tributary.finish(%s, %s, %s, 'completed', '{\"ok\": true}')", process, *one
        )
        for one in held.items()
    ]
    assert finished == [True] * COUNT
    assert states(cluster) == {"completed": COUNT}


def test_a_stale_token_is_refused_and_a_retry_comes_back(cluster):
    (run_id,) = submit(cluster, 1)
    process = kit.scalar(cluster, WORKER)
    token = claim(cluster, process)[run_id]
    ask = "select tributary.finish(%s, %s, %s, 'retry', null, 'no', '0 seconds')"
    assert kit.scalar(cluster, ask, process, run_id, token)
    assert not kit.scalar(cluster, ask, process, run_id, token)
    assert claim(cluster, process)[run_id] > token


def test_a_key_names_one_row(cluster):
    kit.offer(cluster, "t.citus.v1")
    ask = "select tributary.submit_intent('t.citus.v1', '{}', %s)"
    keys = [f"key {n}" for n in range(10)]
    assert [kit.scalar(cluster, ask, key) for key in keys] == [kit.scalar(cluster, ask, key) for key in keys]
    assert states(cluster) == {"available": len(keys)}


def test_a_cancel_reaches_its_shard(cluster):
    for run_id in submit(cluster, 5):
        assert kit.scalar(cluster, "select tributary.cancel(%s)", run_id)
    assert states(cluster) == {"cancelled": 5}


def test_it_can_be_undone(cluster):
    ids = submit(cluster)
    citus.apply(cluster, "citus_undo.sql")
    left = cluster.execute(
        "select from pg_dist_partition where logicalrelid::text like 'tributary.%'"
    ).fetchall()
    assert left == []
    assert set(claim(cluster, kit.scalar(cluster, WORKER))) == ids
