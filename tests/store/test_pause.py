"""Runs that are paused in the very moment in which an attempt of theirs ends."""

from __future__ import annotations

import json

import pytest

from tests.store import protocol_kit as kit

SUB, FAN = "trib.workflow.v1", "trib.fan.v1"


@pytest.fixture
def worker(connection):
    kit.offer(connection)
    return kit.Process(connection, names=(kit.NAME, SUB, FAN))


def test_a_child_that_starts_while_its_parent_is_paused_waits_too(connection, worker):
    child = str(kit.save(connection, kit.workflow("w.child.v1", {"a": ()})))
    parent = kit.start(connection, kit.workflow("w.parent.v1", {"sub": {"name": SUB}}))
    starts = worker.claim()
    connection.execute("select tributary.pause_run(%s)", (parent,))
    begun = json.dumps({"revision": child, "name": "w.child.v1", "inputs": {}})
    assert worker.finish(starts, "started", result=begun) == []
    assert worker.claim() == []
    states = "select state::text from tributary.runs order by run_id"
    assert connection.execute(states).fetchall() == [("paused",), ("paused",)]
    connection.execute("select tributary.resume_run(%s)", (parent,))
    assert worker.work_off() == 1
    assert connection.execute(states).fetchall() == [("completed",), ("completed",)]
    kit.check_invariants(connection)


def test_items_that_are_made_while_their_run_is_paused_wait_too(connection, worker):
    run = kit.start(connection, kit.workflow("w.fan.v1", {"fan": {"for_each": [1, 2]}}))
    fans = worker.claim()
    assert [claimed.name for claimed in fans] == [FAN]
    connection.execute("select tributary.pause_run(%s)", (run,))
    items = [{"key": str(n), "payload": {"item": n, "index": n}} for n in range(2)]
    rules = {"item_flags": 0, "fan_flags": 8192, "max_parallel": None, "tolerated": 0, "fail_fast": True}
    assert (
        worker.finish(fans, "expanded", result=json.dumps({"name": kit.NAME, **rules, "items": items})) == []
    )
    assert worker.claim() == []
    connection.execute("select tributary.resume_run(%s)", (run,))
    assert [claimed.name for claimed in worker.claim()] == [kit.NAME, kit.NAME]


@pytest.mark.parametrize("outcome", ["retry", "released", "snoozed"])
def test_an_attempt_that_comes_back_while_its_run_is_paused_is_taken_after_it(connection, worker, outcome):
    run = kit.start(connection, kit.workflow("w.one.v1", {"a": ()}))
    held = worker.claim()
    connection.execute("select tributary.pause_run(%s)", (run,))
    assert worker.finish(held, outcome, delay=0.0) == []
    assert worker.claim() == []
    row = kit.row(connection, run, "a")
    assert (row["state"], row["reason"]) == ("waiting", "paused")
    connection.execute("select tributary.resume_run(%s)", (run,))
    assert worker.work_off() == 1
    assert kit.run_row(connection, run)[0] == "completed"
    kit.check_invariants(connection)
