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
