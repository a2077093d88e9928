"""Counters of concurrency groups: who enters several, or holds a step besides, never deadlocks."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import pytest

from tests.store import protocol_kit as kit
from tests.store.test_groups import group_step

SUB = "trib.workflow.v1"
NAMES = (kit.NAME, SUB)


def limited(group):
    return {"group": group, "limit": 9, "on_limit": "queue"}


CHILD = kit.workflow("w.child.v1", {"a": ()}, concurrency=limited("c"))


@pytest.fixture
def crowd(database, connection):
    """Return two callers, who hold the counters g and h, and who sees to it."""
    kit.offer(connection)
    connection.execute(
        "insert into tributary.groups (slots, tenant_id, name) values (9, '', 'g'), (9, '', 'h')"
    )
    with kit.connections(database, 4) as opened:
        yield opened


@contextmanager
def queued(crowd, eventually, *calls):
    """Let calls queue, one after the other, behind the counters; yield their results at the end."""
    *callers, holder, observer = crowd
    results = [None] * len(calls)

    def run(place, call):
        try:
            results[place] = call()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[place] = error

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    with holder.transaction():
        holder.execute("select from tributary.groups for update")
        for thread, caller in zip(threads, callers, strict=True):
            thread.start()
            pid = kit.backend(caller)
            eventually(lambda pid=pid: kit.waits(observer, pid), 30, "it waits")
    for thread in threads:
        thread.join(60)
    yield results


def begun(connection, group):
    child = {"revision": str(kit.save(connection, CHILD)), "name": "w.child.v1", "inputs": {}, "group": group}
    return json.dumps(child)


def finish(process, items, told):
    """Finish a batch with an outcome and a result of each."""
    failed = json.dumps({"type": "Failed", "message": "no"})
    return process.connection.execute(
        f"""select from tributary.finish_steps(
               {kit.shard_of(process.connection, items[0].run_id)}::smallint,
               %s, %s::uuid[], %s::int[], %s::bigint[], %s::text[], %s::text[], %s::text[],
               null, null, true, '{{}}', '{{}}', 0)""",
        (
            process.id,
            [item.run_id for item in items],
            [item.ordinal for item in items],
            [item.seq for item in items],
            [word for word, _ in told],
            [result for _, result in told],
            [failed if word == "discarded" else None for word, _ in told],
        ),
    ).fetchall()


def test_two_batches_that_start_children_in_the_same_groups(crowd, connection, eventually):
    subs = kit.workflow("w.subs.v1", {"x": {"name": SUB}, "y": {"name": SUB}})
    processes = [kit.Process(caller, names=NAMES) for caller in crowd[:2]]
    batches = []
    for process in processes:
        kit.start(connection, subs)
        batches.append(process.claim())
    calls = [
        lambda p=p, b=b, o=o: finish(p, b, [("started", begun(p.connection, group)) for group in o])
        for p, b, o in zip(processes, batches, ("gh", "hg"), strict=True)
    ]
    with queued(crowd, eventually, *calls) as results:
        assert results == [[], []]
    held = "select name, count(*) from tributary.group_slots where state = 'held' group by name order by name"
    assert connection.execute(held).fetchall() == [("g", 2), ("h", 2)]


@pytest.mark.one_shard("its batch is of one shard, as every batch is")
def test_two_operators_who_retry_runs_of_the_same_groups(crowd, connection, eventually):
    ids = []
    for group in "ghhg":
        ids.append(
            kit.start(connection, kit.workflow(f"w.{group}.v1", {"a": ()}, concurrency=limited(group)))
        )
        kit.scalar(connection, "select tributary.cancel(%s)", ids[-1])
    many = "select code from tributary.steer_many(0::smallint, 'retry', %s::uuid[], array[null, null], '{}')"
    calls = [
        lambda c=c, mine=mine: c.execute(many, (mine,)).fetchall()
        for c, mine in zip(crowd[:2], (ids[:2], ids[2:]), strict=True)
    ]
    with queued(crowd, eventually, *calls) as results:
        assert results == [[(None,), (None,)]] * 2
    states = connection.execute("select distinct state::text from tributary.runs").fetchall()
    assert states == [("running",)]


def test_a_step_that_enters_a_group_while_its_run_is_stopped(crowd, connection, eventually):
    """The batch that stops the run starts a child in that group, too."""
    run = kit.start(
        connection, kit.workflow("w.fast.v1", {"a": {"name": SUB}, "b": (), "c": ()}, fail_fast=True)
    )
    one, two = (kit.Process(caller, names=NAMES) for caller in crowd[:2])
    held = {item.step_id: item for item in one.claim()}
    two.id = one.id
    told = [("started", begun(connection, "g")), ("discarded", None)]
    calls = [
        lambda: finish(one, [held["a"], held["b"]], told),
        lambda: group_step(two.connection, two, held["c"], group="g", limit=9),
    ]
    with queued(crowd, eventually, *calls) as results:
        assert results == [[], "lost"]
    assert kit.states(connection, run) == {"a": "cancelled", "b": "discarded", "c": "cancelled"}


def test_who_gives_a_slot_back_waits_for_nobody(crowd, connection):
    worker = kit.Process(connection)
    kit.start(connection, kit.workflow("w.one.v1", {"a": ()}))
    (item,) = worker.claim()
    assert group_step(connection, worker, item, group="g") == "held"
    worker.finish([item])
    leave = f"select tributary.leave_ended({kit.shard_of(connection, item.run_id)}::smallint, %s::uuid[], %s)"
    crowd[0].execute("set lock_timeout = '1s'")
    with crowd[1].transaction():
        crowd[1].execute("select from tributary.group_slots for update")
        crowd[0].execute(leave, ([item.run_id], [item.ordinal]))
    held = "select state from tributary.group_slots"
    assert kit.scalar(connection, held) == "held"
    crowd[0].execute(leave, ([item.run_id], [item.ordinal]))
    assert kit.scalar(connection, held) == "left"
