"""Pruning: what goes, what stays, and that nothing of what goes is left behind."""

from __future__ import annotations

import dataclasses
import json

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store import prune_kit
from tests.store.prune_kit import DAY, MONTH, left, sweep
from tributary_daemon.errors import KeyConflict
from tributary_daemon.store import db, pruning

pytestmark = pytest.mark.one_shard("counts the batches of a sweep, which are of one shard each")

LETTERS_TOO = dataclasses.replace(MONTH, keep_letters=30 * DAY)
ONCE = {"max_attempts": 1}
CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
AWAY = {"options": {"timeout": 60.0}}  # its payload lies in a row of its own


@pytest.fixture(autouse=True)
def _invariants(connection):
    kit.offer(connection)
    yield
    kit.check_invariants(connection)


@pytest.fixture
def process(connection):
    return kit.Process(connection)


def test_an_intent_goes_with_all_that_belongs_to_it(connection, process):
    done = kit.intent(connection, idempotency_key="k")
    claimed = process.claim()
    kit.scalar(connection, "select tributary.save_progress({shard}, %s, 0, %s, '1')", done, claimed[0].seq)
    process.finish(claimed, "retry", delay=0)
    assert process.work_off() == 1
    assert set(left(connection, done)) == {"steps", "payloads", "keys", "attempts", "event_log", "progress"}
    assert sweep(connection) == (0, 0, 2)
    kit.advance(connection, "29 days")
    assert sweep(connection) == (0, 0, 2)
    kit.advance(connection, "2 days")
    assert sweep(connection) == (0, 1, 2)
    assert left(connection) == {}


def test_a_run_goes_with_all_that_belongs_to_it(connection, process):
    run = kit.start(connection, kit.workflow("w", CHAIN, result="${{ steps.c.result }}"), key="k")
    process.finish(process.claim(), "retry", delay=0)
    process.work_off()
    assert kit.run_row(connection, run)[0] == "completed"
    assert set(left(connection, run)) == {
        "runs", "steps", "payloads", "edges", "keys", "attempts", "event_log",
    }  # fmt: skip
    kit.advance(connection, "31 days")
    assert sweep(connection) == (1, 0, 2)
    assert left(connection) == {}
    assert kit.scalar(connection, "select count(*) from tributary.revisions") == 1


def test_unfinished_work_stays_whatever_its_age(connection, process):
    ready, running, scheduled = (kit.intent(connection) for _ in range(3))
    unknown = kit.intent(connection, "t.unknown.v1")
    run = kit.start(connection, kit.workflow("w", CHAIN))
    claimed = {item.run_id: item for item in process.claim()}
    assert process.finish([claimed[scheduled]], "snoozed", delay=400 * DAY) == []
    assert process.finish([claimed[ready]], "released") == []
    assert process.finish([claimed[run]]) == []
    assert kit.row(connection, running)["state"] == "running"
    before = left(connection)
    kit.advance(connection, "365 days")
    assert sweep(connection) == (0, 0, 2)
    assert left(connection) == before
    assert left(connection, unknown) == {"steps": 1, "payloads": 1}


def test_what_ended_late_stays_until_its_own_time_has_come(connection, process):
    early, late = kit.intent(connection), kit.intent(connection)
    claimed = {item.run_id: item for item in process.claim()}
    process.finish([claimed[early]])
    kit.advance(connection, "20 days")
    process.beat()
    process.finish([claimed[late]])
    kit.advance(connection, "20 days")
    assert sweep(connection).intents == 1
    assert (left(connection, early), left(connection, late)) == ({}, {"steps": 1})
    kit.advance(connection, "20 days")
    assert sweep(connection).intents == 1


def test_a_key_is_free_again(connection, process):
    first = kit.intent(connection, idempotency_key="k")
    run = kit.start(connection, kit.workflow("w", CHAIN), key="r")
    process.work_off()
    assert kit.intent(connection, idempotency_key="k") == first
    with pytest.raises(KeyConflict):
        db.run(connection, _submit_other("r"))
    kit.advance(connection, "31 days")
    sweep(connection)
    second = kit.intent(connection, idempotency_key="k")
    assert second != first
    assert kit.start(connection, kit.workflow("w", CHAIN), key="r") != run
    assert left(connection, second) == {"steps": 1, "payloads": 1, "keys": 1}


def _submit_other(key):
    yield db.Query("select tributary.submit_intent(%(name)s, '{}', %(key)s)", {"name": kit.NAME, "key": key})


def test_a_dead_letter_keeps_its_work(connection, process):
    intent = kit.intent(connection)
    run = kit.start(connection, kit.workflow("w", CHAIN))
    process.work_off("discarded")
    kit.advance(connection, "31 days")
    assert sweep(connection) == (0, 0, 2)
    assert sweep(connection, dataclasses.replace(MONTH, keep_letters=60 * DAY)) == (0, 0, 2)
    connection.execute("delete from tributary.dead_letters where run_id = %s", (intent,))
    connection.execute("update tributary.steps set reason = 'dropped' where run_id = %s", (intent,))
    assert sweep(connection) == (0, 1, 2)
    assert kit.scalar(connection, "select tributary.requeue(%s, 'a')", run) == "running"
    assert sweep(connection, LETTERS_TOO) == (0, 0, 2)
    process.beat()
    process.work_off("discarded")
    kit.advance(connection, "31 days")
    assert sweep(connection, LETTERS_TOO) == (1, 0, 2)
    assert left(connection) == {}


def test_a_tolerated_failure_keeps_nothing(connection, process):
    run = kit.start(connection, kit.workflow("w", {"a": {"continue_on_error": True}}))
    process.work_off("discarded")
    assert kit.run_row(connection, run)[:1] == ("completed",)
    kit.advance(connection, "31 days")
    assert sweep(connection) == (1, 0, 2)
    assert left(connection) == {}


def test_only_the_states_and_the_tenant_that_were_asked_for(connection, process):
    kept = kit.intent(connection, tenant="other")
    process.work_off()
    cancelled, run = kit.intent(connection), kit.start(connection, kit.workflow("w", CHAIN))
    for work in (cancelled, run):
        kit.scalar(connection, "select tributary.cancel(%s)", work)
    kit.advance(connection, "31 days")
    assert sweep(connection, dataclasses.replace(MONTH, states=("failed", "discarded"))) == (0, 0, 2)
    assert sweep(connection, dataclasses.replace(MONTH, states=("completed",), tenant="")) == (0, 0, 2)
    assert sweep(connection, dataclasses.replace(MONTH, states=("cancelled",), tenant="")) == (1, 1, 2)
    assert left(connection) == left(connection, kept)
    assert sweep(connection, dataclasses.replace(MONTH, tenant="other")) == (0, 1, 2)


def test_children_stay_as_long_as_their_root(connection, process):
    root, child = (kit.start(connection, kit.workflow("w", CHAIN)) for _ in range(2))
    connection.execute(
        "update tributary.runs set root_id = %s, parent_run_id = %s where run_id = %s", (root, root, child)
    )
    claimed = process.claim()
    process.finish([item for item in claimed if item.run_id == child])
    while of_child := [item for item in process.claim() if item.run_id == child]:
        process.finish(of_child)
    assert kit.run_row(connection, child)[0] == "completed"
    kit.advance(connection, "31 days")
    assert sweep(connection) == (0, 0, 2)
    kit.scalar(connection, "select tributary.cancel(%s)", root)
    kit.advance(connection, "31 days")
    assert sweep(connection, limit=1).runs == 2
    assert left(connection) == {}


@pytest.fixture
def failed_child(connection):
    """Return a root that failed with its child run, and the child."""
    worker = kit.Process(connection, names=(kit.NAME, "trib.workflow.v1"))
    inner = kit.workflow("w.child.v1", {"a": ()})
    root = kit.start(connection, kit.workflow("w", {"sub": {"name": "trib.workflow.v1", "options": ONCE}}))
    begun = {"revision": str(kit.save(connection, inner)), "name": inner.name, "inputs": {}}
    worker.finish(worker.claim(), "started", result=json.dumps(begun))
    worker.finish(worker.claim(), "discarded")
    child = kit.scalar(connection, "select run_id::text from tributary.runs where parent_run_id = %s", root)
    assert [kit.run_row(connection, run)[0] for run in (root, child)] == ["failed", "failed"]
    return root, child


def test_a_root_stays_while_a_child_of_it_works_again(connection, process, failed_child):
    root, child = failed_child
    kit.advance(connection, "31 days")
    process.beat()
    kit.scalar(connection, "select tributary.retry(%s)", child)
    assert sweep(connection, LETTERS_TOO) == (0, 0, 2)
    assert process.work_off() == 1
    assert kit.run_row(connection, child)[0] == "completed"
    assert sweep(connection, LETTERS_TOO).runs == 1
    assert left(connection, root) == {}
    kit.advance(connection, "31 days")
    assert sweep(connection, LETTERS_TOO).runs == 1
    assert left(connection) == {}


def test_a_child_whose_root_is_gone_is_not_retried(connection, failed_child):
    """Pruning takes the root first, and the child with a later batch."""
    root, child = failed_child
    connection.execute("delete from tributary.runs where run_id = %s", (root,))
    with pytest.raises(psycopg.Error) as caught:
        kit.scalar(connection, "select tributary.retry(%s)", child)
    assert caught.value.sqlstate == "TR003"
    assert kit.run_row(connection, child)[0] == "failed"


def test_ids_that_somebody_made_up_are_found_too(connection, process):
    made_up = ["00000000-0000-4000-8000-000000000001", "ffffffff-0000-4000-8000-000000000002"]
    for intent in made_up:
        connection.execute(
            "insert into tributary.workflow_intent (intent_id, name, payload) values (%s, %s, '{}')",
            (intent, kit.NAME),
        )
    process.work_off()
    kit.advance(connection, "31 days")
    assert sweep(connection).intents == 2
    assert left(connection) == {}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
def test_windows_of_any_size_find_the_same(connection, process, limit):
    for number in range(12):
        kit.intent(connection, idempotency_key=f"k{number}" if number % 3 else None)
        kit.start(connection, kit.workflow("w", CHAIN), key=f"r{number}" if number % 2 else None)
    process.work_off()
    stays = [kit.intent(connection), kit.start(connection, kit.workflow("w", CHAIN))]
    kit.advance(connection, "31 days")
    assert sweep(connection, limit=limit, act=pruning.count)[:2] == (12, 12)
    assert sweep(connection, limit=limit)[:2] == (12, 12)
    assert left(connection) == left(connection, *stays)


def test_a_wide_run_goes_in_bounded_batches_and_is_gone_at_once(connection, process):
    parents = {f"p{number}": AWAY for number in range(20)}
    children = {f"c{number}": {"needs": tuple(parents), **AWAY} for number in range(20)}
    run = kit.start(connection, kit.workflow("w", {**parents, **children}), key="k")
    process.work_off()
    kit.advance(connection, "31 days")
    place, batches, before = pruning.START, 0, left(connection)
    assert before == {"runs": 1, "steps": 40, "payloads": 41, "edges": 400, "keys": 1}
    while place is not None:
        place = db.run(connection, pruning.prune(0, MONTH, place, 30)).next
        batches += 1
        after = left(connection)
        assert "runs" not in after
        assert "keys" not in after
        for table, rows in after.items():
            assert before[table] - rows <= 31, table
        before = after
    assert batches > 13
    assert left(connection) == {}
    assert kit.start(connection, kit.workflow("w", CHAIN), key="k") != run


def test_what_a_broken_off_sweep_left_is_found_by_the_next(connection, process):
    kit.start(connection, kit.workflow("w", {f"s{number}": AWAY for number in range(40)}))
    process.work_off()
    kit.advance(connection, "31 days")
    assert db.run(connection, pruning.prune(0, MONTH, pruning.START, 10))[:2] == (1, 0)
    assert left(connection) == {"steps": 30, "payloads": 30}
    assert sweep(connection, limit=7)[:2] == (0, 0)
    assert left(connection) == {}


def test_a_sweep_object_passes_all_shards_and_adapts_its_batches(connection, process):
    for _ in range(2_000):
        kit.intent(connection)
    process.beat()  # filling takes a while on a busy machine
    process.work_off(most=500)
    kit.advance(connection, "31 days")
    under_way, batches = pruning.Sweep(MONTH, 2), 0
    while not under_way.ended:
        db.run(connection, under_way.batch())
        batches += 1
        assert under_way.pause > 0
    assert (under_way.runs, under_way.intents) == (0, 2_000)
    assert 0 < under_way.idle < under_way.seconds
    # 250 rows at first, then as many as fit into 15 ms; shard 1 is empty
    assert 4 <= batches <= 60
    assert prune_kit.left(connection) == {}
