"""What the leader is told of: each chore when there is one, and nothing else; what does it agrees."""

from __future__ import annotations

import json

import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.store import membership
from tributary_daemon.store.membership import Chores

NOTHING = Chores(dead=False, due=False, waiting=False, abandoned=False)


@pytest.fixture
def worker(connection):
    return kit.scalar(
        connection,
        "select tributary.register_worker('w', 'h', 1, '0', 1, '{default}', array[%s], 10, '[]')",
        kit.NAME,
    )


def attend(connection, worker, *, silent=60.0, expected=None):
    return membership.attend(connection, worker, 60, lease=10, expected=expected, silent=silent)


def test_a_leader_without_work_is_told_so_and_others_that_they_do_not_lead(connection, worker):
    process = kit.Process(connection)
    kit.offer(connection)
    for _ in range(3):
        kit.intent(connection)
    process.claim(2)
    assert attend(connection, worker) == NOTHING
    assert attend(connection, worker + 1) is None


def test_the_dead_are_those_that_hold_something_and_do_not_beat(connection, worker):
    kit.offer(connection)
    idle, busy, fine = (kit.Process(connection) for _ in range(3))
    for one in (busy, fine):
        kit.intent(connection)
        one.claim()
    idle.fall_silent()
    assert attend(connection, worker, silent=None) == NOTHING, "it holds nothing"
    busy.fall_silent()
    assert attend(connection, worker, silent=None).dead
    assert kit.rescue(connection) == 1
    assert attend(connection, worker, silent=None) == NOTHING
    connection.execute("delete from tributary.processes where process_id = %s", (fine.id,))
    assert attend(connection, worker, silent=None).dead, "its row is missing"
    assert kit.rescue(connection) == 1


def test_a_clock_that_has_jumped_makes_nobody_look_dead(connection, worker):
    kit.offer(connection)
    process = kit.Process(connection)
    kit.intent(connection)
    process.claim()
    for jump in ("+ interval '1 hour'", "- interval '1 hour'"):
        expected = kit.scalar(
            connection, f"update tributary.processes set beat_at = clock_timestamp() {jump} returning beat_at"
        )
        assert attend(connection, worker, expected=None).dead
        assert not attend(connection, worker, expected=expected).dead


@pytest.mark.one_shard("promotes and releases one shard")
def test_what_is_due_and_what_waits_for_a_name_that_came(connection, worker):
    later = kit.scalar(connection, "select clock_timestamp() + interval '1 hour'")
    kit.offer(connection)
    run = kit.intent(connection, run_after=later)
    kit.intent(connection, name="t.late.v1")
    assert attend(connection, worker) == NOTHING
    connection.execute("update tributary.steps set run_at = clock_timestamp() where run_id = %s", (run,))
    connection.execute(
        "select tributary.register_handlers('python', %s::jsonb)",
        (json.dumps([{"name": "t.late.v1", "options": {}}]),),
    )
    chores = attend(connection, worker)
    assert (chores.due, chores.waiting) == (True, True)
    assert attend(connection, worker, silent=None) == NOTHING, "asked for the dead alone"
    assert membership.promote(connection, 1) == 1
    assert membership.release_waiting(connection, 1) == 1
    assert attend(connection, worker) == NOTHING


def test_when_the_next_slot_of_a_schedule_is_due_and_whether_slots_wait(connection, worker):
    assert attend(connection, worker, silent=None).schedule_in is None
    for name in ("a", "b"):
        connection.execute("select tributary.schedule_intent(%s, '@daily', %s)", (name, kit.NAME))
    connection.execute("update tributary.schedules set next_at = now() + interval '1 hour' where name = 'a'")
    assert -60 < attend(connection, worker, silent=None).schedule_in <= 0, (
        "b is new: its slot is not known yet"
    )
    connection.execute("select tributary.pause_schedule('b')")
    assert 3_500 < attend(connection, worker, silent=None).schedule_in <= 3_600
    assert attend(connection, worker + 1) is None
    for name in ("b", "a"):
        assert not attend(connection, worker).queued, "b may not start anything"
        connection.execute("select tributary.backfill_slot(%s, now(), null, null)", (name,))
    assert attend(connection, worker).queued


@pytest.mark.parametrize("table", ["workers", "processes"])
def test_rows_of_the_long_silent_are_left_behind(connection, worker, table):
    kit.Process(connection)
    other = "select tributary.register_worker('o', 'h', 2, '0', 1, '{}', '{}', 10, '[]')"
    connection.execute(other)
    connection.execute(
        f"update tributary.{table} set beat_at = beat_at - interval '2 minutes'"
        f" where {'worker_id <> %s' if table == 'workers' else '%s > 0'}",
        (worker,),
    )
    assert attend(connection, worker).abandoned
    membership.tidy(connection, 1, 60)
    assert attend(connection, worker) == NOTHING


def test_what_a_dead_runner_left_is_abandoned(connection, worker):
    kit.offer(connection)
    spec = kit.workflow("w.v1", {"a": (), "b": ("a",)})
    run = kit.start(connection, spec, private="@p")
    connection.execute("update tributary.workers set queues = '{@p,@q}'")
    connection.execute("update tributary.runs set runner_id = %s where run_id = %s", (worker, run))
    assert attend(connection, worker) == NOTHING
    connection.execute("update tributary.runs set runner_id = 1")
    assert attend(connection, worker).abandoned
    assert membership.tidy(connection, 1, 60) == 1
    assert attend(connection, worker) == NOTHING
    for queue in ("@p", "@q", "@r"):
        connection.execute(
            "select tributary.submit_row(%s, '{}', null, null, null, null, '', %s, null)", (kit.NAME, queue)
        )
    assert attend(connection, worker).abandoned, "nobody serves the last one"
    assert membership.tidy(connection, 1, 60) == 1
    assert attend(connection, worker) == NOTHING
