"""One thing done to all that fits: what fits, what is done, what could not be."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tributary_daemon import app
from tributary_daemon.client import bulk
from tributary_daemon.client.unique import Unique
from tributary_daemon.client.workflow import Workflow
from tributary_daemon.errors import InvalidInput, NotPossible

STATES = "select state::text, count(*) from tributary.steps where kind = 'intent' group by 1"


@pytest.fixture
def offered(hand):
    hand.offer("test.a.v1", "test.b.v1")
    return hand


def states(hand):
    return dict(hand.sql(STATES))


def flow(name="test.flow.v1"):
    return Workflow(name).add("one", "test.a.v1").add("two", "test.b.v1", needs="one")


def refs(found):
    return {item.ref for item in found.sample}


def test_every_filter_restricts(client, offered):
    a = client.submit("test.a.v1", queue="slow").id
    b = client.submit("test.b.v1", run_after="1h").id
    run = client.submit(flow(), labels={"env": "prod"}).id
    nobody = client.submit("other.c.v1").id
    for select, expected in [
        ({"name": "test.%"}, {a, b, run}),
        ({"name": "%.v1", "kind": "intent"}, {a, b, nobody}),
        ({"name": "test.a.v1"}, {a}),
        ({"queue": "slow"}, {a}),
        ({"state": "scheduled"}, {b}),
        ({"state": "waiting"}, {nobody}),
        ({"labels": {"env": "prod"}}, {run}),
        ({"labels": {"env": "dev"}}, set()),
        ({"kind": "run"}, {run}),
        ({"since": "1h"}, {a, b, run, nobody}),
        ({"until": "1h"}, set()),
        ({"until": "2100-01-01T00:00:00Z", "kind": "run"}, {run}),
        ({"since": "2100-01-01T00:00:00Z"}, set()),
        ({"error": "boom"}, set()),
    ]:
        found = client.cancel_many(dry_run=True, **select)
        assert (refs(found), found.matched, found.done) == (expected, len(expected), 0), select
    assert states(offered) == {"available": 1, "scheduled": 1, "waiting": 1}


def test_cancel_ends_what_fits_and_no_other(client, offered):
    for _ in range(30):
        client.submit("test.a.v1")
    kept = client.submit("test.b.v1").id
    run = client.submit(flow()).id
    seen = []
    done = client.cancel_many("by hand", name="test.a%", seen=seen.append)
    assert (done.matched, done.done, done.refused) == (30, 30, 0)
    assert seen[-1] == done
    assert states(offered) == {"cancelled": 30, "available": 1}
    assert client.get(kept).state == "available"
    assert client.cancel_many(kind="run").done == 1
    assert client.get(run).state == "cancelled"
    assert client.cancel_many(name="test.a%").matched == 0


def test_a_limit_is_kept(client, offered):
    for _ in range(5):
        client.submit("test.a.v1")
    assert client.cancel_many(name="test.a.v1", limit=3).done == 3
    assert states(offered) == {"cancelled": 3, "available": 2}


def test_what_ended_meanwhile_is_told_and_stops_nothing(client, offered, database):
    ids = [client.submit("test.a.v1").id for _ in range(4)]
    under = bulk.cancelling({"name": "test.a.v1"}, client._settings, None, dry_run=False)
    while not under.acts:
        client._link.run(under.step, again=False)
    client.cancel(ids[1])
    while not under.ended:
        client._link.run(under.step, again=False)
    done = under.so_far()
    assert (done.done, done.refused) == (3, 1)
    [(ref, message)] = done.refusals
    assert ref == ids[1]
    assert "has ended" in message


def test_what_is_interrupted_has_done_whole_batches_and_goes_on(client, offered):
    for _ in range(200):
        client.submit("test.a.v1")

    def interrupt(so_far):
        if so_far.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.cancel_many(name="test.a.v1", seen=interrupt)
    done = states(offered)["cancelled"]
    assert 0 < done < 200
    assert client.cancel_many(name="test.a.v1").done == 200 - done


def test_retry_takes_failed_work_by_its_error(client, offered):
    for message in ("disk full", "disk full", "no route"):
        client.submit("test.a.v1")
        offered.finish(offered.claim(), "discarded", error={"type": "OSError", "message": message})
    run = client.submit(flow()).id
    offered.finish(offered.claim(), "discarded", error={"type": "OSError", "message": "Disk FULL"})
    assert client.retry_many(error="disk full", kind="intent", dry_run=True).matched == 2
    assert client.retry_many(error="disk full").done == 3
    assert client.get(run).state == "available"
    assert states(offered) == {"available": 2, "discarded": 1}
    assert client.retry_many(state="cancelled").matched == 0


def test_dead_letters_are_requeued_and_dropped_by_filter(client, offered):
    two = client.submit(Workflow("test.two.v1").add("x", "test.a.v1").add("y", "test.a.v1")).id
    for _ in range(2):
        offered.finish(offered.claim(), "discarded", error={"type": "E", "message": "boom"})
    for _ in range(3):
        client.submit("test.b.v1", queue="q")
        offered.finish(offered.claim(), "discarded", error={"type": "E", "message": "bang"})
    assert client.requeue_many(dry_run=True, kind="run").sample[0].ref.startswith(f"{two}/")
    # both steps of a run go back together
    done = client.requeue_many(error="boom")
    assert (done.done, done.refused) == (2, 0)
    assert {step.state for step in client.get(two).steps.values()} == {"available"}
    assert client.drop_many(queue="q", name="test.b%", limit=2).done == 2
    assert len(client.dead_letters().items) == 1
    with pytest.raises(InvalidInput, match="neither states nor labels"):
        client.drop_many(state="failed")


def test_of_a_fan_out_those_dead_letters_are_dropped_that_fit(client, offered, tmp_path):
    file = tmp_path / "fan.yaml"
    file.write_text(
        "name: test.fan.v1\nsteps:\n  f: {task: test.a.v1, for_each: '${{ range(3) }}', fail_fast: false}\n"
    )
    client.submit(file)
    items = [{"key": str(number), "payload": {"item": number}} for number in range(3)]
    fan = {"name": "test.a.v1", "item_flags": 0, "fan_flags": 8192, "tolerated": 0, "fail_fast": False}
    offered.finish(offered.claim(), "expanded", result={**fan, "items": items})
    for word in ("boom", "bang", "boom"):
        offered.finish(offered.claim(), "discarded", error={"type": "E", "message": word})
    done = client.drop_many(error="boom")
    assert (done.matched, done.done, done.refused) == (2, 2, 0)
    assert [letter.error.message for letter in client.dead_letters().items] == ["bang"]


def test_change_many_moves_what_waits(client, offered):
    for _ in range(5):
        client.submit("test.a.v1")
    run = client.submit(flow()).id
    assert offered.claim()[1] == 0
    done = client.change_many(name="test.%", new_priority=9, new_queue="fast")
    assert (done.done, done.refused) == (5, 0)
    moved = "select count(*) from tributary.steps where priority = 9 and queue = 'fast'"
    assert offered.sql(moved) == [(6,)]
    assert client.change_many(kind="intent", run_after="1h").done == 4
    # once, though it is met again in its new state
    assert client.change_many(kind="intent", state=None, run_after=0).matched == 4
    events = "select count(*) from tributary.event_log where type = 'step_changed'"
    assert offered.sql(events) == [(4 + 4 + 4,)]
    assert client.get(run).steps["two"].priority == 9


def test_one_change_and_its_refusals(client, offered):
    intent = client.submit("test.a.v1").id
    run = client.submit(flow()).id
    assert client.change(intent, priority=5, run_after="5m") == "scheduled"
    assert client.change(run, step="two", payload={"n": 1}) == "blocked"
    assert client.change(intent, run_after=0, queue="fast") == "available"
    document = client.get(intent)
    assert (document.priority, document.queue) == (5, "fast")
    with pytest.raises(InvalidInput, match="nothing is to be changed"):
        client.change(intent)
    with pytest.raises(InvalidInput, match="another meaning"):
        client.change(intent, queue="a:b")
    offered.claim()
    with pytest.raises(NotPossible, match="is running"):
        client.change(intent, priority=1)


def test_a_selection_that_cannot_be_meant_is_refused(client):
    for select, words in [
        ({"state": "gone"}, "unknown state"),
        ({"kind": "job"}, "unknown kind"),
        ({"limit": 0}, "out of range"),
        ({"nam": "x"}, "unknown filter"),
        ({"since": "soon"}, "soon"),
    ]:
        with pytest.raises(InvalidInput, match=words):
            client.cancel_many(dry_run=True, **select)


def test_unique_and_expiring_submits(client, offered, database):
    first = client.submit("test.a.v1", unique="k", expires="1h")
    assert not client.submit("test.a.v1", unique=Unique(key="k")).created
    assert client.submit("test.a.v1", {"n": 1}, unique={"by": "payload"}).created
    again = client.submit(
        "test.a.v1", {"n": 2}, unique=Unique(key="k", on_conflict="debounce", max_wait="1m"), run_after="30s"
    )
    assert (again.id, again.created, again.state) == (first.id, False, "scheduled")
    assert client.get(first.id).payload == {"n": 2}
    run = client.submit(flow(), unique="k", expires="10m")
    assert client.submit(flow(), unique="k").id == run.id
    with psycopg.connect(database) as own:
        kept = client.submit("test.b.v1", unique="k", connection=own)
        own.rollback()
    assert client.submit("test.b.v1", unique="k").id != kept.id
    for options in (
        {"idempotency_key": "i"},
        {"run_after": None, "unique": {"key": "k", "on_conflict": "debounce"}},
    ):
        with pytest.raises(InvalidInput):
            client.submit("test.a.v1", **{"unique": "k", **options})
    with pytest.raises(InvalidInput, match="submit one by one"):
        client.submit_many("test.a.v1", [{}], unique="k")


def test_the_async_client_does_the_same(database, offered):
    async def main():
        async with app.AsyncClient(database) as client:
            receipts = [await client.submit("test.a.v1", unique=f"k{n}") for n in range(3)]
            state = await client.change(receipts[0].id, run_after="1h")
            changed = await client.change_many(kind="intent", new_priority=4)
            done = await client.cancel_many("over", kind="intent")
            return state, changed.done, done.done

    assert asyncio.run(main()) == ("scheduled", 3, 3)
