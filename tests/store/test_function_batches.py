"""Workflow functions in batches with their own steps, in the order of locks, with the flags of a submit."""

from __future__ import annotations

import json
import threading

import pytest

from tests.store import function_kit as flow
from tests.store import protocol_kit as kit
from tests.store.protocol_tables import set_clock


@pytest.fixture
def worker(connection):
    set_clock(connection, 0)
    return flow.process(connection)


@pytest.mark.one_shard("its batch is of one shard, as every batch is")
@pytest.mark.parametrize("outcome", ["discarded", "continued"])
def test_a_function_ends_in_the_batch_that_retries_one_of_its_steps(connection, worker, outcome):
    run = flow.begin(connection)
    assert flow.suspend(worker, flow.main(worker), [flow.run(3, "a"), flow.run(4, "b")]) == []
    first, second = worker.claim()
    worker.finish([first])
    main = flow.main(worker)
    given = json.dumps({"inputs": {}, "count": 1})
    entries = [(main, outcome, given if outcome == "continued" else None), (second, "retry", None)]
    finish_all(connection, worker, entries)
    assert flow.state(connection, run)[0] in ("discarded", "available")


def finish_all(connection, worker, entries):
    connection.execute(
        "select * from tributary.finish_steps(0::smallint, %s, %s::uuid[], %s::int[], %s::bigint[],"
        " %s::text[], %s::text[], %s::text[], %s::float8[], %s::float8[], true, '{}', '{}', 0)",
        (
            worker.id, [i.run_id for i, _, _ in entries], [i.ordinal for i, _, _ in entries],
            [i.seq for i, _, _ in entries], [o for _, o, _ in entries], [r for _, _, r in entries],
            ['{"type": "X", "message": "x"}' if o in ("retry", "discarded") else None for _, o, _ in entries],
            [0.0] * len(entries), [0.0] * len(entries),
        ),
    )  # fmt: skip


@pytest.mark.one_shard("its batch is of one shard, as every batch is")
def test_histories_are_kept_in_the_order_of_locks(connection, worker, database, eventually):
    """One batch: the function of the later run, a step of the earlier one; another: the reverse."""
    early, late = sorted([flow.begin(connection), flow.begin(connection)])
    for item in worker.claim():
        assert flow.suspend(worker, item, [flow.run(3, "a"), flow.run(4, "b")]) == []
    steps = {(i.run_id, i.ordinal): i for i in worker.claim()}
    worker.finish([steps[early, 3]])
    worker.finish([steps[late, 3]])
    mains = {i.run_id: i for i in worker.claim()}
    with kit.connections(database, 2) as (one, other):
        for own in (one, other):
            own.execute("begin")
            set_clock(own, 0)

        def exchange(own, main, step, kept=lambda: None):
            # what Leases.exchange sends, in its order
            began = [{"type": "began", "at": "2100-01-01T00:00:00Z"}]
            assert flow.keep(own, main, 1, began, locked=[step.run_id])
            kept()
            waits = (main, "suspended", json.dumps({"asks": [], "open": [4], "unmet": 1}))
            batch = [waits, (step, "completed", "1")]
            finish_all(own, worker, sorted(batch, key=lambda entry: entry[0].run_id))
            own.execute("commit")

        second = threading.Thread(target=exchange, args=(other, mains[early], steps[late, 4]))

        def overtaken():
            second.start()
            eventually(lambda: kit.waits(connection, kit.backend(other)), 20, "the other batch waits")

        exchange(one, mains[late], steps[early, 4], overtaken)
        second.join(20)
        assert not second.is_alive()


def test_flags_of_a_submit_hold_for_what_a_function_asks_for(connection, worker):
    kit.scalar(
        connection,
        "update tributary.registry set options = '{\"priority\": 3}' where name = %s returning 1",
        flow.WORK,
    )
    run = str(
        kit.scalar(
            connection, "select tributary.submit_workflow(%s, '{}', priority => 7::smallint)", flow.NAME
        )
    )
    assert flow.suspend(worker, flow.main(worker), [flow.run(3, "a")]) == []
    assert kit.row(connection, run, "a")["priority"] == 7, "step's own > submit flags > handler's own"


def test_a_worker_reaches_no_revision_of_a_workflow_of_a_file(connection, worker):
    """It gives a plan, and no hash: whoever knows a file would know the revision of it."""
    theirs = "cd" * 32
    honest = {"name": "t.honest.v1", "steps": [{"id": "pay", "ordinal": 1, "name": flow.WORK}]}
    saved = "select tributary.save_revision('t.honest.v1', %s, 'text', %s::jsonb)"
    kit.scalar(connection, saved, theirs, json.dumps(honest))
    plan = {"name": "t.new.v1", "function": True, "steps": [{"id": "main", "ordinal": 1, "name": "t.new.v1"}]}
    told = [{"name": "t.new.v1", "hash": theirs, "plan": plan, "description": None}]
    kit.scalar(connection, "select tributary.register_functions(%s::jsonb)", json.dumps(told))
    named = (
        "select v.plan from tributary.workflows w join tributary.revisions v using (revision_id)"
        " where w.name = %s"
    )
    assert kit.scalar(connection, named, "t.new.v1") == plan
    other = {**plan, "steps": [{"id": "main", "ordinal": 1, "name": flow.WORK}]}
    for bad in (other, {"function": True, "steps": plan["steps"]}):
        told = json.dumps([{"name": "t.new.v1", "plan": bad}])
        code, _ = flow.refused(connection, "select tributary.register_functions(%s::jsonb)", told)
        assert code == "TR001"


def test_a_dead_letter_of_a_function_is_requeued(connection, worker):
    run = flow.begin(connection)
    worker.finish([flow.main(worker)], "discarded")
    assert kit.scalar(connection, "select count(*) from tributary.dead_letters where run_id = %s", run) == 1
    kit.scalar(connection, "select tributary.requeue(%s, 'main')", run)
    assert flow.state(connection, run)[0] == "available"


def test_a_suspended_function_frees_its_place_in_a_limited_queue(connection, worker):
    kit.scalar(connection, "select max_running from tributary.set_queue('default', 1, null)")
    run = flow.begin(connection)
    assert flow.suspend(worker, flow.main(worker), [flow.run(3, "a")]) == []
    (step,) = worker.claim()
    assert worker.finish([step]) == []
    assert worker.finish([flow.main(worker)]) == []
    assert kit.run_row(connection, run)[0] == "completed"


@pytest.mark.one_shard("its batch is of one shard, as every batch is")
def test_a_step_that_is_left_and_ends_in_the_same_batch_is_refused(connection, worker):
    run = flow.begin(connection)
    assert flow.suspend(worker, flow.main(worker), [flow.run(3, "a"), flow.run(4, "b")]) == []
    first, second = worker.claim()
    worker.finish([first])
    main = flow.main(worker)
    with connection.transaction():
        flow.keep(connection, main, 1, [{"type": "began", "at": "2100-01-01T00:00:00Z"}], left=[4])
        assert worker.finish([main, second]) == [(run, 4, second.seq)]
    assert kit.run_row(connection, run)[0] == "completed"
    assert flow.state(connection, run, "b")[0] == "cancelled"


@pytest.mark.parametrize("together", [True, False])
def test_a_signal_and_a_pause_in_the_middle_lose_no_wakeup(connection, worker, together):
    run = flow.begin(connection)
    asks = [flow.run(3, "a"), flow.run(4, "b"), flow.wait(5, "go", kind="signal", signal="go")]
    assert flow.suspend(worker, flow.main(worker), asks, unmet=3) == []
    first, second = worker.claim()
    kit.scalar(connection, "select tributary.pause_run(%s)", run)
    worker.finish([first, second] if together else [first])
    kit.scalar(connection, "select tributary.signal(%s, 'go', '1')", run)
    if not together:
        worker.finish([second])
    kit.scalar(connection, "select tributary.resume_run(%s)", run)
    assert worker.finish([flow.main(worker)]) == []


def test_begins_anew_with_children_and_waits_open(connection, worker):
    run = flow.begin(connection)
    child = {
        "ordinal": 5,
        "id": "kid",
        "kind": "child",
        "name": flow.NAME,
        "payload": {"workflow": {"name": flow.NAME}, "with": {}},
    }
    asks = [flow.run(3, "a"), flow.wait(4, "go", kind="signal", signal="go"), child]
    assert flow.suspend(worker, flow.main(worker), asks) == []
    items = {i.ordinal: i for i in worker.claim()}
    worker.finish([items[3]])
    main = next(item for item in worker.claim() if item.step_id == "main")
    assert worker.finish([main], "continued", result=json.dumps({"inputs": {"a": 1}, "count": 1})) == []
    assert worker.finish([items[5]]) == [(run, 5, items[5].seq)]
    again = flow.main(worker)
    assert json.loads(again.payload) == {"a": 1}
    assert worker.finish([again]) == []
    assert kit.run_row(connection, run)[:2] == ("completed", 0)
    kit.check_invariants(connection)
