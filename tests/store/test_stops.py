"""Runs that are stopped in the very moment in which they end, and what their hooks then may do."""

from __future__ import annotations

import json

import pytest

from tests.store import protocol_kit as kit
from tests.store.test_groups import group_step, promote

SUB = "trib.workflow.v1"
HOOKS = {"told": {"hook": "on_failure"}, "undo": {"hook": "on_cancel"}, "last": {"hook": "finally"}}


@pytest.fixture
def worker(connection):
    kit.offer(connection)
    return kit.Process(connection, names=(kit.NAME, kit.CLOSING, SUB))


def ending(connection, run_id):
    return connection.execute(
        "select state::text, ending::text, phase, reason from tributary.runs where run_id = %s", (run_id,)
    ).fetchone()


def begun(connection, child, name="w.child.v1"):
    return json.dumps({"revision": str(kit.save(connection, child)), "name": name, "inputs": {}})


@pytest.mark.parametrize("fail_fast", [False, True])
def test_an_abort_by_the_last_step_leaves_the_hooks_that_it_calls_alone(connection, worker, fail_fast):
    run = kit.start(connection, kit.workflow("w.last.v1", {"a": (), **HOOKS}, fail_fast=fail_fast))
    assert worker.finish(worker.claim(), "aborted") == []
    assert kit.states(connection, run)["told"] == "available"
    assert worker.work_off() == 2
    assert kit.states(connection, run) == {
        "a": "discarded", "told": "completed", "undo": "skipped", "last": "completed"
    }  # fmt: skip
    assert ending(connection, run) == ("failed", None, "steps", "aborted")


@pytest.mark.parametrize("word", ["completed", "discarded"])
@pytest.mark.parametrize("behind", [{}, {"rest": {"hook": "finally", "needs": ("last",)}}])
def test_an_abort_by_a_hook_ends_the_run_and_what_is_left_of_its_hooks(connection, worker, word, behind):
    run = kit.start(connection, kit.workflow("w.hook.v1", {"a": (), **HOOKS, **behind}))
    worker.finish(worker.claim(), word)
    if word == "discarded":
        worker.finish(worker.claim())
    (last,) = worker.claim()
    assert worker.finish([last], "aborted") == []
    assert ending(connection, run) == ("failed", None, "steps", "aborted")
    assert kit.scalar(connection, "select count(*) from tributary.steps where finished_at is null") == 0


def test_a_cancel_ends_the_closing_step_before_the_hooks_begin(connection, worker):
    run = kit.start(connection, kit.workflow("w.closing.v1", {"a": (), **HOOKS}, result=1))
    worker.finish(worker.claim())
    closing = worker.claim()
    assert [claimed.kind for claimed in closing] == ["closing"]
    kit.scalar(connection, "select tributary.cancel(%s)", run)
    assert len(worker.finish(closing, result="1")) == 1, "the lease is lost"
    assert ending(connection, run)[:3] == ("running", "cancelled", "on_cancel")
    assert worker.work_off() == 2
    assert kit.states(connection, run)["undo"] == kit.states(connection, run)["last"] == "completed"
    assert ending(connection, run)[0] == "cancelled"
    # none of it is left behind
    assert kit.scalar(connection, "select count(*) from tributary.steps where finished_at is null") == 0


@pytest.mark.parametrize(("end", "state"), [("completed", "completed"), ("cancelled", "discarded")])
def test_what_a_child_makes_of_the_step_that_waits_for_it_is_a_known_transition(
    connection, worker, end, state
):
    kit.watch_transitions(connection)
    child = kit.workflow("w.child.v1", {"a": ()})
    parent = kit.start(connection, kit.workflow("w.parent.v1", {"sub": {"name": SUB}}))
    worker.finish(worker.claim(), "started", result=begun(connection, child))
    if end == "completed":
        worker.finish(worker.claim())
    else:
        run = kit.scalar(connection, "select run_id from tributary.runs where parent_run_id = %s", parent)
        kit.scalar(connection, "select tributary.cancel(%s)", run)
    assert kit.states(connection, parent) == {"sub": state}
    assert ("waiting", state) in kit.check_transitions(connection)


def test_the_end_of_a_child_that_was_given_up_is_none_of_the_next_one(connection, worker):
    child = kit.workflow("w.child.v1", {"a": (), "undo": {"hook": "on_cancel"}})
    parent = kit.start(connection, kit.workflow("w.parent.v1", {"sub": {"name": SUB}}))
    worker.finish(worker.claim(), "started", result=begun(connection, child))
    kit.scalar(connection, "select tributary.cancel(%s)", parent)
    (hook,) = worker.claim()
    kit.scalar(connection, "select tributary.retry(%s)", parent)
    worker.finish(worker.claim(), "started", result=begun(connection, child))
    worker.finish([hook])
    assert kit.states(connection, parent) == {"sub": "waiting"}
    assert worker.work_off() == 1
    assert kit.states(connection, parent) == {"sub": "completed"}
    assert kit.run_row(connection, parent)[0] == "completed"


def test_a_child_may_end_while_the_one_before_it_still_runs_its_hooks(connection, worker):
    child = kit.workflow("w.child.v1", {"a": (), "undo": {"hook": "on_cancel"}})
    parent = kit.start(connection, kit.workflow("w.parent.v1", {"sub": {"name": SUB}}))
    worker.finish(worker.claim(), "started", result=begun(connection, child))
    kit.scalar(connection, "select tributary.cancel(%s)", parent)
    hook = worker.claim()
    kit.scalar(connection, "select tributary.retry(%s)", parent)
    worker.finish(worker.claim(), "started", result=begun(connection, child))
    worker.work_off()
    assert kit.run_row(connection, parent)[0] == "completed"
    assert worker.finish(hook) == []
    assert kit.states(connection, parent) == {"sub": "completed"}


def both(connection, worker, parent_hooks, child_hooks):
    """Claim the last step of a child together with a step of its parent, which fails fast."""
    child = kit.workflow("w.child.v1", {"a": (), **child_hooks})
    spec = kit.workflow("w.parent.v1", {"sub": {"name": SUB}, "x": (), **parent_hooks}, fail_fast=True)
    parent = kit.start(connection, spec)
    starts, other = worker.claim()
    worker.finish([starts], "started", result=begun(connection, child))
    return parent, [*worker.claim(), other]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("word", ["completed", "discarded"])
def test_a_parent_and_its_child_that_end_in_one_batch_run_their_hooks(connection, worker, word, turned):
    parent, held = both(connection, worker, HOOKS, HOOKS)
    outcomes = [word, "discarded"]
    if turned:
        held, outcomes = held[::-1], outcomes[::-1]
    worker.finish(held, outcomes)
    parents = kit.states(connection, parent)
    assert parents["told"] == "available"
    worker.work_off()
    assert kit.states(connection, parent) == {
        "sub": parents["sub"], "x": "discarded", "told": "completed", "undo": "skipped", "last": "completed"
    }  # fmt: skip
    assert kit.scalar(connection, "select count(*) from tributary.steps where finished_at is null") == 0


def test_what_had_failed_before_a_retry_does_not_stop_it(connection, worker):
    spec = kit.workflow("w.fast.v1", {"a": (), "b": (), "c": ()}, fail_fast=True)
    run = kit.start(connection, spec)
    held = worker.claim()
    worker.finish(held[2:], "discarded")
    assert kit.states(connection, run) == {"a": "cancelled", "b": "cancelled", "c": "discarded"}
    kit.scalar(connection, "select tributary.retry_only(%s, array['a', 'b'])", run)
    a, b = worker.claim()
    worker.finish([a])
    assert kit.states(connection, run)["b"] == "running"
    assert worker.finish([b]) == []
    assert kit.run_row(connection, run)[0] == "failed"


def test_a_step_that_gets_the_slot_of_its_group_keeps_to_the_limit_of_its_run(connection, worker):
    other = kit.start(connection, kit.workflow("w.other.v1", {"a": ()}))
    holder = worker.claim()
    assert group_step(connection, worker, holder[0]) == "held"
    run = kit.start(connection, kit.workflow("w.par.v1", dict.fromkeys("abcd", ()), max_parallel=2))
    a, b = worker.claim()
    assert group_step(connection, worker, a) == "queued"
    worker.finish([b])
    assert kit.states(connection, run) == {
        "a": "waiting", "b": "completed", "c": "available", "d": "available"
    }  # fmt: skip
    running = worker.claim()
    worker.finish(holder)
    kit.scalar(connection, "select tributary.leave_group({shard}, %s, 1)", other)
    promote(connection)
    assert worker.claim() == []
    worker.finish(running[:1])
    assert [claimed.step_id for claimed in worker.claim()] == ["a"]


def test_a_step_that_gets_its_slot_while_its_run_is_paused_waits_for_that(connection, worker):
    other = kit.start(connection, kit.workflow("w.other.v1", {"a": ()}))
    holder = worker.claim()
    assert group_step(connection, worker, holder[0]) == "held"
    run = kit.start(connection, kit.workflow("w.par.v1", dict.fromkeys("ab", ()), max_parallel=1))
    assert group_step(connection, worker, worker.claim()[0]) == "queued"
    kit.scalar(connection, "select tributary.pause_run(%s)", run)
    worker.finish(holder)
    kit.scalar(connection, "select tributary.leave_group({shard}, %s, 1)", other)
    promote(connection)
    assert kit.row(connection, run, "a")["reason"] == "paused"
    kit.scalar(connection, "select tributary.resume_run(%s)", run)
    assert [claimed.step_id for claimed in worker.claim()] == ["a"]


def test_a_step_that_waits_for_its_group_leaves_its_room_to_others(connection, worker):
    kit.start(connection, kit.workflow("w.other.v1", {"a": ()}))
    assert group_step(connection, worker, worker.claim()[0]) == "held"
    kit.start(connection, kit.workflow("w.par.v1", dict.fromkeys("ab", ()), max_parallel=1))
    (first,) = worker.claim()
    assert (first.step_id, group_step(connection, worker, first)) == ("a", "queued")
    assert [claimed.step_id for claimed in worker.claim()] == ["b"]


def test_a_timeout_tells_what_the_workflow_says_whenever_the_run_began(connection, worker):
    run = kit.start(connection, kit.workflow("w.late.v1", {"a": ()}, timeout=90.0))
    worker.finish(worker.claim(), "discarded")
    kit.advance(connection, "1 hour")
    kit.scalar(connection, "select tributary.retry(%s)", run)
    kit.advance(connection, "2 minutes")
    assert kit.everywhere(connection, "expire_runs", 10) == 1
    error = kit.scalar(connection, "select error ->> 'message' from tributary.runs where run_id = %s", run)
    assert error == "the run had not ended after its timeout of 90 s"


def test_a_run_that_was_paused_cancelled_and_retried_is_paused_no_more(connection, worker):
    run = kit.start(connection, kit.workflow("w.again.v1", {"a": ()}, result=1))
    for word in ("pause_run", "cancel", "retry"):
        kit.scalar(connection, f"select tributary.{word}(%s)", run)
    worker.finish(worker.claim())
    # an attempt that comes back would wait to be resumed
    worker.finish(worker.claim(), "released")
    assert worker.work_off() == 1
    assert kit.run_row(connection, run)[0] == "completed"


def test_a_cancel_lets_a_child_that_is_at_its_hooks_come_to_its_end(connection, worker):
    child = kit.workflow("w.child.v1", {"a": (), "clean": {"hook": "finally"}})
    parent = kit.start(connection, kit.workflow("w.parent.v1", {"sub": {"name": SUB}}))
    worker.finish(worker.claim(), "started", result=begun(connection, child))
    worker.finish(worker.claim())
    kit.scalar(connection, "select tributary.cancel(%s)", parent)
    assert worker.work_off() == 1
    assert kit.states(connection, parent) == {"sub": "cancelled"}
    state = "select state::text from tributary.runs where parent_run_id = %s"
    assert kit.scalar(connection, state, parent) == "completed"
