"""Workflow functions in the protocol: retried, undone, parked, begun anew, pruned."""

from __future__ import annotations

import json

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
    assert flow.state(connection, run) == ("waiting", "steps")
    kit.scalar(connection, "select tributary.signal(%s, 'r')", run)
    assert worker.finish([flow.main(worker)]) == []
    assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None)


def test_a_retry_that_names_steps_is_refused_and_one_of_what_was_undone_too(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [{"type": "began"}, flow.undo("refund", 1), flow.undo("recall", 2)])
    assert worker.finish([item], "discarded") == []
    assert flow.refused(connection, "select tributary.retry(%s, array['refund'])", run)[0] == "TR004"
    recall = worker.claim()
    assert [(item.step_id, json.loads(item.payload)) for item in recall] == [("undo:recall", {"a": 2})], (
        "the last first"
    )
    worker.finish(recall)
    refund = worker.claim()
    assert [(item.step_id, json.loads(item.payload)) for item in refund] == [("undo:refund", {"a": 1})]
    worker.finish(refund)
    assert kit.run_row(connection, run)[0] == "failed"
    code, told = flow.refused(connection, "select tributary.retry(%s)", run)
    assert (code, "is undone" in told, "trib rerun" in told) == ("TR004", True, True)
    assert flow.refused(connection, "select tributary.retry_only(%s, array['main'])", run)[0] == "TR004"
    assert flow.refused(connection, "select tributary.retry_only(%s, array['refund'])", run)[0] == "TR004"


def test_a_cancel_undoes_what_was_registered(connection, worker):
    run = flow.begin(connection)
    item = flow.main(worker)
    assert flow.keep(connection, item, 1, [flow.undo("refund", 1)])
    assert flow.suspend(worker, item, [flow.wait(3, "ready", kind="signal", signal="r")]) == []
    kit.scalar(connection, "select tributary.cancel(%s)", run)
    (refund,) = worker.claim()
    assert refund.step_id == "undo:refund"
    worker.finish([refund])
    assert kit.run_row(connection, run)[0] == "cancelled"
    assert kit.scalar(connection, "select count(*) from tributary.waits") == 0


def test_code_that_does_not_fit_parks_the_run_with_growing_pauses(connection, worker):
    run = flow.begin(connection)
    pauses = []
    for _ in range(3):
        item = flow.main(worker)
        assert worker.finish([item], "parked", error={"type": "NonDeterminism", "message": "changed"}) == []
        assert flow.state(connection, run) == ("scheduled", "nondeterminism")
        before = kit.scalar(connection, "select tributary.clock()")
        pauses.append((kit.row(connection, run, "main")["run_at"] - before).total_seconds())
        kit.advance(connection, f"{pauses[-1]} seconds")
        worker.beat()
    assert pauses == [5, 10, 20]
    assert flow.run_state(connection, run)[0] == "waiting"
    kinds = connection.execute(
        "select type from tributary.event_log where run_id = %s and ordinal = 1", (run,)
    ).fetchall()
    assert kinds == [("step_parked",)] * 3
    item = flow.main(worker)
    assert worker.finish([item], "parked", error={"type": "NonDeterminism", "message": "changed"}) == []
    released = "select tributary.release_parked(tributary.shard_of(%s), %s)"
    assert kit.scalar(connection, released, run, ["other.v1"]) == 0
    assert kit.scalar(connection, released, run, [flow.NAME]) == 1
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


def test_a_name_of_a_file_stays_that_ones_and_functions_are_all_that_a_worker_may_name(connection, worker):
    spec = kit.workflow("t.file.v1", {"a": ()})
    kit.scalar(
        connection, "select tributary.register_workflow('t.file.v1', %s, null)", kit.save(connection, spec)
    )
    plan = json.loads(json.dumps(flow.SPEC.plan()).replace(flow.NAME, "t.file.v1"))
    told = [{"name": "t.file.v1", "plan": plan, "description": None}]
    assert kit.scalar(connection, "select tributary.register_functions(%s::jsonb)", json.dumps(told)) == [
        "t.file.v1"
    ]
    for bad in ({**told[0], "plan": spec.plan()}, {**told[0], "name": "t.other.v1"}):
        assert (
            flow.refused(connection, "select tributary.register_functions(%s::jsonb)", json.dumps([bad]))[0]
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
