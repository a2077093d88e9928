"""Steps that wait for times, signals and answers: each comes once, in order, and leads to one outcome."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tests.store.protocol_tables import set_clock

WAIT, APPROVE = "trib.wait.v1", "trib.approve.v1"
NAMES = (kit.NAME, kit.CLOSING, WAIT, APPROVE)
PARALLEL = {"w": {"name": WAIT}, "v": {"name": WAIT}, "after": ("w",)}
CHAIN = {"w": {"name": WAIT}, "after": ("w",)}
SIGNAL = {"kind": "signal", "signal": "ready"}
MIGRATIONS = Path(__file__).resolve().parents[2] / "sql" / "migrations"


@pytest.fixture(autouse=True)
def _invariants(connection):
    yield
    kit.check_invariants(connection)
    stray = connection.execute("""
        select s.run_id, s.state, s.reason from tributary.steps s
        left join tributary.waits w on w.run_id = s.run_id and w.ordinal = s.ordinal
        where (s.state = 'waiting' and s.reason in ('timer', 'signal', 'approval')) <> (w.run_id is not null)
    """).fetchall()
    assert stray == [], "a row of waits for each step that waits, and for no other"


@pytest.fixture
def process(connection):
    kit.offer(connection)
    set_clock(connection, 0)
    return kit.Process(connection, queues=("default", "~closing"), names=NAMES)


def begin(process, run, terms, *steps):
    """Claim what is ready, and let the named steps begin to wait; return what else was claimed."""
    claimed = process.claim()
    mine = [item for item in claimed if item.run_id == run and item.step_id in (steps or ("w",))]
    assert process.finish(mine, "waits", result=json.dumps(terms)) == []
    return [item for item in claimed if item not in mine]


def send(connection, run, name="ready", payload=None, key=None):
    return kit.scalar(
        connection, "select tributary.signal(%s, %s, %s::jsonb, %s)", run, name, json.dumps(payload), key
    )


def fire(connection):
    return kit.everywhere(connection, "fire_waits", 500)


def refused(connection, sql, *params):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(sql, params)
    return caught.value.sqlstate


def ended(connection, run, step="w"):
    row = kit.row(connection, run, step)
    return row["state"], row["reason"], row["result"]


def test_a_signal_ends_the_wait_for_it_with_its_payload(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, SIGNAL)
    assert ended(connection, run) == ("waiting", "signal", None)
    assert process.claim() == []
    assert send(connection, run, "other") == 1
    assert ended(connection, run)[0] == "waiting"
    assert send(connection, run, payload={"n": 1}) == 2
    assert ended(connection, run) == ("completed", None, {"n": 1})
    assert [item.step_id for item in process.claim()] == ["after"]


def test_a_signal_that_came_before_is_kept_and_taken_at_once(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    assert [send(connection, run, payload=n) for n in (1, 2)] == [1, 2]
    begin(process, run, SIGNAL)
    assert ended(connection, run) == ("completed", None, 1)
    taken = connection.execute("select number, taken_by, taken_at is null from tributary.signals order by 1")
    assert taken.fetchall() == [(1, 1, False), (2, None, True)]


def test_signals_of_a_name_are_taken_in_their_order_and_each_by_one_step(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", PARALLEL))
    begin(process, run, SIGNAL, "w")
    set_clock(connection, 1)
    process.beat()
    rest = kit.row(connection, run, "v")
    assert rest["state"] == "running"
    token = kit.Claimed(run, rest["ordinal"], rest["seq"], "step", WAIT, "v", rest["queue"], 1, 1, None, None)
    assert process.finish([token], "waits", result=json.dumps(SIGNAL)) == []
    send(connection, run, payload="first")
    assert (ended(connection, run, "w")[2], ended(connection, run, "v")[0]) == ("first", "waiting")
    send(connection, run, payload="second")
    assert ended(connection, run, "v")[2] == "second"


def test_a_wait_takes_only_a_payload_that_holds_what_it_asks_for(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    send(connection, run, payload={"day": 1})
    begin(process, run, {**SIGNAL, "payload": {"day": 2}})
    assert ended(connection, run)[0] == "waiting"
    send(connection, run, payload="2")
    send(connection, run, payload={"day": 2, "by": "ada"})
    assert ended(connection, run)[2] == {"day": 2, "by": "ada"}


def test_under_a_key_a_signal_is_stored_once(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    assert send(connection, run, payload=1, key="k") == send(connection, run, payload=2, key="k") == 1
    assert refused(connection, "select tributary.signal(%s, 'another', '1', 'k')", run) == "TR002"
    assert kit.scalar(connection, "select count(*) from tributary.signals") == 1


def test_who_cannot_wait_is_sent_nothing(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": ()}))
    assert process.work_off() == 1
    asked = "select tributary.signal(%s, 'ready')"
    assert refused(connection, asked, run) == "TR004"
    assert refused(connection, asked, kit.intent(connection)) == "TR004"
    assert refused(connection, asked, "01890000-0000-7000-8000-000000000000") == "TR003"
    other = kit.start(connection, kit.workflow("w.v1", {"a": ()}))
    assert refused(connection, "select tributary.signal(%s, '')", other) == "TR001"
    large = json.dumps("x" * 1_400_000)
    assert refused(connection, "select tributary.signal(%s, 'ready', %s::jsonb)", other, large) == "TR001"
    assert kit.scalar(connection, "select count(*) from tributary.signals") == 0


def test_a_timer_ends_when_its_time_has_come(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, {"kind": "timer", "seconds": 60})
    asked = "select due_in from tributary.supervise(0, array[%s]::bigint[], '{default}', true, 'running')"
    assert 58 < kit.scalar(connection, asked, process.id) <= 60
    set_clock(connection, 59)
    assert fire(connection) == 0
    set_clock(connection, 60)
    due = "select due from tributary.attend(0, 6, interval '10s', tributary.clock(), interval '60s')"
    assert kit.scalar(connection, due)
    assert fire(connection) == 1
    assert fire(connection) == 0
    assert ended(connection, run) == ("completed", None, None)
    assert not kit.scalar(connection, due)


def test_a_time_that_has_passed_is_not_waited_for(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, {"kind": "timer", "at": "2000-01-01T00:00:00Z"})
    assert ended(connection, run) == ("completed", None, None)


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("kind", ["signal", "approval"])
def test_what_does_not_come_in_time(connection, process, kind, goes_on):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, {"kind": kind, "signal": "ready", "seconds": 10, "goes_on": goes_on})
    set_clock(connection, 10)
    assert fire(connection) == 1
    if goes_on:
        assert ended(connection, run) == ("completed", None, None)
    else:
        assert ended(connection, run) == ("discarded", "timeout", None)
        error = kit.scalar(connection, "select error from tributary.dead_letters where run_id = %s", run)
        assert (error["type"], error["reason"]) == ("WaitTimeout", "timeout")
        assert kit.states(connection, run)["after"] == "skipped"
    # it comes too late, and is kept for nobody
    if kind == "signal" and goes_on:
        assert send(connection, run) == 1
        assert kit.scalar(connection, "select taken_by from tributary.signals") is None


@pytest.mark.parametrize("first", ["signal", "timeout"])
def test_a_signal_and_a_timeout_at_the_same_instant_lead_to_one_outcome(connection, process, database, first):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, {**SIGNAL, "seconds": 10, "goes_on": True})
    with kit.connections(database, 2) as (one, other):
        for each in (one, other):
            set_clock(each, 10)
        with one.transaction():
            if first == "signal":
                send(one, run, payload="came")
                assert fire(other) == 0, "who holds the run is passed over"
            else:
                assert fire(one) == 1
        if first == "signal":
            assert fire(other) == 0
        else:
            send(other, run, payload="came")
    assert ended(connection, run)[2] == ("came" if first == "signal" else None)
    taken = kit.scalar(connection, "select taken_by from tributary.signals")  # None only where it came late
    assert (first == "timeout" and taken is None) or taken == 1


def test_a_signal_that_is_rolled_back_has_not_come(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, SIGNAL)
    with connection.transaction(force_rollback=True):
        send(connection, run, payload=1)
    assert ended(connection, run)[0] == "waiting"
    assert kit.scalar(connection, "select count(*) from tributary.signals") == 0


def test_signals_of_several_senders_at_once_are_all_kept(connection, process, database):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    with kit.connections(database, 4) as senders:
        numbers = kit.together(*(lambda s=s: [send(s, run, payload=n) for n in range(10)] for s in senders))
    assert sorted(number for one in numbers for number in one) == list(range(1, 41))
    assert process.claim() != []


def test_a_cancelled_run_waits_for_nothing(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, {"kind": "timer", "seconds": 5})
    connection.execute("select tributary.cancel(%s)", (run,))
    set_clock(connection, 9)
    assert fire(connection) == 0
    assert ended(connection, run)[0] == "cancelled"


def test_what_comes_while_a_run_is_paused_is_taken_and_nothing_starts(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, SIGNAL)
    connection.execute("select tributary.pause_run(%s)", (run,))
    send(connection, run, payload=7)
    assert ended(connection, run)[2] == 7
    assert process.claim() == []
    connection.execute("select tributary.resume_run(%s)", (run,))
    assert process.work_off() == 1


FORM = {
    "rows": {"type": "integer", "required": True},
    "note": {"type": "string", "required": False, "default": "-"},
}
ASKED = {"w": {"name": APPROVE}, "after": ("w",)}


def test_an_approval_completes_the_step_with_the_answer(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", ASKED))
    begin(process, run, {"kind": "approval", "prompt": "Sure?", "form": FORM})
    bad = "select tributary.approve(%s, 'w', %s::jsonb)"
    for answer in ({}, {"rows": "many"}, {"rows": 1, "more": 2}, [1]):
        assert refused(connection, bad, run, json.dumps(answer)) == "TR001"
    good = "select tributary.approve(%s, 'w', %s::jsonb, 'ada')"
    assert kit.scalar(connection, good, run, '{"rows": 3}') == "completed"
    state, _, result = ended(connection, run)
    assert (state, result["approved"], result["by"], result["answer"]) == (
        "completed", True, "ada", {"rows": 3, "note": "-"},
    )  # fmt: skip
    assert refused(connection, bad, run, "{}") == "TR004"
    types = connection.execute("select type from tributary.event_log where run_id = %s", (run,)).fetchall()
    assert sorted(types) == [("step_approved",), ("step_waits",)]


def test_a_rejection_discards_the_step_and_a_retry_asks_again(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", ASKED))
    begin(process, run, {"kind": "approval"})
    asked = "select tributary.reject(%s, 'w', 'too early', 'bob')"
    assert kit.scalar(connection, asked, run) == "discarded"
    assert ended(connection, run)[:2] == ("discarded", "rejected")
    assert kit.run_row(connection, run)[0] == "failed"
    connection.execute("select tributary.retry(%s)", (run,))
    begin(process, run, {"kind": "approval"})
    assert kit.scalar(connection, "select tributary.approve(%s, 'w')", run) == "completed"
    assert process.work_off() == 1
    assert kit.run_row(connection, run)[0] == "completed"


def test_who_is_not_asked_cannot_answer(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", ASKED))
    assert refused(connection, "select tributary.approve(%s, 'after')", run) == "TR004"
    assert refused(connection, "select tributary.reject(%s, 'nothing')", run) == "TR003"
    unknown = "01890000-0000-7000-8000-000000000000"
    assert refused(connection, "select tributary.approve(%s, 'w')", unknown) == "TR003"
    assert [item.step_id for item in process.claim()] == ["w"]


def test_a_limit_of_steps_at_once_does_not_count_what_waits(connection, process):
    steps = {"w": {"name": WAIT}, "a": (), "b": ()}
    run = kit.start(connection, kit.workflow("w.v1", steps, max_parallel=1))
    rest = begin(process, run, SIGNAL)
    assert [item.step_id for item in rest] == ["a"]
    assert process.finish(rest) == []
    assert [item.step_id for item in process.claim()] == ["b"]


@pytest.mark.one_shard("prunes one shard")
def test_signals_go_with_their_run(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    send(connection, run)
    send(connection, run)
    begin(process, run, SIGNAL)
    assert process.work_off() == 1
    connection.execute("reset tributary.fake_now")
    connection.execute(
        "select * from tributary.prune_batch(0::smallint, '00000000-0000-0000-0000-000000000000', 0,"
        " interval '-100 years', interval '-100 years', '{completed}', null, 1000)"
    )
    assert kit.scalar(connection, "select count(*) from tributary.runs") == 0
    assert kit.scalar(connection, "select count(*) from tributary.signals") == 0


def test_a_lost_process_before_the_wait_is_noted_begins_it_again(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    (item,) = [item for item in process.claim() if item.step_id == "w"]
    process.fall_silent()
    assert kit.rescue(connection) == 1
    process.beat()
    assert process.finish([item], "waits", result=json.dumps(SIGNAL)) != []
    begin(process, run, SIGNAL)
    assert ended(connection, run)[0] == "waiting"
    send(connection, run)
    assert kit.row(connection, run, "w")["state"] == "completed"


def test_it_counts_from_the_end_of_the_needs_whatever_came_between(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "w": {"name": WAIT, "needs": ("a",)}}))
    set_clock(connection, 10)
    process.beat()
    assert process.finish(process.claim()) == []
    connection.execute("select tributary.pause_run(%s)", (run,))
    set_clock(connection, 20)
    process.beat()
    connection.execute("select tributary.resume_run(%s)", (run,))
    begin(process, run, {"kind": "timer", "seconds": 15})
    set_clock(connection, 24)
    assert fire(connection) == 0
    set_clock(connection, 25)
    assert fire(connection) == 1


def test_a_wait_that_is_retried_counts_anew(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, {**SIGNAL, "seconds": 10})
    set_clock(connection, 10)
    assert fire(connection) == 1
    set_clock(connection, 5000)
    process.beat()
    connection.execute("select tributary.retry(%s)", (run,))
    begin(process, run, {**SIGNAL, "seconds": 10})
    assert fire(connection) == 0
    send(connection, run)
    assert ended(connection, run)[0] == "completed"


@pytest.mark.one_shard("a batch of one shard is full of what is held")
def test_a_run_that_is_held_does_not_hold_up_the_others(connection, process, database):
    steps = {f"w{n}": {"name": WAIT} for n in range(30)}
    held = kit.start(connection, kit.workflow("w.many.v1", steps))
    begin(process, held, {"kind": "timer", "seconds": 1}, *steps)
    free = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, free, {"kind": "timer", "seconds": 2})
    set_clock(connection, 5)
    few = "select tributary.fire_waits(0::smallint, 10)"
    with kit.connections(database, 1) as (other,), other.transaction():
        other.execute("select from tributary.runs where run_id = %s for update", (held,))
        assert kit.scalar(connection, few) == 1
        assert ended(connection, free)[0] == "completed"
    assert [kit.scalar(connection, few) for _ in range(4)] == [10, 10, 10, 0]


def test_a_step_down_and_up_again_waits_anew(connection, process, database):
    run = kit.start(connection, kit.workflow("w.v1", CHAIN))
    begin(process, run, {"kind": "timer", "seconds": 1})
    down = (MIGRATIONS / "20261127000010_waits.down.sql").read_text()
    with connection.transaction():
        connection.execute("set local search_path to tributary")
        connection.execute(
            down.replace("drop table signals;", "").replace("drop table waits;", "delete from waits;")
        )
    assert (kit.row(connection, run, "w")["state"], kit.row(connection, run, "w")["attempt"]) == (
        "available",
        0,
    )
    begin(process, run, {"kind": "timer", "seconds": 1})
    assert ended(connection, run)[0] == "waiting"
