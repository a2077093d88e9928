"""Retention by workflow: the newest N runs, the last N days, and nothing else."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store import prune_kit
from tributary_daemon.store import db, keeping, logs


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


def flow(name="t.kept.v1", **keep):
    return kit.workflow(name, {"a": (), "b": ("a",)}, keep=keep or None)


def finished(connection, process, spec, count, days=0.0):
    """Run a workflow so often, and date everything back by so many days; return the ids, oldest first."""
    made = []
    for _ in range(count):
        made.append(kit.start(connection, spec))
        while claimed := process.claim():
            process.finish(claimed)
    if days:
        back = [f"{days} days", made]
        connection.execute(
            "update tributary.runs set finished_at = finished_at - %s::interval where run_id = any (%s)", back
        )
    return made


def sweep(connection, *, limit=None, act=True, letters=None):
    under = keeping.KeepSweep(len(kit.shards(connection)), keep_letters=letters, act=act)
    batches = 0
    while not under.ended:
        if limit is not None:
            under._limit = limit
        db.run(connection, under.batch())
        batches += 1
    return under.by_name, batches


def runs(connection):
    return [str(row[0]) for row in connection.execute("select run_id from tributary.runs order by run_id")]


@pytest.mark.one_shard("writes what was said to shard 0")
def test_the_newest_stay_and_the_rest_goes_with_all_that_belongs_to_it(connection, process):
    other = finished(connection, process, flow("t.other.v1"), 2)
    made = finished(connection, process, flow(runs=3), 8)
    said = '[[0, "stdout", "x\\n"]]'
    logs.write(connection, 0, [
        logs.ChunkToWrite(run, ordinal, 1, 1, 0, 0, 0, 1, 2, said, None, None)
        for run in made
        for ordinal in (1, 2)
    ])  # fmt: skip
    assert sweep(connection, act=False)[0] == {"t.kept.v1": 5}
    assert runs(connection) == sorted([*other, *made])
    assert sweep(connection)[0] == {"t.kept.v1": 5}
    assert runs(connection) == sorted([*other, *made[5:]])
    assert prune_kit.left(connection, *made[:5]) == {}
    assert prune_kit.left(connection, *made[5:])["log_chunks"] == 6
    assert sweep(connection)[0] == {}


def test_unfinished_runs_neither_count_nor_go(connection, process):
    made = finished(connection, process, flow(runs=2), 4)
    live = [kit.start(connection, flow(runs=2)) for _ in range(3)]
    sweep(connection)
    assert runs(connection) == sorted([*made[2:], *live])


def test_days(connection, process):
    old = finished(connection, process, flow(days=30), 2, days=31)
    young = finished(connection, process, flow(days=30), 2, days=29)
    # ids tell when they were made: these were made just now, and cannot have ended a month ago
    assert sweep(connection)[0] == {}
    connection.execute("set tributary.fake_now = '2100-01-01T00:00:00Z'")
    connection.execute(
        "update tributary.runs set finished_at = tributary.clock() - interval '29 d' where run_id = any (%s)",
        [young],
    )
    assert sweep(connection)[0] == {"t.kept.v1": 2}
    assert runs(connection) == sorted(young)
    assert old


def test_a_run_goes_when_either_says_so(connection, process):
    made = finished(connection, process, flow(runs=4, days=30), 6)
    connection.execute("set tributary.fake_now = '2100-01-01T00:00:00Z'")
    stays = made[3:]
    connection.execute(
        "update tributary.runs set finished_at = tributary.clock() where run_id = any (%s)", [stays]
    )
    sweep(connection)
    assert runs(connection) == sorted(stays)


def test_zero_keeps_none(connection, process):
    finished(connection, process, flow(runs=0), 2)
    assert sweep(connection)[0] == {"t.kept.v1": 2}


def test_a_dead_letter_keeps_its_run(connection, process):
    run = kit.start(connection, flow(runs=0))
    process.finish(process.claim(), "discarded")
    assert sweep(connection)[0] == {}
    assert sweep(connection, letters=3600.0)[0] == {}
    connection.execute("delete from tributary.dead_letters where run_id = %s", (run,))
    assert sweep(connection)[0] == {"t.kept.v1": 1}


def test_many_batches_are_like_one(connection, process):
    finished(connection, process, flow(runs=1), 9)
    gone, batches = sweep(connection, limit=5)
    assert gone == {"t.kept.v1": 8}
    assert batches > 4


def test_what_somebody_holds_stays_until_the_next_sweep(connection, process, database):
    made = finished(connection, process, flow(runs=0), 3)
    with psycopg.connect(database) as holder:
        holder.execute("select tributary.retry(%s, array['b'])", (made[1],))
        connection.execute("set statement_timeout = '5s'")
        assert sweep(connection)[0] == {"t.kept.v1": 2}
        holder.rollback()
    assert runs(connection) == [made[1]]
    assert sweep(connection)[0] == {"t.kept.v1": 1}


def test_the_newest_revision_says_how_long(connection, process):
    finished(connection, process, flow(runs=5), 3)
    kit.save(connection, flow(runs=1))
    assert sweep(connection)[0] == {"t.kept.v1": 2}
    kit.save(connection, kit.workflow("t.kept.v1", {"a": ()}))
    finished(connection, process, flow(runs=5), 1)
    assert sweep(connection)[0] == {}
    # a revision that is known already says it again when it is registered
    revision = kit.save(connection, flow(runs=1))
    kit.scalar(connection, "select tributary.register_workflow('t.kept.v1', %s, null)", revision)
    assert sweep(connection)[0] == {"t.kept.v1": 1}


def test_child_runs_go_after_their_root_and_count_as_none(connection):
    kit.offer(connection)
    process = kit.Process(connection, names=(kit.NAME, "trib.workflow.v1"))
    inner = kit.workflow("t.inner.v1", {"x": ()}, keep={"runs": 9})
    outer = kit.workflow(
        "t.outer.v1", {"a": {"name": "trib.workflow.v1", "action": "workflow"}}, keep={"runs": 1}
    )
    child = {"revision": str(kit.save(connection, inner)), "name": inner.name, "inputs": {}}
    made = []
    for _ in range(3):
        made.append(kit.start(connection, outer))
        process.finish(process.claim(), "started", result=json.dumps(child))
        process.finish(process.claim())
    both = "select run_id::text from tributary.runs where root_id = any (%s::uuid[]) and state = 'completed'"
    assert len(connection.execute(both, [made]).fetchall()) == 6
    assert sweep(connection)[0] == {"t.outer.v1": 2}
    sweep(connection)
    left = {row[0] for row in connection.execute(both, [made])}
    assert len(left) == 2
    assert made[2] in left
    assert sweep(connection)[0] == {}
