"""Workflow functions in the protocol: suspended and woken, each end noted once, none lost."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.store import function_kit as flow
from tests.store import protocol_kit as kit
from tests.store.protocol_tables import set_clock


@pytest.fixture(autouse=True)
def _invariants(connection):
    yield
    kit.check_invariants(connection)


@pytest.fixture
def worker(connection):
    set_clock(connection, 0)
    return flow.process(connection)


def test_a_run_is_submitted_by_name_with_its_inputs_as_they_are(connection, worker):
    run = flow.begin(connection, {"order": {"items": [1, 2]}, "x" * 200: 1})
    item = flow.main(worker)
    assert (item.run_id, item.ordinal) == (run, 1)
    assert json.loads(item.payload) == {"order": {"items": [1, 2]}, "x" * 200: 1}
    assert worker.finish([item], result='{"fine": true}') == []
    assert kit.run_row(connection, run)[:2] == ("completed", 0)
    assert kit.scalar(connection, "select tributary.leaf_results({shard}, %s)", run) == {"fine": True}
    assert flow.refused(connection, f"select tributary.submit_workflow('{flow.NAME}', '[1]')")[0] == "TR001"


def test_a_function_waits_without_a_process_and_goes_on_when_its_step_has_ended(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(
        connection, item, 1, [{"type": "began", "at": "2100-01-01T00:00:00Z"}], status={"at": "work"}
    )
    assert flow.suspend(worker, item, [flow.run(3, payload={"a": 1}, queue="default")]) == []
    assert flow.state(connection, run) == ("waiting", "steps")
    assert flow.run_state(connection, run) == ("running", 2)
    (step,) = worker.claim()
    assert (step.step_id, step.ordinal, json.loads(step.payload)) == ("work", 3, {"a": 1})
    assert worker.finish([step], result="5") == []
    again = flow.main(worker)
    assert (again.attempt, again.seq > item.seq) == (1, True), "an activation is no attempt"
    assert worker.finish([item], result="1") == [(run, 1, item.seq)], "the token of the one before is gone"
    assert worker.finish([again], result="6") == []
    assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None)
    assert kit.scalar(connection, "select details from tributary.progress where run_id = %s", run) == {
        "at": "work"
    }


def test_what_ends_while_the_function_is_at_work_is_not_lost(connection, worker):
    run = flow.begin(connection)
    asks = [flow.run(3, "a"), flow.run(4, "b")]
    assert flow.suspend(worker, flow.main(worker), asks) == []
    first, second = worker.claim()
    worker.finish([first])
    busy = flow.main(worker)
    worker.finish([second])
    assert worker.claim() == [], "it runs, and nobody else has it"
    assert flow.suspend(worker, busy, open_=[4]) == []
    assert flow.state(connection, run) == ("available", None)
    assert worker.finish([flow.main(worker)]) == []


def test_it_waits_for_all_of_a_gather_but_not_longer_than_to_the_first_failure(connection, worker):
    for bad in (None, 5):
        run = flow.begin(connection)
        asks = [flow.run(n, f"s{n}") for n in range(3, 8)]
        assert flow.suspend(worker, flow.main(worker), asks, unmet=5) == []
        steps = {item.ordinal: item for item in worker.claim()}
        for ordinal in (3, 4):
            worker.finish([steps[ordinal]])
            assert flow.state(connection, run) == ("waiting", "steps")
        worker.finish([steps[5]], "completed" if bad is None else "discarded")
        assert flow.state(connection, run)[0] == ("waiting" if bad is None else "available")
        worker.finish([steps[6], steps[7]])
        assert flow.state(connection, run)[0] == "available"
        assert worker.finish([flow.main(worker)]) == []
        assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None), (
            "the function decides what it means"
        )


def test_a_failure_before_the_suspend_wakes_it_too(connection, worker):
    run = flow.begin(connection)
    assert flow.suspend(worker, flow.main(worker), [flow.run(n, f"s{n}") for n in (3, 4, 5)], unmet=1) == []
    first, second, third = worker.claim()
    worker.finish([first])
    busy = flow.main(worker)
    worker.finish([second], "discarded")
    assert flow.suspend(worker, busy, open_=[4, 5], unmet=2) == []
    assert flow.state(connection, run)[0] == "available"
    worker.finish([flow.main(worker), third])


def test_timers_signals_and_answers_wake_it(connection, worker):
    run = flow.begin(connection)
    asks = [
        flow.wait(3, "sleep", kind="timer", at="2100-01-01T00:01:00Z"),
        flow.wait(4, "ready", kind="signal", signal="ready"),
        flow.wait(5, "manager", kind="approval", prompt="fine?"),
    ]
    assert flow.suspend(worker, flow.main(worker), asks) == []
    assert flow.run_state(connection, run) == ("waiting", 4)
    assert worker.claim() == []
    assert kit.scalar(connection, "select tributary.signal(%s, 'ready', '{\"n\": 1}')", run) == 1
    assert flow.suspend(worker, flow.main(worker), open_=[3, 5]) == []
    set_clock(connection, 61)
    worker.beat()
    assert kit.everywhere(connection, "fire_waits", 500) == 1
    assert flow.suspend(worker, flow.main(worker), open_=[5]) == []
    kit.scalar(connection, "select tributary.reject(%s, 'manager', 'no')", run)
    item = flow.main(worker)
    assert [kit.row(connection, run, step)["state"] for step in ("sleep", "ready", "manager")] == [
        "completed",
        "completed",
        "discarded",
    ]
    assert kit.row(connection, run, "ready")["result"] == {"n": 1}
    assert worker.finish([item]) == []
    assert kit.scalar(connection, "select count(*) from tributary.waits") == 0


def test_a_signal_that_was_there_lets_it_go_on_at_once(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    kit.scalar(connection, "select tributary.signal(%s, 'ready', '1')", run)
    assert flow.suspend(worker, item, [flow.wait(3, "ready", kind="signal", signal="ready")]) == []
    assert flow.state(connection, run) == ("available", None)
    assert worker.finish([flow.main(worker)]) == []
    assert kit.run_row(connection, run)[:2] == ("completed", 0)


def test_history_is_fenced_and_numbered(connection, worker):
    flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}])
    worker.finish([item], "released")
    other = flow.main(worker)
    assert not flow.keep(connection, item, 2, [{"type": "asked"}]), "its token is gone"
    assert flow.keep(connection, other, 2, [])
    assert connection.execute("select number, events from tributary.history").fetchall() == [
        (1, [{"type": "began"}])
    ]
    worker.finish([other])


def test_what_is_left_behind_is_cancelled_and_the_run_ends(connection, worker):
    run = flow.begin(connection)
    asks = [
        flow.run(3, "a"),
        flow.wait(4, "sleep", kind="timer", at="2100-01-02T00:00:00Z"),
        flow.run(5, "b"),
    ]
    assert flow.suspend(worker, flow.main(worker), asks) == []
    first, second = worker.claim()
    worker.finish([first])
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}], left=[4, 5])
    assert worker.finish([item], result="1") == []
    assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None)
    assert [flow.state(connection, run, step) for step in ("sleep", "b")] == [("cancelled", "left")] * 2
    assert worker.finish([second]) == [(run, 5, second.seq)]


def test_a_function_that_fails_takes_what_is_open_with_it(connection, worker):
    run = flow.begin(connection)
    asks = [flow.run(3, "a"), flow.wait(4, "ready", kind="signal", signal="ready")]
    assert flow.suspend(worker, flow.main(worker), asks) == []
    (step,) = worker.claim()
    worker.finish([step])
    assert worker.finish([flow.main(worker)], "discarded") == []
    assert kit.run_row(connection, run)[:3] == ("failed", 0, 1)
    assert flow.state(connection, run, "ready") == ("cancelled", "left")


def test_a_paused_run_does_not_go_on_until_it_is_resumed(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    kit.scalar(connection, "select tributary.pause_run(%s)", run)
    asks = [flow.run(3, "a"), flow.wait(4, "ready", kind="signal", signal="r")]
    assert flow.suspend(worker, item, asks) == []
    assert (flow.state(connection, run), flow.state(connection, run, "a")) == (
        ("waiting", "steps"),
        ("waiting", "paused"),
    )
    kit.scalar(connection, "select tributary.signal(%s, 'r')", run)
    assert flow.state(connection, run) == ("waiting", "paused")
    assert worker.claim() == []
    kit.scalar(connection, "select tributary.resume_run(%s)", run)
    claimed = {item.step_id: item for item in worker.claim()}
    assert sorted(claimed) == ["a", "main"]
    worker.finish([claimed["a"]])
    assert worker.finish([claimed["main"]]) == []
    assert kit.run_row(connection, run)[:2] == ("completed", 0)


def test_two_suspends_that_disagree_about_the_next_step_are_a_defect_that_is_told(connection, worker):
    flow.begin(connection)
    item = flow.main(worker)
    terms = json.dumps({"asks": [flow.run(9)], "open": [], "unmet": 1})
    with pytest.raises(psycopg.Error, match="its history is not the one that was replayed"):
        worker.finish([item], "suspended", result=terms)
    assert worker.finish([item], result="1") == []


def test_a_dead_process_loses_neither_the_function_nor_its_history(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}])
    assert flow.suspend(worker, item, [flow.run(3)]) == []
    worker.finish(worker.claim())
    flow.main(worker)
    worker.fall_silent()
    assert kit.rescue(connection) == 1
    other = flow.process(connection)
    item = flow.main(other)
    assert (item.run_id, item.attempt) == (run, 2)
    assert other.finish([item]) == []
