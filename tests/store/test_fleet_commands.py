"""What operators tell workers, what processes say of themselves, and who reads it: the SQL of the fleet."""

from __future__ import annotations

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.store import db, fleet, membership


@pytest.fixture
def register(connection):
    def run(name="w", host="box"):
        return membership.register_worker(
            connection, name=name, host=host, pid=1, version="0", queues=["default"], names=[], concurrency=4,
            failures=[],
        )  # fmt: skip

    return run


def beat(connection, worker, processes=(), *, state="running"):
    return membership.beat_worker(
        connection, worker, list(processes), ["default"], wants_wake=True, state=state, wanted=2
    )


def tell(connection, name, command):
    return [row[0] for row in connection.execute("select tributary.command_worker(%s, %s)", (name, command))]


def commands(connection):
    return dict(connection.execute("select worker_id, command from tributary.workers").fetchall())


def fall_silent(connection, worker, seconds=11):
    connection.execute(
        "update tributary.workers set beat_at = beat_at - make_interval(secs => %s) where worker_id = %s",
        (seconds, worker),
    )


def test_the_beat_brings_the_command_and_the_database_time(connection, register):
    worker = register()
    pulse = beat(connection, worker)
    assert (pulse.alive, pulse.command) == (True, None)
    assert abs((kit.scalar(connection, "select clock_timestamp()") - pulse.now).total_seconds()) < 5
    assert tell(connection, "w", "pause") == [worker]
    assert beat(connection, worker).command == "pause"
    assert tell(connection, "w", "resume") == [worker]
    assert beat(connection, worker).command is None
    (row,) = db.run(connection, fleet.workers())
    assert (row.processes, row.command, row.commanded_at is not None) == (2, None, True)


def test_the_former_beat_goes_on_working(connection, register):
    worker = register()
    process = kit.Process(connection)
    alive, beaten, *_ = connection.execute(
        "select * from tributary.supervise(%s, %s::bigint[], '{default}', false, 'running')",
        (worker, [process.id]),
    ).fetchone()
    assert (alive, beaten) == (True, 1)
    assert beat(connection, worker + 1).alive is False


def test_a_name_reaches_all_that_bear_it_and_host_and_id_reach_one(connection, register):
    here, there, other = register(), register(host="shed"), register("other")
    assert tell(connection, "w", "pause") == [here, there]
    assert commands(connection) == {here: "pause", there: "pause", other: None}
    assert tell(connection, "shed/w", "resume") == [there]
    assert tell(connection, str(here), "drain") == [here]
    assert commands(connection) == {here: "drain", there: None, other: None}


def test_who_does_not_exist_or_fell_silent_is_not_told(connection, register):
    with pytest.raises(psycopg.Error, match="there is no worker 'w'") as raised:
        tell(connection, "w", "pause")
    assert raised.value.sqlstate == "TR003"
    silent, alive = register(), register()
    fall_silent(connection, silent)
    assert tell(connection, "w", "pause") == [alive]
    assert commands(connection)[silent] is None
    fall_silent(connection, alive)
    with pytest.raises(psycopg.Error, match="'w' is gone: it has not beaten for 11 s") as raised:
        tell(connection, "w", "pause")
    assert raised.value.sqlstate == "TR003"
    with pytest.raises(psycopg.Error, match="'sleep' is no command") as raised:
        tell(connection, "w", "sleep")
    assert raised.value.sqlstate == "TR001"


def test_a_drain_cannot_be_undone_and_a_stop_escalates_it(connection, register):
    worker = register()
    tell(connection, "w", "pause")
    assert tell(connection, "w", "drain") == [worker]
    for word in ("pause", "resume"):
        with pytest.raises(psycopg.Error, match="draining, which cannot be undone") as raised:
            tell(connection, "w", word)
        assert raised.value.sqlstate == "TR004"
    assert tell(connection, "w", "stop") == [worker]
    assert tell(connection, "w", "drain") == [worker]
    assert commands(connection) == {worker: "stop"}


def test_a_worker_that_drains_by_a_signal_is_neither_paused_nor_resumed(connection, register):
    draining, other = register(), register()
    beat(connection, draining, state="draining")
    assert tell(connection, "w", "pause") == [other]
    with pytest.raises(psycopg.Error) as raised:
        tell(connection, str(draining), "resume")
    assert raised.value.sqlstate == "TR004"


def test_only_who_is_told_is_notified(connection, database, register):
    worker = register()
    register("other")
    with psycopg.connect(database, autocommit=True) as ears:
        ears.execute("listen tributary_command")
        tell(connection, "w", "pause")
        heard = [note.payload for note in ears.notifies(timeout=10, stop_after=1)]
        heard += [note.payload for note in ears.notifies(timeout=0)]
    assert heard == [str(worker)]


def test_a_command_survives_a_new_registration(connection, register):
    former = register()
    tell(connection, "w", "pause")
    anew = register()
    membership.inherit_command(connection, anew, former, None)
    assert commands(connection)[anew] == "pause"
    tell(connection, str(former), "resume")
    again = register()
    membership.inherit_command(connection, again, former, "pause")
    assert commands(connection)[again] is None, "its row knows better than what it has heard"
    membership.inherit_command(connection, again, 0, "drain")
    assert commands(connection)[again] == "drain"


def test_processes_say_what_they_are_and_nothing_new_is_not_written(connection, register):
    worker = register()
    process = membership.register_process(connection, name="w/1", pid=7, worker_id=worker)
    since = kit.scalar(connection, "select clock_timestamp()")
    current = [{"id": "i", "ordinal": 0, "name": "a.b.v1", "since": since.isoformat()}]
    beat(connection, worker, [membership.Vitals(process, 4, 5 << 20, current)])
    beat(connection, worker, [membership.Vitals(process)])
    (row,) = db.run(connection, fleet.workers())
    assert (row.slots, row.rss, row.current) == (4, 5 << 20, current)
    # of this statement alone: others write to the same server
    explained = kit.scalar(
        connection,
        "explain (analyze, wal, format json) select * from tributary.beat_worker("
        " %s, 'running', 1, true, '{default}', array[%s]::bigint[], array[null]::int[],"
        " array[null]::bigint[], array[null]::jsonb[])",
        worker, process,
    )  # fmt: skip
    assert explained[0]["Plan"]["WAL Records"] > 0
    # full images of pages after a checkpoint are not what the beat writes
    images = explained[0]["Plan"].get("WAL FPI", 0)
    assert explained[0]["Plan"]["WAL Bytes"] - images * 8192 < 1_000
    beat(connection, worker, [membership.Vitals(process, current=[])])
    assert db.run(connection, fleet.workers())[0].current == []


def test_a_beat_is_a_hot_update(connection, register):
    worker = register()
    process = membership.register_process(connection, name="w/1", pid=7, worker_id=worker)
    for n in range(50):
        beat(connection, worker, [membership.Vitals(process, 4, n << 20, [])])
    kit.scalar(connection, "select pg_stat_force_next_flush()")
    rows = connection.execute(
        "select relname, n_tup_upd, n_tup_hot_upd from pg_stat_user_tables"
        " where schemaname = 'tributary' and relname in ('workers', 'processes')"
    ).fetchall()
    for name, updated, hot in rows:
        assert updated >= 50, name
        assert hot / updated > 0.9, name


def test_a_process_that_does_not_say_is_shown_with_what_it_has_claimed(connection, register):
    kit.offer(connection)
    worker = register()
    process = kit.Process(connection)
    connection.execute(
        "update tributary.processes set worker_id = %s where process_id = %s", (worker, process.id)
    )
    first = kit.intent(connection)
    process.claim()
    for _ in range(30):
        kit.intent(connection)
    process.claim(30)
    (row,) = db.run(connection, fleet.workers())
    assert (row.running, len(row.current)) == (31, 20)
    assert (row.current[0]["id"], row.current[0]["name"], row.current[0]["ordinal"]) == (first, kit.NAME, 0)


def test_facts_of_the_fleet(connection, register):
    nothing = db.run(connection, fleet.facts())
    assert nothing == (None, [], [], None, None)
    kit.offer(connection)
    kit.intent(connection, "never.offered.v1")
    kit.intent(connection)
    facts = db.run(connection, fleet.facts())
    assert (facts.unoffered, facts.unserved, facts.oldest_queue) == (
        ["never.offered.v1"], [kit.NAME], "default",
    )  # fmt: skip
    assert 0 <= facts.oldest_age < 60
    worker = register("boss")
    connection.execute(
        "update tributary.workers set names = array[%s] where worker_id = %s", (kit.NAME, worker)
    )
    membership.attend(connection, worker, 60, lease=10, expected=None, silent=None)
    facts = db.run(connection, fleet.facts())
    assert (facts.leader, facts.unserved) == ("boss", [])
