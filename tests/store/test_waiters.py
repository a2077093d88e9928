"""Who waits for the end of work is told of it, however it ends; while nobody waits nothing is notified."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store.test_stops import HOOKS, SUB, begun
from tests.store.told import Told
from tributary_daemon.store import ends

CLOSED = {"result": 1}


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection, names=(kit.NAME, kit.CLOSING, SUB))


@pytest.fixture
def told(connection):
    return Told(connection)


def expire(connection):
    """Let the time pass of what expires, and have the leader come by."""
    kit.advance(connection, "11 minutes")
    kit.everywhere(connection, "expire_steps", 100)


def three_crashes(connection, process):
    for _ in range(3):
        claimed = process.claim()
        process.finish(claimed, "crashed_alone")


def dies(connection, process):
    claimed = process.claim()
    connection.execute("update tributary.steps set started_at = now() where state = 'running'")
    process.fall_silent()
    assert kit.rescue(connection) == len(claimed)


INTENTS = {
    "completed": ({}, lambda _, process: process.work_off()),
    "completed beside others": (
        {},
        lambda connection, process: (
            kit.intent(connection),
            process.finish(process.claim(), ["completed", "snoozed"]),
        ),
    ),
    "skipped": ({}, lambda _, process: process.work_off("skipped")),
    "discarded": ({}, lambda _, process: process.work_off("discarded")),
    "its attempts are used up": ({"max_attempts": 1}, lambda _, process: process.work_off("retry")),
    "aborted": ({}, lambda _, process: process.work_off("aborted")),
    "crashed": ({}, three_crashes),
    "its worker died": ({"max_attempts": 1}, dies),
    "cancelled": (
        {},
        lambda connection, _: kit.scalar(connection, "select tributary.cancel(run_id) from tributary.steps"),
    ),
    "steered": (
        {},
        lambda connection, _: connection.execute(
            "select tributary.steer_many(tributary.shard_of((select run_id from tributary.steps)), 'cancel',"
            " array(select run_id from tributary.steps),"
            " array[null::text], '{}')"
        ),
    ),
    "the runner is gone": (
        {},
        lambda connection, _: connection.execute(
            "update tributary.steps set queue = '@gone'; select tributary.tidy_fleet('1 hour')"
        ),
    ),
    "by another language": (
        {},
        lambda connection, process: connection.execute(
            "select tributary.finish(%(p)s, c.run_id, c.token) from tributary.claim(%(p)s, array['default'],"
            " array['t.work.v1']) as c",
            {"p": process.id},
        ),
    ),
}


@pytest.mark.parametrize("way", INTENTS)
def test_the_end_of_an_intent_is_told(connection, process, told, way):
    options, end = INTENTS[way]
    work = kit.intent(connection, **options)
    end(connection, process)
    assert kit.row(connection, work)["finished_at"] is not None
    assert told.heard().count(work) == 1


def test_an_intent_that_expires_is_told(connection, process, told):
    work = kit.scalar(
        connection, "select id::text from tributary.submit(%s, '{}', '{\"expires_in\": 600}')", kit.NAME
    )
    expire(connection)
    assert kit.row(connection, work)["reason"] == "expired"
    assert told.heard() == [work]


RUNS = {
    "completed": ({}, {}, lambda _, process: process.work_off()),
    "with a result": ({}, CLOSED, lambda _, process: process.work_off()),
    "its result is none": (
        {},
        CLOSED,
        lambda _, process: (process.finish(process.claim()), process.work_off("discarded")),
    ),
    "with hooks": (HOOKS, {}, lambda _, process: process.work_off()),
    "failed": ({}, {}, lambda _, process: process.work_off("discarded")),
    "failed fast": (
        {"b": ()},
        {"fail_fast": True},
        lambda _, process: process.finish(process.claim(1), "discarded"),
    ),
    "aborted": ({"b": ()}, {}, lambda _, process: process.finish(process.claim(1), "aborted")),
    "cancelled": (
        {},
        {},
        lambda connection, _: kit.scalar(connection, "select tributary.cancel(run_id) from tributary.runs"),
    ),
    "cancelled, with hooks": (
        HOOKS,
        {},
        lambda connection, process: (
            kit.scalar(connection, "select tributary.cancel(run_id) from tributary.runs"),
            process.work_off(),
        ),
    ),
    "timed out": (
        {},
        {"timeout": 60.0},
        lambda connection, _: (
            kit.advance(connection, "2 minutes"),
            kit.everywhere(connection, "expire_runs", 10),
        ),
    ),
}


@pytest.mark.parametrize("way", RUNS)
def test_the_end_of_a_run_is_told(connection, process, told, way):
    steps, head, end = RUNS[way]
    run = kit.start(connection, kit.workflow("w.told.v1", {"a": (), **steps}, **head))
    assert told.heard() == []
    end(connection, process)
    assert kit.run_row(connection, run)[0] in {"completed", "failed", "cancelled"}
    assert told.heard() == [run]


def test_a_run_that_expires_is_told(connection, process, told):
    spec = kit.workflow("t.late.v1", {"a": ()})
    kit.scalar(
        connection, "select tributary.register_workflow(%s, %s, null)", spec.name, kit.save(connection, spec)
    )
    run = kit.scalar(
        connection, "select id::text from tributary.submit(%s, '{}', '{\"expires_in\": 600}')", spec.name
    )
    expire(connection)
    assert kit.run_row(connection, run)[0] == "cancelled"
    assert told.heard() == [run]


def test_the_ends_of_a_child_and_of_its_parent_are_told(connection, process, told):
    child = kit.workflow("w.child.v1", {"a": ()})
    parent = kit.start(connection, kit.workflow("w.parent.v1", {"sub": {"name": SUB}}))
    process.finish(process.claim(), "started", result=begun(connection, child))
    made = kit.scalar(connection, "select run_id::text from tributary.runs where parent_run_id is not null")
    assert told.heard() == []
    process.work_off()
    assert sorted(told.heard()) == sorted([parent, made])


@pytest.mark.one_shard("its batch is of one shard, as every batch is")
def test_a_batch_is_told_in_a_few_notifications(connection, process, told):
    notes = []
    connection.add_notify_handler(notes.append)
    works = [kit.intent(connection) for _ in range(450)]
    process.finish(process.claim(500))
    assert sorted(told.heard()) == sorted(works)
    assert len(notes) == 3


@pytest.fixture
def elsewhere(connection, database):
    """Another session, which listens to a waiter; it yields (waiter, what came)."""
    waiter, notes = uuid4(), []
    with kit.connections(database, 1) as (other,):
        other.add_notify_handler(lambda note: notes.append(note.payload))
        other.execute(f"listen {ends.channel(waiter)}")

        def come():
            other.execute("select 1")
            found, notes[:] = list(notes), []
            return found

        yield waiter, come


def register(connection, waiter, new=(), done=(), probe=None):
    return kit.answer(connection, ends.register(waiter, new, done, probe))


def test_while_nobody_waits_nothing_is_looked_up(connection, process):
    """A commit with a notification goes alone: not even the question is asked."""
    connection.execute(
        "create or replace function tributary.notify_waiters(p_shard smallint, p_ids uuid[]) returns void"
        " language plpgsql as $$ begin raise 'somebody waits'; end $$"
    )
    works = [kit.intent(connection) for _ in range(3)]
    kit.start(connection, kit.workflow("w.quiet.v1", {"a": (), **HOOKS}))
    kit.scalar(connection, "select tributary.cancel(%s)", works[0])
    process.finish(process.claim(2), ["completed", "discarded"])
    assert process.work_off() > 1
    waiter = uuid4()
    register(connection, waiter)
    kit.intent(connection)
    claimed = process.claim()
    with pytest.raises(psycopg.errors.RaiseException, match="somebody waits"):
        process.finish(claimed)
    connection.execute("select tributary.leave_waiters(%s)", (waiter,))
    assert process.finish(claimed) == []


def test_nothing_is_notified_of_work_that_nobody_waits_for(connection, process, elsewhere):
    waiter, come = elsewhere
    mine, others = kit.intent(connection), kit.intent(connection)
    kit.start(connection, kit.workflow("w.other.v1", {"a": ()}))
    register(connection, waiter, [mine])
    claimed = process.claim()
    process.finish([item for item in claimed if item.run_id != mine])
    assert kit.row(connection, others)["state"] == "completed"
    assert come() == []
    process.finish([item for item in claimed if item.run_id == mine])
    assert come() == [mine]


def test_what_has_not_ended_is_not_told(connection, process, elsewhere):
    waiter, come = elsewhere
    works = [kit.intent(connection) for _ in range(4)]
    run = kit.start(connection, kit.workflow("w.two.v1", {"a": (), "b": ("a",)}))
    register(connection, waiter, [*works, run])
    process.finish(process.claim(), ["snoozed", "retry", "released", "completed", "completed"], delay=60.0)
    assert come() == [works[3]]


def test_every_waiter_is_told_until_it_waits_no_more(connection, process, elsewhere, database):
    waiter, come = elsewhere
    other = uuid4()
    first, second = kit.intent(connection), kit.intent(connection)
    assert register(connection, waiter, [first, second])
    assert register(connection, other, [first, second])
    assert not register(connection, waiter, [first], [second])
    process.work_off()
    assert come() == [first]


def test_a_waiter_that_left_leaves_nothing(connection):
    waiter = uuid4()
    register(connection, waiter, [str(uuid4()) for _ in range(3)])
    connection.execute("select tributary.leave_waiters(%s)", (waiter,))
    assert left(connection) == (0, 0)


def left(connection):
    return connection.execute(
        "select (select count(*) from tributary.waiters), (select count(*) from tributary.awaited)"
    ).fetchone()


def test_the_leader_sweeps_who_is_silent_and_he_learns_of_it(connection):
    silent, alive = uuid4(), uuid4()
    work = str(uuid4())
    register(connection, silent, [work])
    register(connection, alive, [work])
    connection.execute("select tributary.tidy_fleet('1 hour')")
    assert left(connection) == (2, 2)
    connection.execute(
        "update tributary.waiters set expires_at = clock_timestamp() - interval '1 s' where waiter_id = %s",
        (silent,),
    )
    connection.execute("select tributary.tidy_fleet('1 hour')")
    assert left(connection) == (1, 1)
    assert not register(connection, alive)
    # it was only stopped for a while: it has to register all of it again
    assert register(connection, silent)


def test_a_probe_comes_back(connection, elsewhere):
    waiter, come = elsewhere
    register(connection, waiter, probe=ends.channel(waiter))
    assert come() == [""]


def test_one_look_finds_all_that_have_ended(connection, process):
    gone = str(uuid4())
    runs = [kit.start(connection, kit.workflow("w.look.v1", {"a": ()})) for _ in range(2)]
    kit.scalar(connection, "select tributary.pause_run(%s)", runs[1])
    done, late = kit.intent(connection), kit.intent(connection, run_after="2100-01-01")
    process.work_off()
    assert kit.answer(connection, ends.ended([*runs, done, late, gone])) == {runs[0], done, gone}
