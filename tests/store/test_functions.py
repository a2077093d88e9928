"""Workflow functions in the protocol: suspended and woken, each end noted once, none lost."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.store import function_kit as flow
from tests.store import protocol_kit as kit
from tests.store import prune_kit
from tests.store.protocol_tables import set_clock


@pytest.fixture(autouse=True)
def _invariants(connection):
    yield
    kit.check_invariants(connection)


@pytest.fixture
def worker(connection):
    set_clock(connection, 0)
    return flow.process(connection)


def state(connection, run, step="main"):
    row = kit.row(connection, run, step)
    return row["state"], row["reason"]


def run_state(connection, run):
    return connection.execute(
        "select tributary.run_state_now(shard, run_id, state, run_at), remaining from tributary.runs where run_id = %s",
        (run,),
    ).fetchone()


def undo(step, number):
    """Return the event of what undoes something."""
    return {"type": "undo", "id": step, "name": flow.WORK, "payload": {"a": number}}


def refused(connection, sql, *params):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql, params)
    return caught.value.sqlstate, str(caught.value)


def test_a_run_is_submitted_by_name_with_its_inputs_as_they_are(connection, worker):
    run = flow.begin(connection, {"order": {"items": [1, 2]}, "x" * 200: 1})
    item = flow.main(worker)
    assert (item.run_id, item.ordinal) == (run, 1)
    assert json.loads(item.payload) == {"order": {"items": [1, 2]}, "x" * 200: 1}
    assert worker.finish([item], result='{"fine": true}') == []
    assert kit.run_row(connection, run)[:2] == ("completed", 0)
    assert kit.scalar(connection, "select tributary.leaf_results(0::smallint, %s)", run) == {"fine": True}
    assert refused(connection, f"select tributary.submit_workflow('{flow.NAME}', '[1]')")[0] == "TR001"


def test_a_function_waits_without_a_process_and_goes_on_when_its_step_has_ended(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(
        connection, item, 1, [{"type": "began", "at": "2100-01-01T00:00:00Z"}], status={"at": "work"}
    )
    assert flow.suspend(worker, item, [flow.run(3, payload={"a": 1}, queue="default")]) == []
    assert state(connection, run) == ("waiting", "steps")
    assert run_state(connection, run) == ("running", 2)
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
    assert state(connection, run) == ("available", None)
    assert worker.finish([flow.main(worker)]) == []


def test_it_waits_for_all_of_a_gather_but_not_longer_than_to_the_first_failure(connection, worker):
    for bad in (None, 5):
        run = flow.begin(connection)
        asks = [flow.run(n, f"s{n}") for n in range(3, 8)]
        assert flow.suspend(worker, flow.main(worker), asks, unmet=5) == []
        steps = {item.ordinal: item for item in worker.claim()}
        for ordinal in (3, 4):
            worker.finish([steps[ordinal]])
            assert state(connection, run) == ("waiting", "steps")
        worker.finish([steps[5]], "completed" if bad is None else "discarded")
        assert state(connection, run)[0] == ("waiting" if bad is None else "available")
        worker.finish([steps[6], steps[7]])
        assert state(connection, run)[0] == "available"
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
    assert state(connection, run)[0] == "available"
    worker.finish([flow.main(worker), third])


def test_timers_signals_and_answers_wake_it(connection, worker):
    run = flow.begin(connection)
    asks = [
        flow.wait(3, "sleep", kind="timer", at="2100-01-01T00:01:00Z"),
        flow.wait(4, "ready", kind="signal", signal="ready"),
        flow.wait(5, "manager", kind="approval", prompt="fine?"),
    ]
    assert flow.suspend(worker, flow.main(worker), asks) == []
    assert run_state(connection, run) == ("waiting", 4)
    assert worker.claim() == []
    assert kit.scalar(connection, "select tributary.signal(%s, 'ready', '{\"n\": 1}')", run) == 1
    assert flow.suspend(worker, flow.main(worker), open_=[3, 5]) == []
    set_clock(connection, 61)
    worker.beat()
    assert kit.scalar(connection, "select tributary.fire_waits(0::smallint, 500)") == 1
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
    assert state(connection, run) == ("available", None)
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
    assert [state(connection, run, step) for step in ("sleep", "b")] == [("cancelled", "left")] * 2
    assert worker.finish([second]) == [(run, 5, second.seq)]


def test_a_function_that_fails_takes_what_is_open_with_it(connection, worker):
    run = flow.begin(connection)
    asks = [flow.run(3, "a"), flow.wait(4, "ready", kind="signal", signal="ready")]
    assert flow.suspend(worker, flow.main(worker), asks) == []
    (step,) = worker.claim()
    worker.finish([step])
    assert worker.finish([flow.main(worker)], "discarded") == []
    assert kit.run_row(connection, run)[:3] == ("failed", 0, 1)
    assert state(connection, run, "ready") == ("cancelled", "left")


def test_a_retry_keeps_the_history_and_tries_what_nobody_took_note_of(connection, worker):
    run = flow.begin(connection)
    asks = [
        flow.run(3, "caught"),
        flow.run(4, "last"),
        flow.run(5, "good"),
        flow.wait(6, "ready", kind="signal", signal="r"),
    ]
    assert flow.suspend(worker, flow.main(worker), asks, unmet=2) == []
    caught, last, good = worker.claim()
    worker.finish([caught], "discarded")
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}, flow.ended(3)])
    assert flow.suspend(worker, item, open_=[4, 5, 6], unmet=1) == []
    worker.finish([last, good], ["discarded", "completed"])
    assert worker.finish([flow.main(worker)], "discarded") == []
    assert kit.run_row(connection, run)[0] == "failed"
    assert kit.scalar(connection, "select tributary.retry(%s)", run) == "running"
    assert kit.states(connection, run) == {
        "main": "waiting",
        "caught": "discarded",
        "last": "available",
        "good": "completed",
        "ready": "available",
    }
    again = {item.step_id: item for item in worker.claim()}
    assert sorted(again) == ["last", "ready"]
    assert worker.finish([again["ready"]], "waits", result=again["ready"].payload) == []
    worker.finish([again["last"]])
    assert state(connection, run) == ("waiting", "steps")
    kit.scalar(connection, "select tributary.signal(%s, 'r')", run)
    assert worker.finish([flow.main(worker)]) == []
    assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None)


def test_a_retry_that_names_steps_is_refused_and_one_of_what_was_undone_too(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}, undo("refund", 1), undo("recall", 2)])
    assert worker.finish([item], "discarded") == []
    assert refused(connection, "select tributary.retry(%s, array['main'])", run)[0] == "TR004"
    recall = worker.claim()
    assert [(item.step_id, json.loads(item.payload)) for item in recall] == [("undo:recall", {"a": 2})], (
        "the last first"
    )
    worker.finish(recall)
    refund = worker.claim()
    assert [(item.step_id, json.loads(item.payload)) for item in refund] == [("undo:refund", {"a": 1})]
    worker.finish(refund)
    assert kit.run_row(connection, run)[0] == "failed"
    code, told = refused(connection, "select tributary.retry(%s)", run)
    assert (code, "is undone" in told, "trib rerun" in told) == ("TR004", True, True)
    assert refused(connection, "select tributary.retry_only(%s, array['main'])", run)[0] == "TR004"


def test_a_cancel_undoes_what_was_registered(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [undo("refund", 1)])
    assert flow.suspend(worker, item, [flow.wait(3, "ready", kind="signal", signal="r")]) == []
    kit.scalar(connection, "select tributary.cancel(%s)", run)
    (refund,) = worker.claim()
    assert refund.step_id == "undo:refund"
    worker.finish([refund])
    assert kit.run_row(connection, run)[0] == "cancelled"
    assert kit.scalar(connection, "select count(*) from tributary.waits") == 0


def test_a_paused_run_does_not_go_on_until_it_is_resumed(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    kit.scalar(connection, "select tributary.pause_run(%s)", run)
    asks = [flow.run(3, "a"), flow.wait(4, "ready", kind="signal", signal="r")]
    assert flow.suspend(worker, item, asks) == []
    assert (state(connection, run), state(connection, run, "a")) == (
        ("waiting", "steps"),
        ("waiting", "paused"),
    )
    kit.scalar(connection, "select tributary.signal(%s, 'r')", run)
    assert state(connection, run) == ("waiting", "paused")
    assert worker.claim() == []
    kit.scalar(connection, "select tributary.resume_run(%s)", run)
    claimed = {item.step_id: item for item in worker.claim()}
    assert sorted(claimed) == ["a", "main"]
    worker.finish([claimed["a"]])
    assert worker.finish([claimed["main"]]) == []
    assert kit.run_row(connection, run)[:2] == ("completed", 0)


def test_code_that_does_not_fit_parks_the_run_with_growing_pauses(connection, worker):
    run = flow.begin(connection)
    pauses = []
    for _ in range(3):
        item = flow.main(worker)
        assert worker.finish([item], "parked", error={"type": "NonDeterminism", "message": "changed"}) == []
        assert state(connection, run) == ("scheduled", "nondeterminism")
        before = kit.scalar(connection, "select tributary.clock()")
        pauses.append((kit.row(connection, run, "main")["run_at"] - before).total_seconds())
        kit.advance(connection, f"{pauses[-1]} seconds")
        worker.beat()
    assert pauses == [5, 10, 20]
    assert run_state(connection, run)[0] == "waiting"
    kinds = connection.execute(
        "select type from tributary.event_log where run_id = %s and ordinal = 1", (run,)
    ).fetchall()
    assert kinds == [("step_parked",)] * 3
    item = flow.main(worker)
    assert worker.finish([item], "parked", error={"type": "NonDeterminism", "message": "changed"}) == []
    assert kit.scalar(connection, "select tributary.release_parked(0::smallint, array['other.v1'])") == 0
    assert kit.scalar(connection, f"select tributary.release_parked(0::smallint, array['{flow.NAME}'])") == 1
    item = flow.main(worker)
    worker.finish([item], "parked", error={"type": "NonDeterminism", "message": "changed"})
    assert kit.scalar(connection, "select tributary.retry(%s)", run) == "running", (
        "somebody may ask for it, too"
    )
    assert flow.suspend(worker, flow.main(worker), [flow.run(3)]) == []
    (step,) = worker.claim()
    worker.finish([step])
    assert flow.main(worker).attempt == 1, "parking is forgotten once its code fits"


def test_it_begins_anew_as_the_same_run_without_its_history(connection, worker):
    run = flow.begin(connection, {"n": 1})
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}])
    asks = [flow.run(3, "a", max_attempts=4), flow.wait(4, "ready", kind="signal", signal="r")]
    assert flow.suspend(worker, item, asks) == []
    (step,) = worker.claim()
    worker.finish([step])
    item = flow.main(worker)
    assert (
        worker.finish(
            [item], "continued", result=json.dumps({"inputs": {"n": 2, "more": "x" * 200}, "count": 1})
        )
        == []
    )
    assert kit.states(connection, run) == {"main": "available"}
    assert connection.execute("select number, events from tributary.history").fetchall() == [
        (0, [{"type": "continued", "count": 1, "first": 5}])
    ]
    kit.scalar(connection, "select tributary.signal(%s, 'r', '7')", run)
    item = flow.main(worker)
    assert json.loads(item.payload) == {"n": 2, "more": "x" * 200}
    assert (
        kit.scalar(
            connection, "select payload from tributary.payloads where run_id = %s and ordinal = 0", run
        )["n"]
        == 2
    )
    assert flow.suspend(worker, item, [flow.wait(5, "ready", kind="signal", signal="r")]) == []
    assert worker.finish([flow.main(worker)], result='"done"') == []
    assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None)


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


def test_a_name_of_a_file_stays_that_ones_and_functions_are_all_that_a_worker_may_name(connection, worker):
    spec = kit.workflow("t.file.v1", {"a": ()})
    kit.scalar(
        connection, "select tributary.register_workflow('t.file.v1', %s, null)", kit.save(connection, spec)
    )
    plan = {**flow.SPEC.plan(), "name": "t.file.v1"}
    told = [{"name": "t.file.v1", "hash": "ab" * 32, "plan": plan, "description": None}]
    assert kit.scalar(connection, "select tributary.register_functions(%s::jsonb)", json.dumps(told)) == [
        "t.file.v1"
    ]
    for bad in ({**told[0], "plan": spec.plan()}, {**told[0], "name": "t.other.v1"}):
        assert (
            refused(connection, "select tributary.register_functions(%s::jsonb)", json.dumps([bad]))[0]
            == "TR001"
        )


def test_histories_go_with_their_runs(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}])
    worker.finish([item])
    set_clock(connection, 40 * prune_kit.DAY)
    worker.beat()
    kept = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}])
    assert prune_kit.sweep(connection).runs == 1
    assert prune_kit.left(connection, run) == {}
    assert prune_kit.left(connection, kept)["history"] == 1
    worker.finish([item])
