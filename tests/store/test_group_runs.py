"""Whole runs in concurrency groups: what their hooks, and steps that wait for another reason, may do."""

from __future__ import annotations

import pytest

from tests.store import protocol_kit as kit
from tests.store.test_groups import members, promote

NEWEST = {"group": "etl", "limit": 1, "on_limit": "cancel_running"}


@pytest.fixture
def offered(connection):
    kit.offer(connection)
    return connection


def test_the_slot_of_a_run_that_is_ousted_is_free_when_its_hooks_have_ended(offered):
    hooked = kit.workflow("w.h.v1", {"a": (), "undo": {"needs": (), "hook": "on_cancel"}}, concurrency=NEWEST)
    first, second = (kit.start(offered, hooked) for _ in range(2))
    for _ in range(3):
        promote(offered)
    assert kit.states(offered, first) == {"a": "cancelled", "undo": "available"}
    assert members(offered) == {first: "held", second: "waiting"}
    # a third one takes the place of the second, and leaves the hooks of the first alone
    third = kit.start(offered, hooked)
    for _ in range(3):
        promote(offered)
    worker = kit.Process(offered)
    (hook, other) = worker.claim(2)
    assert {hook.run_id, other.run_id} == {first, second}, "who waited has hooks, too, and no slot"
    assert members(offered) == {first: "held", third: "waiting"}
    worker.finish([hook, other])
    promote(offered)
    assert kit.run_row(offered, first)[0] == "cancelled"
    assert kit.states(offered, first)["undo"] == "completed"
    assert members(offered) == {third: "held"}


def test_a_pause_lets_no_step_of_a_run_past_its_group(offered):
    spec = kit.workflow(
        "w.par.v1", {"a": (), "b": ()}, max_parallel=1, concurrency={**NEWEST, "on_limit": "queue"}
    )
    first, second = (kit.start(offered, spec) for _ in range(2))
    kit.scalar(offered, "select tributary.pause_run(%s)", second)
    kit.scalar(offered, "select tributary.resume_run(%s)", second)
    assert kit.states(offered, second) == {"a": "waiting", "b": "waiting"}
    kit.scalar(offered, "select tributary.cancel(%s)", first)
    promote(offered)
    assert kit.states(offered, second) == {"a": "available", "b": "waiting"}
    worker = kit.Process(offered)
    assert worker.work_off() == 2


def test_what_belongs_to_a_holder_works_under_its_slot(offered):
    group = {"group": "etl", "limit": 1, "on_limit": "queue"}
    parent = kit.workflow("w.parent.v1", {"sub": {"name": "trib.workflow.v1"}}, concurrency=group)
    ousting = {**group, "on_limit": "cancel_running"}
    child = kit.workflow("w.child.v1", {"a": (), "b": ("a",)}, concurrency=ousting)
    run = kit.start(offered, parent)
    stranger = kit.start(offered, child)
    enter = "select tributary.enter_group({shard}, '', 'etl', 1, 'queue', %s, %s)"
    assert kit.scalar(offered, enter, run, 1) == "held", "a step of a run that holds it"
    below = kit.scalar(
        offered,
        """select run_id::text from tributary.record_run(
               %s, 'w.child.v1', '{}', null, '{}', null, null, '{}', '', null, null, null,
               (select root_id from tributary.runs where run_id = %s), %s, 1)""",
        kit.save(offered, child), run, run,
    )  # fmt: skip
    assert kit.states(offered, below) == {"a": "available", "b": "blocked"}
    assert kit.scalar(offered, enter, below, 1) == "held", "a step of a run below it"
    assert kit.states(offered, stranger) == {"a": "waiting", "b": "blocked"}
    assert members(offered) == {run: "held", stranger: "waiting"}
    # the run is asked for the end of its slot, not the child
    kit.scalar(offered, "select tributary.cancel(%s)", run)
    promote(offered)
    assert members(offered) == {stranger: "held"}
    assert kit.states(offered, stranger) == {"a": "available", "b": "blocked"}
