"""Explicit retry and requeue."""

from __future__ import annotations

import psycopg
import pytest

from tests.store import protocol_kit as kit

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


@pytest.fixture(autouse=True)
def _invariants(connection):
    yield
    kit.check_invariants(connection)


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


def retry(connection, run, *steps):
    return kit.scalar(connection, "select tributary.retry(%s, %s)", run, list(steps) or None)


def refused(connection, code, sql, *params):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql, params)
    assert caught.value.sqlstate == code, caught.value
    return caught.value.diag.message_primary


def drive(connection, process, run, **outcomes):
    """Work a run off; steps named in ``outcomes`` end so, the others complete. Returns attempt numbers."""
    attempts = {}
    while claimed := process.claim():
        attempts |= {item.step_id: item.attempt for item in claimed}
        words = [outcomes.get(item.step_id, "completed") for item in claimed]
        assert process.finish(claimed, words) == []
        kit.check_invariants(connection)
    return attempts


def test_a_failed_run_goes_on_from_its_failed_steps(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", DIAMOND))
    drive(connection, process, run, b="discarded")
    assert kit.run_row(connection, run) == ("failed", 0, 1, 0, None)
    assert retry(connection, run) == "running"
    assert kit.states(connection, run) == {
        "a": "completed",
        "b": "available",
        "c": "completed",
        "d": "blocked",
    }
    assert kit.run_row(connection, run) == ("running", 2, 0, 0, None)
    assert kit.row(connection, run, "b")["attempt_base"] == 1
    assert connection.execute("select from tributary.dead_letters").fetchall() == []
    assert drive(connection, process, run) == {"b": 2, "d": 1}
    assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None)
    types = connection.execute(
        "select type from tributary.events where run_id = %s"
        " and at >= (select min(at) from tributary.event_log"
        " where type = 'run_retried') and type like 'run%%' order by at",
        (run,),
    ).fetchall()
    assert types == [("run_retried",), ("run_completed",)]


def test_attempts_start_afresh_after_a_retry(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": {"options": {"max_attempts": 2}}}))
    for first in (1, 3):
        for attempt in (first, first + 1):
            (claimed,) = process.claim()
            assert claimed.attempt == attempt
            process.finish([claimed], "retry", delay=0.0)
        assert kit.row(connection, run, "a")["reason"] == "exhausted"
        retry(connection, run)
    assert kit.row(connection, run, "a")["attempt_base"] == 4


def test_from_a_named_step_on(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {**DIAMOND, "e": ("b",)}))
    drive(connection, process, run)
    assert retry(connection, run, "b") == "running"
    assert kit.states(connection, run) == {
        "a": "completed", "b": "available", "c": "completed", "d": "blocked", "e": "blocked",
    }  # fmt: skip
    assert drive(connection, process, run) == {"b": 2, "d": 2, "e": 2}
    assert kit.run_row(connection, run)[0] == "completed"


def test_what_failed_elsewhere_keeps_the_run_failed(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": (), "c": ("b",)}))
    drive(connection, process, run, a="discarded", b="discarded")
    retry(connection, run, "a")
    drive(connection, process, run)
    assert kit.run_row(connection, run) == ("failed", 0, 1, 0, None)
    retry(connection, run)
    drive(connection, process, run)
    assert kit.run_row(connection, run)[0] == "completed"


def test_a_cancelled_run_goes_on(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", DIAMOND, result=1))
    process.finish(process.claim())
    b, c = process.claim()
    process.finish([b])
    kit.scalar(connection, "select tributary.cancel(%s)", run)
    assert kit.states(connection, run) == {
        "a": "completed",
        "b": "completed",
        "c": "cancelled",
        "d": "cancelled",
    }
    retry(connection, run)
    assert process.finish([c]) != []
    assert drive(connection, process, run) == {"c": 2, "d": 1, None: 1}
    assert kit.run_row(connection, run)[0] == "completed"


def test_steps_that_stay_cancelled_keep_a_run_from_completing(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ()}))
    kit.scalar(connection, "select tributary.cancel(%s)", run)
    retry(connection, run, "a")
    drive(connection, process, run)
    assert kit.states(connection, run) == {"a": "completed", "b": "cancelled"}
    assert kit.run_row(connection, run)[0] == "failed"
    retry(connection, run)
    drive(connection, process, run)
    assert kit.run_row(connection, run)[0] == "completed"


def test_what_cannot_be_retried_is_refused(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", DIAMOND))
    call = "select tributary.retry(%s, %s)"
    refused(connection, "TR004", call, run, None)
    refused(connection, "TR004", call, run, ["a"])
    drive(connection, process, run, b="discarded")
    assert "'z'" in refused(connection, "TR003", call, run, ["a", "z"])
    refused(connection, "TR003", call, run, [None])
    assert "b" in refused(connection, "TR004", call, run, ["d"])
    refused(connection, "TR003", call, "01900000-0000-7000-8000-000000000000", None)
    retry(connection, run)
    drive(connection, process, run)
    refused(connection, "TR004", call, run, None)
    refused(connection, "TR004", call, run, [])
    intent = kit.intent(connection)
    refused(connection, "TR004", call, intent, None)


def test_an_intent_runs_again(connection, process):
    intent = kit.intent(connection, max_attempts=1)
    process.finish(process.claim(), "retry")
    assert kit.row(connection, intent)["state"] == "discarded"
    assert retry(connection, intent) == "available"
    assert kit.scalar(connection, "select status from tributary.workflow_intent") == "pending"
    (claimed,) = process.claim()
    assert claimed.attempt == 2
    process.finish([claimed])
    refused(connection, "TR004", "select tributary.retry(%s)", intent)
    other = kit.intent(connection, "t.unknown.v1")
    kit.scalar(connection, "select tributary.cancel(%s)", other)
    assert retry(connection, other) == "waiting"


def test_dead_letters_go_back_to_work(connection, process):
    intent = kit.intent(connection)
    run = kit.start(connection, kit.workflow("w.v1", DIAMOND))
    process.finish(process.claim(), "discarded")
    dead = "select run_id::text, step_id from tributary.dead_letters order by step_id nulls first"
    assert connection.execute(dead).fetchall() == [(intent, None), (run, "a")]
    assert kit.scalar(connection, "select tributary.requeue(%s)", intent) == "available"
    assert kit.scalar(connection, "select tributary.requeue(%s, 'a')", run) == "running"
    assert connection.execute(dead).fetchall() == []
    refused(connection, "TR003", "select tributary.requeue(%s)", intent)
    refused(connection, "TR003", "select tributary.requeue(%s, 'b')", run)
    assert drive(connection, process, run) == {None: 2, "a": 2, "b": 1, "c": 1, "d": 1}
    assert kit.run_row(connection, run)[0] == "completed"


def test_two_retries_at_once_are_one(database, connection, process):
    run = kit.start(connection, kit.workflow("w.v1", DIAMOND))
    drive(connection, process, run, a="discarded")

    def attempt(opened):
        try:
            return retry(opened, run)
        except psycopg.Error as error:
            return error.sqlstate

    with kit.connections(database, 4) as opened:
        results = kit.together(*(lambda c=c: attempt(c) for c in opened))
    assert sorted(results) == ["TR004"] * 3 + ["running"]
    assert kit.row(connection, run, "a")["attempt_base"] == 1


@pytest.mark.parametrize(
    ("again", "kept"),
    [
        ("select tributary.retry(%s)", {"a", "b"}),
        ("select tributary.retry(%s, '{b}')", {"a", "b"}),
        ("select tributary.retry(%s, '{a}')", {"b"}),
        ("select tributary.retry_only(%s, '{b}')", {"a", "b"}),
        ("select tributary.requeue_steps(%s, '{b}')", {"a", "b"}),
    ],
)
def test_what_failed_goes_on_from_its_progress_and_what_had_completed_begins_anew(
    connection, process, again, kept
):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ("a",)}))
    for outcome in ("completed", "discarded"):
        (claimed,) = process.claim()
        done = "select tributary.save_progress({shard}, %s, %s, %s, '7')"
        assert kit.scalar(connection, done, claimed.run_id, claimed.ordinal, claimed.seq) is True
        assert process.finish([claimed], outcome) == []
    connection.execute(again, (run,))
    left = connection.execute(
        "select s.step_id from tributary.progress p join tributary.steps s using (shard, run_id, ordinal)"
    ).fetchall()
    assert {step for (step,) in left} == kept
