"""Supervisors: the beat, leadership, and what is left by those who are gone."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.store import db, membership


@pytest.fixture
def worker(connection):
    return kit.scalar(
        connection, "select tributary.register_worker('w', 'h', 1, '0', 1, '{default}', '{}', 1, '[]')"
    )


def supervise(connection, worker, processes=(), queues=("default", "other")):
    return connection.execute(
        "select * from tributary.supervise(%s, %s::bigint[], %s, false, 'running')",
        (worker, list(processes), list(queues)),
    ).fetchone()


def test_one_statement_beats_and_looks_for_work(connection, worker):
    kit.offer(connection)
    processes = [kit.Process(connection) for _ in range(2)]
    processes[0].fall_silent()
    alive, beaten, ready, due_in, paused = supervise(connection, worker, [one.id for one in processes])
    assert (alive, beaten, ready, due_in, paused) == (True, 2, [], None, [])
    kit.intent(connection, queue="other")
    kit.intent(connection, queue="unserved")
    kit.intent(connection, run_after=kit.scalar(connection, "select clock_timestamp() + interval '1 minute'"))
    connection.execute(
        "insert into tributary.queues (name, paused) values ('other', true), ('unserved', true)"
    )
    _, _, ready, due_in, paused = supervise(connection, worker)
    assert (ready, paused) == (["other"], ["other"])
    assert 50 < due_in <= 60
    assert kit.rescue(connection) == 0


def test_who_was_fenced_is_told(connection, worker):
    process = kit.Process(connection)
    connection.execute("select tributary.leave(%s, %s)", (worker, [process.id]))
    assert supervise(connection, worker, [process.id])[:2] == (False, 0)


def test_one_worker_leads_until_its_lease_ends(connection):
    lead = "select tributary.lead('maintenance', %s, %s)"
    assert kit.scalar(connection, lead, 1, 60)
    assert not kit.scalar(connection, lead, 2, 60)
    assert kit.scalar(connection, lead, 1, 0)
    assert kit.scalar(connection, lead, 2, 60)
    assert not kit.scalar(connection, lead, 1, 60)
    connection.execute("select tributary.leave(2, '{}')")
    assert kit.scalar(connection, lead, 1, 60)


def test_who_does_not_lead_locks_nothing_and_waits_for_nobody(connection, database):
    lead = "select tributary.lead('maintenance', %s, 6)"
    assert kit.scalar(connection, lead, 1)
    with db.connect(database, application_name="test") as other, connection.transaction():
        # the leader renews its lease, and its commit takes a while
        assert kit.scalar(connection, lead, 1)
        other.execute("set lock_timeout to '100ms'")
        with other.transaction():
            assert not kit.scalar(other, lead, 2)
            assert kit.scalar(other, "select pg_current_xact_id_if_assigned()") is None


def test_a_beat_waits_for_no_flush_and_nothing_else_does(connection, worker):
    with connection.transaction():
        membership.beat_worker(
            connection, worker, [], ["default"], wants_wake=True, state="running", wanted=1
        )
        assert kit.scalar(connection, "show synchronous_commit") == "off"
    assert kit.scalar(connection, "show synchronous_commit") == "on"


def test_workers_that_wait_for_the_same_queues_are_counted(connection, worker):
    def waiting(*queues):
        return membership.count_waiting(connection, queues)

    served = kit.scalar(connection, "select queues from tributary.workers")
    assert waiting(*served) == 1
    assert waiting("unserved") == 0
    connection.execute("update tributary.workers set wants_wake = false")
    assert waiting(*served) == 0
    connection.execute(
        "update tributary.workers set wants_wake = true, beat_at = beat_at - interval '11 seconds'"
    )
    assert waiting(*served) == 0


def test_runs_whose_runner_is_gone_are_cancelled(connection, worker):
    kit.offer(connection)
    spec = kit.workflow("w.v1", {"a": (), "b": ("a",)})
    kept, gone = (kit.start(connection, spec, private="@p") for _ in range(2))
    connection.execute(
        "update tributary.runs set runner_id = case when run_id = %s then %s else 1 end", (kept, worker)
    )
    process = kit.Process(connection, queues=["@p"])
    process.claim()
    assert kit.scalar(connection, "select tributary.tidy(interval '60 seconds')") == 1
    assert kit.run_row(connection, gone)[0::4] == ("cancelled", "runner_gone")
    assert kit.run_row(connection, kept)[0] == "running"
    assert kit.scalar(connection, "select tributary.tidy(interval '60 seconds')") == 0
    kit.check_invariants(connection)


def test_rows_of_the_long_silent_leave(connection, worker):
    process = kit.Process(connection)
    process.fall_silent()
    connection.execute("update tributary.workers set beat_at = beat_at - interval '2 minutes'")
    connection.execute("select tributary.tidy(interval '50 seconds')")
    assert kit.scalar(connection, "select count(*) from tributary.workers") == 0
    assert kit.scalar(connection, "select count(*) from tributary.processes") == 0


def test_an_intent_in_a_private_queue_that_nobody_serves_is_cancelled(connection, worker):
    kit.offer(connection)
    orphan, served = (
        connection.execute(
            "select run_id from tributary.submit_row(%s, '{}', null, null, null, null, '', %s, null)",
            (kit.NAME, queue),
        ).fetchone()[0]
        for queue in ("@gone", "@served")
    )
    connection.execute("update tributary.workers set queues = '{@served}' where worker_id = %s", (worker,))
    assert kit.scalar(connection, "select tributary.tidy('1 minute')") == 1
    gone = kit.row(connection, orphan)
    assert (gone["state"], gone["reason"]) == ("cancelled", "runner_gone")
    assert kit.row(connection, served)["state"] == "available"


def test_a_retry_of_what_trib_run_left_is_for_any_worker(connection, worker):
    kit.offer(connection)
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ("a",)}), private="@gone")
    intent = kit.scalar(
        connection,
        "select run_id::text from tributary.submit_row(%s, '{}', null, %s, null, null, '', '@gone', null)",
        kit.NAME, '{"queue": "named"}',
    )  # fmt: skip
    connection.execute("update tributary.runs set runner_id = 1")
    assert kit.scalar(connection, "select tributary.tidy('1 minute')") == 2
    for id_ in (run, intent):
        connection.execute("select tributary.retry(%s)", (id_,))
    assert {kit.row(connection, run, step)["queue"] for step in ("a", "b")} == {"default"}
    assert kit.row(connection, intent)["queue"] == "named"
    assert kit.scalar(connection, "select tributary.tidy('1 minute')") == 0
    assert len(kit.Process(connection).claim(5)) == 1
    assert kit.scalar(connection, "select runner_id from tributary.runs") is None


def test_a_retry_while_trib_run_still_serves_it_stays_with_it(connection, worker):
    kit.offer(connection)
    run = kit.start(connection, kit.workflow("w.v1", {"a": ()}), private="@here")
    connection.execute("update tributary.runs set runner_id = %s", (worker,))
    connection.execute("update tributary.workers set queues = '{@here}' where worker_id = %s", (worker,))
    connection.execute("select tributary.cancel(%s)", (run,))
    connection.execute("select tributary.retry(%s)", (run,))
    assert kit.row(connection, run, "a")["queue"] == "@here"


@pytest.mark.one_shard("releases one shard")
def test_the_limit_of_a_run_holds_nobody_back_for_a_handler_that_has_come(connection, worker):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ()}, max_parallel=1))
    assert {kit.row(connection, run, step)["reason"] for step in ("a", "b")} == {"no_handler"}
    handlers = json.dumps([{"name": kit.NAME, "options": {}}])
    connection.execute("select tributary.register_handlers('python', %s::jsonb)", (handlers,))
    assert membership.release_waiting(connection, 1) == 2
    assert sorted(kit.row(connection, run, step)["state"] for step in ("a", "b")) == ["available", "waiting"]
    kit.everywhere(connection, "fill_waiting", 1000)
    assert sorted(kit.row(connection, run, step)["state"] for step in ("a", "b")) == ["available", "waiting"]
    kit.check_invariants(connection)


@pytest.mark.one_shard("releases one shard")
def test_what_waits_for_a_key_is_released_as_far_as_it_comes_soon(connection):
    rows = {name: kit.intent(connection) for name in ("soon", "late", "snoozed")}
    put_off = (
        "update tributary.steps set state = 'scheduled', reason = %s, run_at = now() + %s where run_id = %s"
    )
    for name, reason, delay in (("soon", "no_key", 20), ("late", "no_key", 90), ("snoozed", "snoozed", 20)):
        connection.execute(put_off, (reason, timedelta(seconds=delay), rows[name]))
    assert membership.release_unread(connection, 1, 30.0) == 1
    states = {name: kit.row(connection, run)["state"] for name, run in rows.items()}
    assert states == {"soon": "available", "late": "scheduled", "snoozed": "scheduled"}
    assert membership.release_unread(connection, 1, 30.0) == 0
    kit.check_invariants(connection)


def test_a_short_public_claim_takes_from_the_dead(connection):
    """A fleet without a single trib worker rescues itself."""
    claim = "select run_id::text, attempt from tributary.claim(%s, '{default}', %s)"
    register = "select tributary.register_process(%s, 'other', %s)"
    dead, alive = (kit.scalar(connection, register, name, ["other.work.v1"]) for name in ("dead", "alive"))
    intent = kit.intent(connection, name="other.work.v1")
    assert connection.execute(claim, (dead, ["other.work.v1"])).fetchall() == [(intent, 1)]
    connection.execute(
        "update tributary.processes set beat_at = beat_at - interval '11 seconds' where process_id = %s",
        (dead,),
    )
    assert connection.execute(claim, (alive, ["other.work.v1"])).fetchall() == []
    assert connection.execute(claim, (alive, ["other.work.v1"])).fetchall() == [(intent, 2)]


def test_a_supervisor_sees_the_work_of_every_shard(connection):
    connection.execute(
        "insert into tributary.meta (key, value) values ('shards', '2')"
        " on conflict (key) do update set value = excluded.value"
    )
    kit.offer(connection)
    pulse = "select ready, due_in from tributary.supervise(1, '{}', '{default, none}', true, 'running')"
    assert connection.execute(pulse).fetchone() == ([], None)
    for slot in (0, 1):
        connection.execute(
            """select tributary.submit_row(%s, '{}', null, null, null, tributary.clock() + %s::interval, '',
                                           null, tributary.new_id(%s))""",
            (kit.NAME, f"{2 - slot} hours", slot),
        )
    ready, due_in = connection.execute(pulse).fetchone()
    assert (ready, round(due_in / 3600)) == ([], 1)
    connection.execute("update tributary.steps set state = 'available', seq = seq + 1 where shard = 1")
    ready, due_in = connection.execute(pulse).fetchone()
    assert (ready, round(due_in / 3600)) == (["default"], 2)
