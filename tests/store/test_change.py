"""Changes of work that waits: what is written, what is refused, and that claims find it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.model.control import Flag


def change(connection, work_id, **given):
    named = "".join(f", {name} => %({name})s" for name in given)
    return connection.execute(f"select tributary.change(%(id)s{named})", {"id": work_id, **given}).fetchone()[
        0
    ]


def changes(connection, work_id):
    sql = "select data from tributary.events where run_id = %s and type like '%%_changed' order by at"
    return [row[0] for row in connection.execute(sql, (work_id,))]


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection, queues=["default", "slow", "~closing"])


@pytest.fixture
def fork(connection, process):
    return kit.workflow("t.fork.v1", {"a": (), "b": (), "c": {"needs": ("a", "b"), "run_after": 60}})


def test_priority_and_queue_move_it_to_another_lane_behind_those_who_wait_there(connection, process):
    moved, other = kit.intent(connection), kit.intent(connection, priority=5, queue="slow")
    before = kit.row(connection, moved)["seq"]
    assert change(connection, moved, priority=5, queue="slow") == "available"
    assert kit.row(connection, moved)["seq"] > max(before, kit.row(connection, other)["seq"])
    claimed = process.claim()
    assert [item.run_id for item in claimed] == [other, moved]
    assert {item.queue for item in claimed} == {"slow"}
    assert process.finish(claimed) == []
    assert changes(connection, moved) == [
        {"priority": {"old": 0, "new": 5}, "queue": {"old": "default", "new": "slow"}}
    ]


@pytest.mark.one_shard("a watermark is of one shard")
def test_a_watermark_that_has_passed_its_lane_does_not_hide_it(connection, process):
    low = kit.intent(connection)
    ahead = [kit.intent(connection, priority=3) for _ in range(3)]
    claimed = process.claim(3)
    assert {item.run_id for item in claimed} == set(ahead)
    change(connection, low, priority=3)
    found = process.take(
        ["default"],
        [3],
        [""],
        [max(item.seq for item in claimed) + 1],
        10,
        shard=kit.shard_of(connection, low),
    )
    assert [item.run_id for item in found] == [low]


def test_time_forth_and_back(connection, process):
    work = kit.intent(connection)
    assert change(connection, work, run_after="2100-01-01T00:00:00Z") == "scheduled"
    assert process.claim() == []
    assert change(connection, work, run_after="2000-01-01T00:00:00Z") == "available"
    assert [item.run_id for item in process.claim()] == [work]
    assert len(changes(connection, work)) == 2


def test_a_retry_that_waits_can_be_hurried(connection, process):
    work = kit.intent(connection)
    process.finish(process.claim(), "retry", delay=3600)
    assert change(connection, work, run_after="2000-01-01T00:00:00Z") == "available"
    [claimed] = process.claim()
    assert claimed.attempt == 2


@pytest.mark.parametrize("large", [False, True])
def test_the_payload_is_the_new_one_wherever_the_old_one_lay(connection, process, large):
    work = kit.scalar(
        connection,
        "select tributary.submit_intent(%s, %s)::text",
        kit.NAME,
        f'{{"x": "{"y" * (500 if large else 1)}"}}',
    )
    before = kit.row(connection, work)["seq"]
    assert change(connection, work, payload='{"n": 2}') == "available"
    # it keeps its place
    assert kit.row(connection, work)["seq"] == before
    [claimed] = process.claim()
    assert claimed.payload == '{"n": 2}'
    [told] = changes(connection, work)
    assert told["payload"]["new_bytes"] == 8


def test_what_waits_for_its_handler_keeps_what_was_changed(connection, process):
    work = kit.intent(connection, "t.late.v1")
    assert change(connection, work, priority=9, queue="slow") == "waiting"
    kit.offer(connection, "t.late.v1", queue="default", priority=1)
    row = kit.row(connection, work)
    assert (row["state"], row["queue"], row["priority"]) == ("available", "slow", 9)


@pytest.mark.parametrize(
    ("outcome", "words"), [(None, "is running"), ("completed", "has ended"), ("discarded", "has ended")]
)
def test_what_runs_or_has_ended_is_not_changed(connection, process, outcome, words):
    work = kit.intent(connection)
    claimed = process.claim()
    if outcome:
        process.finish(claimed, outcome)
    before = kit.row(connection, work)
    with pytest.raises(psycopg.Error, match=words) as refused:
        change(connection, work, priority=5)
    assert refused.value.sqlstate == "TR004"
    assert kit.row(connection, work) == before
    assert changes(connection, work) == []


@pytest.mark.parametrize(
    ("given", "state", "words"),
    [
        ({}, "TR001", "nothing is to be changed"),
        ({"priority": 99_999}, "TR001", "priority must be"),
        ({"queue": "~closing"}, "TR001", "no queue for work"),
        ({"step": "a", "priority": 1}, "TR003", "no run has the id"),
    ],
)
def test_what_cannot_be_meant_is_refused(connection, process, given, state, words):
    work = kit.intent(connection)
    with pytest.raises(psycopg.Error, match=words) as refused:
        change(connection, work, **given)
    assert refused.value.sqlstate == state


def test_an_unknown_id_is_not_found(connection, process):
    with pytest.raises(psycopg.Error, match="no run or intent") as refused:
        change(connection, kit.scalar(connection, "select tributary.new_id()"), priority=1)
    assert refused.value.sqlstate == "TR003"


def test_of_a_run_all_steps_that_wait_move_and_one_event_tells(connection, process, fork):
    run = kit.start(connection, fork)
    [first, *rest] = process.claim(1)
    assert rest == []
    assert change(connection, run, priority=4, queue="slow") == "running"
    rows = {step: kit.row(connection, run, step) for step in "abc"}
    started = first.step_id
    assert {step: (row["priority"], row["queue"]) for step, row in rows.items()} == {
        step: (0, "default") if step == started else (4, "slow") for step in "abc"
    }
    [told] = changes(connection, run)
    assert told == {"steps": 2, "priority": {"old": 0, "new": 4}, "queue": {"new": "slow"}}
    assert process.finish([first, *process.claim()]) == []
    assert kit.row(connection, run, "c")["state"] == "scheduled"


def test_the_time_of_a_run_is_changed_until_it_starts(connection, process, fork):
    run = kit.start(connection, fork)
    assert change(connection, run, run_after="2100-01-01T00:00:00Z") == "scheduled"
    assert process.claim() == []
    assert change(connection, run, run_after="2000-01-01T00:00:00Z") == "available"
    process.claim(1)
    with pytest.raises(psycopg.Error, match="has started") as refused:
        change(connection, run, run_after="2100-01-01T00:00:00Z")
    assert refused.value.sqlstate == "TR004"


def test_one_step_of_a_run(connection, process, fork):
    run = kit.start(connection, fork)
    assert (
        change(connection, run, step="c", run_after="2000-01-01T00:00:00Z", payload='{"m": 1}') == "blocked"
    )
    process.finish(process.claim())
    # its own run_after counted from the end of its needs; the time given now stands instead
    [claimed] = process.claim()
    assert (claimed.step_id, claimed.payload) == ("c", '{"m": 1}')
    with pytest.raises(psycopg.Error, match="no step x"):
        change(connection, run, step="x", priority=1)


def test_a_claim_and_a_change_at_once(connection, process, database):
    """Either the claim comes first and the change is refused, or the claim gets what was changed."""
    works = [kit.intent(connection) for _ in range(40)]
    barrier = threading.Barrier(2)

    def changer():
        refused = set()
        with psycopg.connect(database, autocommit=True) as own:
            barrier.wait()
            for work in works:
                try:
                    change(own, work, queue="slow", payload='{"n": 2}')
                except psycopg.Error as error:
                    refused.add((work, error.sqlstate))
        return refused

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(changer)
        barrier.wait()
        claimed = []
        while len(claimed) < len(works):
            claimed += process.claim(3)
        answers = waiting.result(20)
    refused = {work for work, _ in answers}
    assert {state for _, state in answers} <= {"TR004"}
    assert process.finish(claimed) == []
    assert {item.run_id: (item.queue, item.payload) for item in claimed} == {
        work: ("default", "{}") if work in refused else ("slow", '{"n": 2}') for work in works
    }


@pytest.mark.parametrize("minutes", [60, -60])
def test_the_timeout_of_a_run_counts_from_its_new_time(connection, process, minutes):
    run = kit.start(connection, kit.workflow("t.timeout.v1", {"a": ()}, timeout=600))
    kit.advance(connection, "5 minutes")
    due = f"select (tributary.clock() + interval '{minutes} minutes')::text"
    change(connection, run, run_after=kit.scalar(connection, due))
    kit.advance(connection, f"{max(minutes, 0) + 9} minutes")
    assert kit.everywhere(connection, "expire_runs", 10) == 0
    kit.advance(connection, "2 minutes")
    assert kit.everywhere(connection, "expire_runs", 10) == 1
    error = kit.scalar(connection, "select error ->> 'message' from tributary.runs where run_id = %s", run)
    assert "its timeout of 600 s" in error


def test_the_timeout_of_a_run_stays_where_its_time_does(connection, process):
    run = kit.start(connection, kit.workflow("t.timeout.v1", {"a": ()}, timeout=600))
    deadline = "select deadline from tributary.runs where run_id = %s"
    before = kit.scalar(connection, deadline, run)
    change(connection, run, priority=5)
    assert kit.scalar(connection, deadline, run) == before


def test_a_step_with_another_payload_still_asks_for_the_slot_of_its_group(connection, process):
    group = {"group": "g", "limit": 1, "on_limit": "queue"}
    run = kit.start(connection, kit.workflow("t.grouped.v1", {"a": {"concurrency": group}}))
    asks = Flag.DYNAMIC
    assert kit.row(connection, run, "a")["flags"] & asks
    change(connection, run, step="a", payload='{"n": 2}')
    assert kit.row(connection, run, "a")["flags"] & asks
    with pytest.raises(psycopg.Error, match="concurrency group") as refused:
        change(connection, run, step="a", payload='{"n": "${{ inputs.n }}"}')
    assert refused.value.sqlstate == "TR001"
    [claimed] = process.claim()
    assert claimed.payload == '{"n": 2}'
