"""Leases: lost replies, stale finishes, rescue, registration, at most once."""

from __future__ import annotations

import socket

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.store import db


@pytest.fixture(autouse=True)
def _invariants(connection):
    yield
    kit.check_invariants(connection)


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


def take_one(process):
    (claimed,) = process.claim()
    return claimed


def token(claimed):
    return (claimed.run_id, claimed.ordinal, claimed.seq)


@pytest.mark.one_shard("its batch is of one shard, as every batch is")
def test_a_cut_between_claim_and_reply_leaves_nothing_behind(database, connection, process, eventually):
    for _ in range(50):
        kit.intent(connection)
    held = process.claim(5)
    other = db.connect(database, application_name="cut")
    cut = socket.socket(fileno=other.fileno())
    # the claim is on its way; its reply finds nobody
    other.pgconn.send_query_params(
        b"""select count(*) from tributary.claim_leases(0::smallint, $1::bigint, '{default}', '{0}',
                                                        array[''], '{0}', array[$2], 45)""",
        [str(process.id).encode(), kit.NAME.encode()],
    )
    other.pgconn.flush()
    cut.shutdown(socket.SHUT_RD)
    running = "select count(*) from tributary.steps where state = 'running'"
    eventually(lambda: kit.scalar(connection, running) == 50, what="the claim is committed")
    cut.detach()
    other.close()

    assert process.reconcile(held) == []
    assert kit.scalar(connection, running) == 5
    assert connection.execute(
        "select distinct attempt from tributary.steps where state = 'available'"
    ).fetchall() == [(0,)]
    assert process.finish(held) == []
    assert process.work_off() == 45


def test_a_row_that_moved_since_its_claim_is_finished_all_the_same(connection, process):
    kit.intent(connection)
    claimed = take_one(process)
    connection.execute("update tributary.steps set reason = 'moved' where run_id = %s", (claimed.run_id,))
    (place,) = connection.execute("select ctid::text from tributary.steps").fetchone()
    assert place != claimed.tid
    assert process.finish([claimed], result='"mine"') == []
    found = kit.row(connection, claimed.run_id)
    assert (found["state"], found["result"]) == ("completed", "mine")
    assert process.finish([claimed]) == [token(claimed)]


def test_a_place_that_is_another_rows_by_now_finishes_nothing_there(connection, process):
    for _ in range(3):
        kit.intent(connection)
    first, second, third = process.claim()
    swapped = [first._replace(tid=second.tid), second._replace(tid="(4000000,7)")]
    assert process.finish(swapped) == []
    assert kit.row(connection, third.run_id)["state"] == "running"
    lost = third._replace(seq=third.seq + 1)
    assert process.finish([lost]) == [token(lost)]
    assert process.finish([third]) == []
    states = connection.execute("select distinct state::text, attempt from tributary.steps").fetchall()
    assert states == [("completed", 1)]


def test_reconcile_names_what_is_lost(connection, process):
    kit.intent(connection)
    kit.intent(connection)
    one, two = process.claim()
    kit.scalar(connection, "select tributary.cancel(%s)", two.run_id)
    assert process.reconcile([one, two]) == [token(two)]
    assert kit.row(connection, one.run_id)["state"] == "running"


@pytest.mark.parametrize(
    ("outcome", "delay"), [("released", None), ("snoozed", 0.0), ("snoozed", 5.0), ("retry", 0.0)]
)
@pytest.mark.parametrize("late", ["completed", "retry", "discarded", "snoozed", "released"])
def test_a_stale_finish_after_the_same_process_claimed_again_is_refused(
    connection, process, outcome, delay, late
):
    kit.intent(connection)
    first = take_one(process)
    assert process.finish([first], outcome, delay=delay) == []
    assert process.finish([first], late) == [token(first)]
    kit.advance(connection, "6 seconds")
    process.beat()
    second = take_one(process)
    assert second.attempt == (2 if outcome == "retry" else 1)
    assert process.finish([first], late) == [token(first)]
    assert kit.row(connection, first.run_id)["state"] == "running"
    assert process.finish([second]) == []
    assert process.finish([second]) == [token(second)]


def test_a_stale_process_neither_finishes_nor_fails_after_its_rescue(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ("a",)}))
    stale = take_one(process)
    process.fall_silent()
    assert kit.rescue(connection) == 1
    assert kit.rescue(connection) == 0
    other = kit.Process(connection)
    again = take_one(other)
    assert again.attempt == 2
    for outcome in ("completed", "retry", "discarded", "aborted"):
        assert process.finish([stale], outcome) == [token(stale)]
    assert kit.states(connection, run) == {"a": "running", "b": "blocked"}
    assert other.finish([again]) == []
    assert other.work_off() == 1
    assert kit.run_row(connection, run)[0] == "completed"
    attempts = connection.execute(
        "select attempt, outcome, error ->> 'reason' from tributary.attempts"
    ).fetchall()
    assert attempts == [(1, "crashed", "crashed")]


def test_a_rescue_counts_only_what_it_took(database, connection, process, eventually):
    kit.intent(connection)
    claimed = take_one(process)
    process.fall_silent()
    with kit.connections(database, 2) as (other, observer):
        with connection.transaction():
            assert process.finish([claimed]) == []
            pid = kit.backend(other)
            results = []
            thread = kit.threading.Thread(target=lambda: results.append(kit.rescue(other)))
            thread.start()
            eventually(lambda: kit.waits(observer, pid), what="the rescue waits for the row")
        thread.join(20)
    assert results == [0]


def test_nothing_resurrects_a_cancelled_step(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ("a",)}))
    intent = kit.intent(connection)
    claimed = process.claim()
    assert kit.scalar(connection, "select tributary.cancel(%s)", run) == "running"
    assert kit.scalar(connection, "select tributary.cancel(%s, 'why')", intent) == "running"
    process.fall_silent()
    kit.rescue(connection)
    for outcome in (
        "completed",
        "retry",
        "discarded",
        "released",
        "crashed",
        "skipped",
        "snoozed",
        "aborted",
    ):
        assert len(process.finish(claimed, outcome, delay=0.0)) == 2
    assert process.reconcile([]) == []
    assert kit.states(connection, run) == {"a": "cancelled", "b": "cancelled"}
    assert (kit.row(connection, intent)["state"], kit.row(connection, intent)["reason"]) == (
        "cancelled",
        "why",
    )
    for ended in (run, intent):
        with pytest.raises(psycopg.Error) as caught:
            connection.execute("select tributary.cancel(%s)", (ended,))
        assert caught.value.sqlstate == "TR004"


@pytest.mark.parametrize("state", ["scheduled", "available", "waiting"])
def test_cancel_in_any_state(connection, process, state):
    intent = kit.intent(connection, "t.unknown.v1" if state == "waiting" else kit.NAME)
    if state == "scheduled":
        process.finish(process.claim(), "snoozed", delay=60.0)
    assert kit.row(connection, intent)["state"] == state
    assert kit.scalar(connection, "select tributary.cancel(%s)", intent) == state
    kit.offer(connection, "t.unknown.v1")
    kit.advance(connection, "1 hour")
    process.beat()
    assert process.claim() == []


def test_a_cancel_waits_for_a_claim_in_flight_and_wins(database, connection, process, eventually):
    run = kit.start(connection, kit.workflow("w.v1", {"a": ()}))
    with kit.connections(database, 2) as (other, observer):
        with connection.transaction():
            (claimed,) = process.claim()
            pid = kit.backend(other)
            results = []
            thread = kit.threading.Thread(
                target=lambda: results.append(kit.scalar(other, "select tributary.cancel(%s)", run))
            )
            thread.start()
            eventually(lambda: kit.waits(observer, pid), what="the cancel waits for the row")
        thread.join(10)
    assert results == ["running"]
    assert process.finish([claimed]) == [token(claimed)]
    assert kit.run_row(connection, run)[0] == "cancelled"


def test_a_process_without_a_row_is_rescued_too(connection, process):
    kit.intent(connection)
    take_one(process)
    connection.execute("select tributary.leave(null, %s)", ([process.id],))
    assert kit.rescue(connection) == 1
    assert take_one(kit.Process(connection)).attempt == 2


def test_a_stale_process_claims_nothing_until_it_has_beaten(connection, process):
    kit.intent(connection)
    process.fall_silent()
    assert process.claim() == []
    assert process.beat()
    assert len(process.claim()) == 1


@pytest.mark.parametrize(
    "call",
    [
        "tributary.claim(1, '{default}', '{t.work.v1}')",
        "tributary.heartbeat(1)",
        "tributary.claim_leases(0::smallint, 1, '{default}', '{0}', array[''], '{0}', '{x}', 1)",
    ],
)
def test_who_never_registered_is_refused(connection, call):
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(f"select {call}")
    assert caught.value.sqlstate == "TR004"
    assert "register_process" in caught.value.diag.message_hint


def test_details_of_a_heartbeat_are_fenced_and_bounded(connection, process):
    kit.intent(connection)
    claimed = take_one(process)
    beat = "select tributary.heartbeat(%s, %s, %s, %s::jsonb)"
    assert kit.scalar(connection, beat, process.id, claimed.run_id, claimed.seq, '{"n": 1}')
    assert kit.scalar(connection, beat, process.id, claimed.run_id, claimed.seq, None)
    assert not kit.scalar(connection, beat, process.id, claimed.run_id, claimed.seq - 1, '{"n": 2}')
    assert kit.scalar(connection, "select details from tributary.progress") == {"n": 1}
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(beat, (process.id, claimed.run_id, claimed.seq, '["' + "x" * 2_000_000 + '"]'))
    assert caught.value.sqlstate == "TR001"


def test_a_progress_write_at_the_same_time_does_not_spoil_a_finish(database, connection, process, eventually):
    kit.intent(connection)
    claimed = take_one(process)
    with kit.connections(database, 2) as (other, observer):
        with other.transaction():
            assert kit.scalar(
                other,
                "select tributary.save_progress({shard}, %s, 0, %s, '{}')",
                claimed.run_id,
                claimed.seq,
            )
            # a version that the finish has not in its snapshot
            other.execute("update tributary.steps set crashes = crashes where run_id = %s", (claimed.run_id,))
            pid = kit.backend(connection)
            results = []
            thread = kit.threading.Thread(target=lambda: results.append(process.finish([claimed])))
            thread.start()
            eventually(lambda: kit.waits(observer, pid), what="the finish waits")
        thread.join(10)
    assert results == [[]]
    assert kit.row(connection, claimed.run_id)["state"] == "completed"


def test_a_disabled_name_and_a_foreign_runtime_are_not_claimed(connection, process):
    kit.intent(connection)
    connection.execute("update tributary.workflow_registry set is_enabled = false")
    assert process.claim() == []
    connection.execute("update tributary.workflow_registry set is_enabled = true, runtime = 'go'")
    assert process.claim() == []
    kit.offer(connection, priority=3)
    assert process.claim() == []
    assert len(kit.Process(connection, runtime="go").claim()) == 1


def test_a_paused_queue_is_left_out(connection, process):
    kit.intent(connection)
    kit.intent(connection, queue="other", priority=5)
    process.queues.append("other")
    connection.execute("insert into tributary.queues (name, paused, paused_at) values ('other', true, now())")
    assert [claimed.queue for claimed in process.claim()] == ["default"]
    connection.execute("update tributary.queues set paused = false")
    assert [claimed.queue for claimed in process.claim()] == ["other"]


def test_a_step_of_a_run_is_not_finished_without_the_lock_on_its_run(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": ()}))
    claimed = take_one(process)
    with pytest.raises(psycopg.Error) as caught:
        process.finish([claimed._replace(kind="intent")])
    assert caught.value.sqlstate == "TR001"
    assert kit.states(connection, run) == {"a": "running"}


def test_a_batch_with_lost_and_standing_tokens(connection, process):
    ids = [kit.intent(connection) for _ in range(4)]
    claimed = process.claim()
    for item in claimed[::2]:
        kit.scalar(connection, "select tributary.cancel(%s)", item.run_id)
    assert sorted(process.finish(claimed)) == sorted(token(item) for item in claimed[::2])
    assert sorted(process.finish(claimed)) == sorted(token(item) for item in claimed)
    ends = sorted(kit.row(connection, one)["state"] for one in ids)
    assert ends == ["cancelled", "cancelled", "completed", "completed"]


def test_a_token_that_comes_twice_in_a_batch_counts_once(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": (), "c": ("a", "b")}))
    a, b = process.claim()
    assert process.finish([a, a]) == [token(a)]
    assert kit.run_row(connection, run)[:2] == ("running", 2)
    stale = b._replace(seq=b.seq - 1)
    assert process.finish([stale, b, b], ["completed", "retry", "discarded"], delay=0.0) == [
        token(stale),
        token(b),
    ]
    assert kit.states(connection, run) == {"a": "completed", "b": "available", "c": "blocked"}
