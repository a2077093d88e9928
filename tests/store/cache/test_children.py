"""Sub-workflows with a cache: who keeps the result of a child run, and who holds the key until then."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from tests.store import protocol_kit as kit
from tests.store.cache.test_stores import key
from tributary_daemon.model.caching import Claim, Holder
from tributary_daemon.store.cache import holders
from tributary_daemon.store.contexts import Contexts

SUB = "trib.workflow.v1"
CHILD = kit.workflow("w.child.v1", {"a": ()})
STEP = {"name": SUB, "workflow": {"name": CHILD.name}, "cache": {}}


@pytest.fixture
def worker(connection):
    """A process that takes sub-workflows, too."""
    kit.offer(connection)
    return kit.Process(connection, names=(kit.NAME, kit.CLOSING, SUB))


@pytest.fixture
def lives(connection):
    """Return a function that tells whether a lease may still lead to a result."""
    count = len(kit.shards(connection))
    return lambda holder: holders.lives(connection, count, holder)


def begin(connection, worker, *, child=CHILD, **head):
    """Start a run whose step has started a child run to be kept; return the run, and who holds the key."""
    more = head.pop("steps", {})
    spec = kit.workflow("w.parent.v1", {"sub": STEP, **more}, **head)
    run = kit.start(connection, spec)
    (claimed,) = worker.claim(1)
    assert worker.finish([claimed], "started", result=begun(connection, child)) == []
    return run, Holder(run, claimed.ordinal, claimed.seq)


def begun(connection, child=CHILD):
    """Return what a process that is to make the result tells the database."""
    revision = str(kit.save(connection, child))
    return json.dumps(
        {"revision": revision, "name": child.name, "inputs": {}, "cached": key(step=child.name)._asdict()}
    )


def facts(connection, claimed):
    """Return the surroundings of a claimed step as a process loads them."""
    flags = kit.row(connection, claimed.run_id, claimed.step_id)["flags"]
    wanted = SimpleNamespace(**claimed._asdict() | {"flags": flags})
    shard = kit.shard_of(connection, claimed.run_id)
    return Contexts().load(connection, shard, [wanted])[claimed.run_id, claimed.ordinal]


def test_the_end_of_a_child_run_brings_its_step_back_to_who_keeps_the_result(connection, worker, lives):
    kit.watch_transitions(connection)
    run, holder = begin(connection, worker, steps={"after": {"needs": ("sub",)}})
    before = kit.row(connection, run, "sub")
    assert lives(holder)
    assert worker.finish(worker.claim(), result='{"n": 1.0}') == []
    assert kit.states(connection, run) == {"sub": "available", "after": "blocked"}
    kit.check_invariants(connection)
    # the key is held by the lease that stood when it was asked for
    assert lives(holder)
    (claimed,) = worker.claim()
    assert (claimed.step_id, claimed.attempt) == ("sub", 1)
    assert claimed.seq > holder.seq
    assert lives(holder)
    assert facts(connection, claimed).ended_child == ({"a": {"n": 1}}, Claim(key(step="w.child.v1"), holder))
    assert worker.finish([claimed], result='{"a": {"n": 1.0}}') == []
    after = kit.row(connection, run, "sub")
    # it has begun when its child run did
    assert (after["state"], after["attempt"], after["started_at"]) == ("completed", 1, before["started_at"])
    assert lives(holder)
    connection.execute(
        "update tributary.steps set finished_at = finished_at - interval '6s' where step_id = 'sub'"
    )
    assert not lives(holder)
    assert worker.work_off() == 1
    assert kit.run_row(connection, run)[0] == "completed"
    assert ("waiting", "available") in kit.check_transitions(connection)
    kit.check_invariants(connection)


def test_a_child_run_that_keeps_nothing_ends_its_step_at_once(connection, worker):
    run = kit.start(connection, kit.workflow("w.parent.v1", {"sub": STEP}))
    child = json.loads(begun(connection))
    del child["cached"]
    worker.finish(worker.claim(), "started", result=json.dumps(child))
    assert worker.work_off() == 1
    assert kit.states(connection, run) == {"sub": "completed"}


@pytest.mark.parametrize("end", ["discarded", "cancelled", "parent"])
def test_who_fails_or_is_cancelled_holds_nothing(connection, worker, lives, end):
    run, holder = begin(connection, worker)
    if end == "discarded":
        worker.finish(worker.claim(), "discarded")
    else:
        child = kit.scalar(connection, "select run_id from tributary.runs where parent_run_id = %s", run)
        kit.scalar(connection, "select tributary.cancel(%s)", child if end == "cancelled" else run)
    assert not lives(holder)
    assert kit.states(connection, run) == {"sub": "cancelled" if end == "parent" else "discarded"}
    kit.check_invariants(connection)


def test_the_next_attempt_of_the_step_starts_a_child_run_of_its_own(connection, worker, lives):
    spec = kit.workflow("w.parent.v1", {"sub": {**STEP, "options": {"max_attempts": 2}}})
    run = kit.start(connection, spec)
    (claimed,) = worker.claim()
    worker.finish([claimed], "started", result=begun(connection))
    worker.finish(worker.claim(), "discarded")
    assert kit.states(connection, run) == {"sub": "scheduled"}
    assert not lives(Holder(run, claimed.ordinal, claimed.seq))
    kit.advance(connection, "1 hour")
    worker.beat()
    (again,) = worker.claim()
    assert facts(connection, again).ended_child is None
    assert again.attempt == 2
    assert lives(Holder(run, again.ordinal, again.seq))


@pytest.mark.parametrize("ended", [False, True])
def test_a_retry_begins_with_another_child_run(connection, worker, lives, ended):
    run, holder = begin(connection, worker, steps={"bad": {"hook": None}})
    (bad, inner) = sorted(worker.claim(), key=lambda item: item.step_id == "a")
    worker.finish([inner], result="1")
    (claimed,) = worker.claim()
    if ended:
        worker.finish([claimed], result='{"a": 1}')
        worker.finish([bad])
        kit.scalar(connection, "select tributary.retry(%s, array['sub'])", run)
    else:
        kit.scalar(connection, "select tributary.cancel(%s)", run)
        kit.scalar(connection, "select tributary.retry(%s)", run)
    assert not lives(holder)
    (again,) = (item for item in worker.claim() if item.step_id == "sub")
    found = facts(connection, again)
    assert found.ended_child is None
    assert kit.row(connection, run, "sub")["flags"] & 8192 == 0
    worker.finish([again], "started", result=begun(connection))
    assert lives(Holder(run, again.ordinal, again.seq))
    kit.check_invariants(connection)


def test_a_process_that_dies_while_it_keeps_the_result_gives_the_step_back(connection, worker, lives):
    run, holder = begin(connection, worker)
    worker.finish(worker.claim(), result="1")
    other = kit.Process(connection, names=worker.names)
    started = kit.row(connection, run, "sub")["started_at"]
    (lost,) = other.claim()
    # it may be executed once: that was its child run
    assert lost.max_attempts == 1
    other.fall_silent()
    assert kit.rescue(connection) == 1
    assert lives(holder)
    assert other.finish([lost], result="2") == [(lost.run_id, lost.ordinal, lost.seq)]
    (claimed,) = worker.claim()
    assert (claimed.attempt, facts(connection, claimed).ended_child[0]) == (1, {"a": 1})
    worker.finish([claimed], result='{"a": 1}')
    after = kit.row(connection, run, "sub")
    assert (after["state"], after["started_at"]) == ("completed", started)
    kit.check_invariants(connection)


def test_a_paused_run_keeps_the_result_when_it_goes_on(connection, worker, lives):
    run, holder = begin(connection, worker)
    inner = worker.claim()
    kit.scalar(connection, "select tributary.pause_run(%s)", run)
    worker.finish(inner, result="1")
    assert kit.states(connection, run) == {"sub": "waiting"}
    assert worker.claim() == []
    assert lives(holder)
    kit.check_invariants(connection)
    kit.scalar(connection, "select tributary.resume_run(%s)", run)
    (claimed,) = worker.claim()
    assert facts(connection, claimed).ended_child[1].holder == holder


def test_who_asks_within_what_it_waits_for_is_known(connection, worker):
    count = len(kit.shards(connection))
    inner = kit.workflow("w.inner.v1", {"deep": STEP})
    run, holder = begin(connection, worker, child=inner)
    (middle,) = worker.claim()
    worker.finish([middle], "started", result=begun(connection))
    (leaf,) = worker.claim()
    deep = Holder(leaf.run_id, leaf.ordinal, leaf.seq)
    for above in (holder, Holder(middle.run_id, middle.ordinal, middle.seq)):
        assert holders.is_above(connection, count, above, deep)
        assert not holders.is_above(connection, count, deep, above)
    assert not holders.is_above(connection, count, holder, holder)
    other = kit.start(connection, kit.workflow("w.parent.v1", {"sub": STEP}))
    assert not holders.is_above(connection, count, holder, Holder(other, 1, 1))
    assert kit.states(connection, run) == {"sub": "waiting"}
