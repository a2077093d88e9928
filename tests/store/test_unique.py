"""Unique work: who holds a key, when it is free, what a submit does to one that waits."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.store import protocol_kit as kit

SUBMIT = "select id::text, kind, state, created from tributary.submit(%s, %s::jsonb, %s::jsonb)"


def submit(connection, unique=None, *, payload=None, name=kit.NAME, **options):
    """Submit through the public function; return (id, kind, state, created)."""
    given = {**options, **({} if unique is None else {"unique": unique})}
    return connection.execute(SUBMIT, (name, json.dumps(payload or {}), json.dumps(given))).fetchone()


def payload_of(connection, work_id):
    return kit.scalar(
        connection, "select payload from tributary.workflow_intent where intent_id = %s", work_id
    )


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


@pytest.fixture
def chain(connection, process):
    spec = kit.workflow("t.chain.v1", {"a": (), "b": ("a",)})
    kit.scalar(
        connection, "select tributary.register_workflow(%s, %s, null)", spec.name, kit.save(connection, spec)
    )
    return spec.name


def test_an_unfinished_one_is_returned_and_a_finished_one_is_not(connection, process):
    first = submit(connection, {"key": "k"}, payload={"n": 1})
    assert first[1:] == ("intent", "available", True)
    assert submit(connection, {"key": "k"}, payload={"n": 2}) == (*first[:3], False)
    claimed = process.claim()
    assert submit(connection, {"key": "k"})[2:] == ("running", False)
    process.finish(claimed)
    again = submit(connection, {"key": "k"})
    assert again[3]
    assert again[0] != first[0]
    assert payload_of(connection, first[0]) == {"n": 1}


@pytest.mark.parametrize("end", ["cancel", "discard", "prune"])
def test_whatever_ends_it_frees_its_key(connection, process, end):
    first = submit(connection, {"key": "k"})[0]
    if end == "cancel":
        connection.execute("select tributary.cancel(%s)", (first,))
    elif end == "discard":
        process.finish(process.claim(), "discarded")
    else:
        connection.execute("delete from tributary.steps where run_id = %s", (first,))
    assert submit(connection, {"key": "k"})[3]


def test_keys_are_those_of_one_name_and_tenant(connection, process):
    ids = {
        submit(connection, {"key": "k"})[0],
        submit(connection, {"key": "k"}, name="t.other.v1")[0],
        submit(connection, {"key": "k"}, tenant="acme")[0],
    }
    assert len(ids) == 3
    assert submit(connection, {"key": "k"}, tenant="acme")[0] in ids


def test_by_payload_equal_payloads_are_the_same_work(connection, process):
    by = {"by": "payload"}
    first = submit(connection, by, payload={"a": 1, "b": [1, 2]})
    assert submit(connection, by, payload={"b": [1, 2], "a": 1})[0] == first[0]
    assert submit(connection, by, payload={"a": 1, "b": [2, 1]})[3]


def test_once_per_period_whatever_became_of_it(connection, process):
    unique = {"key": "k", "period": 3600}
    first = submit(connection, unique)
    process.finish(process.claim())
    assert submit(connection, unique) == (first[0], "intent", "completed", False)
    kit.advance(connection, "59 minutes")
    assert not submit(connection, unique)[3]
    kit.advance(connection, "2 minutes")
    assert submit(connection, unique)[3]
    # a window that is over binds nobody, even while its work is unfinished
    kit.advance(connection, "61 minutes")
    assert submit(connection, unique)[3]


def test_replace_gives_one_that_waits_payload_options_and_time(connection, process):
    unique = {"key": "k", "on_conflict": "replace"}
    first = submit(connection, unique, payload={"n": 1}, run_after=3600)
    again = submit(connection, unique, payload={"n": 2}, priority=7, queue="slow", max_attempts=9)
    assert again == (first[0], "intent", "available", False)
    row = kit.row(connection, first[0])
    assert (row["priority"], row["queue"], row["max_attempts"], row["run_at"]) == (7, "slow", 9, None)
    assert payload_of(connection, first[0]) == {"n": 2}
    event = "select data from tributary.events where run_id = %s and type = 'step_changed'"
    data = kit.scalar(connection, event, first[0])
    assert (data["reason"], data["queue"], data["priority"]) == (
        "replace", {"old": "default", "new": "slow"}, {"old": 0, "new": 7},
    )  # fmt: skip
    other = kit.Process(connection, queues=["slow"])
    [claimed] = other.claim()
    assert json.loads(claimed.payload) == {"n": 2}


def test_what_runs_is_not_replaced_and_nothing_is_lost(connection, process):
    unique = {"key": "k", "on_conflict": "replace"}
    first = submit(connection, unique, payload={"n": 1})[0]
    claimed = process.claim()
    second = submit(connection, unique, payload={"n": 2})
    assert second[3]
    assert process.finish(claimed) == []
    assert payload_of(connection, first) == {"n": 1}
    assert submit(connection, unique, payload={"n": 3})[0] == second[0]


def test_a_retry_that_waits_is_replaced_with_fresh_attempts(connection, process):
    unique = {"key": "k", "on_conflict": "replace"}
    first = submit(connection, unique, max_attempts=2)[0]
    process.finish(process.claim(), "retry", delay=60)
    assert submit(connection, unique, max_attempts=2)[0] == first
    for _ in range(2):
        assert kit.row(connection, first)["state"] == "available"
        process.finish(process.claim(), "retry", delay=0)
    assert kit.row(connection, first)["state"] == "discarded"
    assert kit.row(connection, first)["attempt"] == 3


def test_debounce_pushes_back_until_max_wait(connection, process):
    connection.execute("set tributary.fake_now = '2030-01-01T00:00:00Z'")
    unique = {"key": "k", "on_conflict": "debounce", "max_wait": 100}
    first = submit(connection, unique, payload={"n": 0}, run_after=30)[0]
    due = []
    for n in range(1, 6):
        kit.advance(connection, "20 seconds")
        assert submit(connection, unique, payload={"n": n}, run_after=30)[0] == first
        due.append(kit.row(connection, first)["run_at"].strftime("%M:%S"))
    assert due == ["00:50", "01:10", "01:30", "01:40", "01:40"]
    assert kit.row(connection, first)["state"] == "available"
    assert payload_of(connection, first) == {"n": 5}
    process.beat()
    process.finish(process.claim())
    # the next one counts from anew
    assert submit(connection, unique, run_after=30)[3]
    kit.advance(connection, "50 seconds")
    submit(connection, unique, run_after=30)
    assert kit.scalar(
        connection,
        "select max(run_at - tributary.clock()) = '30 s' from tributary.steps where state = 'scheduled'",
    )


@pytest.mark.parametrize("mode", ["keep", "replace", "debounce"])
def test_twenty_at_once_make_one(connection, process, database, mode):
    barrier = threading.Barrier(20)

    def one(number):
        with psycopg.connect(database, autocommit=True) as own:
            barrier.wait()
            unique = {"key": "k", "on_conflict": mode}
            return submit(own, unique, payload={"n": number}, run_after=60)

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(one, range(20)))
    assert len({row[0] for row in found}) == 1
    assert sum(row[3] for row in found) == 1
    assert kit.scalar(connection, "select count(*) from tributary.steps") == 1


def test_when_the_winner_is_rolled_back_another_wins(connection, process, database):
    started = threading.Event()

    def waits():
        with psycopg.connect(database, autocommit=True) as own:
            started.set()
            return submit(own, {"key": "k"})

    with psycopg.connect(database) as winner, ThreadPoolExecutor(1) as pool:
        lost = submit(winner, {"key": "k"})
        waiting = pool.submit(waits)
        started.wait(10)
        winner.rollback()
        assert waiting.result(10)[3]
        assert waiting.result()[0] != lost[0]
    assert kit.scalar(connection, "select count(*) from tributary.steps") == 1


def test_a_run_is_unique_until_it_has_ended(connection, process, chain):
    first = submit(connection, {"key": "k"}, name=chain)
    assert first[1:] == ("run", "available", True)
    assert submit(connection, {"key": "k"}, name=chain)[3] is False
    while claimed := process.claim():
        process.finish(claimed)
    assert kit.run_row(connection, first[0])[0] == "completed"
    assert submit(connection, {"key": "k"}, name=chain)[3]


def test_a_run_that_has_not_started_is_replaced_by_a_new_one(connection, process, chain):
    unique = {"key": "k", "on_conflict": "replace"}
    first = submit(connection, unique, name=chain)[0]
    second = submit(connection, unique, name=chain)[0]
    assert kit.run_row(connection, first)[::4] == ("cancelled", "replaced")
    process.claim()
    third = submit(connection, unique, name=chain)
    assert third[3]
    assert kit.run_row(connection, second)[0] == "running"
    assert submit(connection, {"key": "k"}, name=chain)[0] == third[0]


def test_a_debounced_run_starts_at_last(connection, process, chain):
    connection.execute("set tributary.fake_now = '2030-01-01T00:00:00Z'")
    unique = {"key": "k", "on_conflict": "debounce", "max_wait": 50}
    for _ in range(3):
        last = submit(connection, unique, name=chain, run_after=30)[0]
        kit.advance(connection, "20 seconds")
    due = "select to_char(run_at at time zone 'utc', 'MI:SS') from tributary.runs where run_id = %s"
    assert kit.scalar(connection, due, last) == "00:50"


@pytest.mark.parametrize(
    ("unique", "options", "words"),
    [
        ({}, {}, "needs a key"),
        ({"key": "k", "by": "payload"}, {}, "needs a key"),
        ({"by": "name"}, {}, "must be payload"),
        ({"key": "k", "on_conflict": "merge"}, {}, "keep, replace or debounce"),
        ({"key": "k", "on_conflict": "debounce"}, {}, "the time for which it waits"),
        ({"key": "k", "max_wait": 5}, {}, "belongs to debounce"),
        ({"key": "k", "period": -1}, {}, "seconds above 0"),
        ({"key": "k", "period": "soon"}, {}, "seconds above 0"),
        ({"key": "k", "perod": 60}, {}, "unknown key in unique"),
        ({"key": "k"}, {"idempotency_key": "i"}, "not both"),
        ({"by": "payload", "on_conflict": "replace"}, {}, "nothing to replace"),
        (None, {"prio": 5}, "unknown option 'prio'"),
        (None, {"expires_at": 5}, "expires_at must be a time"),
        (None, {"expires_at": "soon"}, "expires_at must be a time"),
        (None, {"run_after": "soon"}, "run_after must be a time or seconds from now"),
        (None, {"run_after": True}, "run_after must be a time or seconds from now"),
        (None, {"expires_in": 60, "run_after": 90}, "before it may start"),
        (None, {"expires_in": 60, "expires_at": "9999-01-01T00:00:00Z"}, "not both"),
    ],
)
def test_terms_that_make_no_sense_are_refused(connection, process, unique, options, words):
    with pytest.raises(psycopg.Error, match=words) as refused:
        submit(connection, unique, **options)
    assert refused.value.sqlstate == "TR001"
    assert refused.value.diag.message_hint
    assert kit.scalar(connection, "select count(*) from tributary.steps") == 0


@pytest.mark.one_shard("a sweep goes shard by shard, by number")
def test_a_sweep_forgets_keys_of_ended_work_and_no_others(connection, process):
    ended = submit(connection, {"key": "ended"})[0]
    process.finish(process.claim())
    submit(connection, {"key": "period", "period": 3600})
    process.finish(process.claim())
    submit(connection, {"key": "alive"})
    place, forgotten = ("", "", ""), 0
    while place[0] is not None:
        count, *place = connection.execute(
            "select * from tributary.forget_unique(0::smallint, %s, %s, %s, 2)", place
        ).fetchone()
        forgotten += count
    assert forgotten == 1
    keys = connection.execute("select key from tributary.unique_keys order by key").fetchall()
    assert keys == [("alive",), ("period",)]
    assert submit(connection, {"key": "ended"})[0] != ended


@pytest.mark.one_shard("a sweep goes shard by shard, by number")
def test_a_sweep_waits_for_the_longest_period_that_somebody_has_asked_for(connection, process):
    first = submit(connection, {"key": "k"})[0]
    for period in (60, 3600, 60):
        assert submit(connection, {"key": "k", "period": period})[0] == first
    process.finish(process.claim())
    kit.advance(connection, "59 minutes")
    forget = "select forgotten from tributary.forget_unique(0::smallint, '', '', '', 10)"
    assert kit.scalar(connection, forget) == 0
    assert submit(connection, {"key": "k", "period": 3600})[0] == first
    kit.advance(connection, "2 minutes")
    assert kit.scalar(connection, forget) == 1


def test_what_the_replaced_payload_had_come_to_is_not_told_to_the_new_one(connection, process):
    unique = {"key": "k", "on_conflict": "replace"}
    submit(connection, unique)
    [claimed] = process.claim()
    beat = "select tributary.save_progress({shard}, %s, 0, %s, %s::jsonb)"
    assert kit.scalar(connection, beat, claimed.run_id, claimed.seq, '{"done": 57}')
    process.finish([claimed], "retry", delay=60)
    submit(connection, unique, payload={"n": 2})
    assert kit.scalar(connection, "select count(*) from tributary.progress") == 0


def test_a_run_whose_step_was_given_back_unstarted_is_replaced(connection, process, chain):
    unique = {"key": "k", "on_conflict": "replace"}
    first = submit(connection, unique, name=chain)[0]
    process.finish(process.claim(), "returned")
    assert submit(connection, unique, name=chain)[3]
    assert kit.run_row(connection, first)[::4] == ("cancelled", "replaced")


def test_a_run_that_has_put_itself_off_is_not_replaced(connection, process, chain):
    unique = {"key": "k", "on_conflict": "replace"}
    first = submit(connection, unique, name=chain)[0]
    process.finish(process.claim(), "snoozed", delay=60)
    assert submit(connection, unique, name=chain)[3]
    assert kit.run_row(connection, first)[0] == "running"
