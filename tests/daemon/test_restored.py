"""A base backup that was taken while work ran, followed as a standby, promoted: nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from tests.daemon.sites import desk_of, watched
from tests.own_server import OwnServer, programs
from tributary_daemon.app import Client
from tributary_daemon.store.migrations import Migrator


@pytest.fixture
def servers(request):
    """A server, and one that is to become its copy."""
    binaries = programs(request)
    made = [OwnServer(binaries), OwnServer(binaries)]
    try:
        made[0].start()
        Migrator(made[0].url()).up()
        yield made
    finally:
        for server in made:
            server.close()


@pytest.mark.outages
@pytest.mark.timeout(300)
def test_a_backup_of_a_busy_database_goes_on_elsewhere(servers, tmp_path, eventually):
    first, copy = servers
    homes = [tmp_path / "one", tmp_path / "two"]
    for home in homes:
        home.mkdir()
    with (
        desk_of(first.url(), homes[0], eventually) as desk,
        watched(first.url(), homes[0], "one", eventually) as worker,
        Client(first.url()) as client,
    ):
        desk.sql.execute("create table effects (id text, attempt int, pid int)")
        for name, catchup in (("patient", "1 day"), ("strict", "0")):
            desk.sql.execute(
                "select tributary.schedule_intent(%s, '0 * * * *', 't.note.v1', catchup => %s::interval)",
                (name, catchup),
            )
        done = desk.submit("t.note.v1", {"n": 1})
        desk.until(done, "completed")
        held = [desk.submit("t.hold.v1", {"gate": "gate"}) for _ in range(3)]
        effect = desk.submit("t.effect.v1", {"gate": "gate"})
        waits = desk.submit("t.note.v1", {"n": 2}, run_after=datetime(2100, 1, 1, tzinfo=UTC))
        desk.noted("began", count=3)
        desk.noted("inserted", effect)
        keyed = client.submit("t.note.v1", {"n": 3}, idempotency_key="k").id
        schedules = "select count(*) from tributary.schedules where next_slot is not null"
        desk.wait(lambda: desk.one(schedules) == (2,), 20, "the leader has planned")
        copy.copy_of(first, "-R")
        copy.launch()
        ahead = "select count(*) from pg_stat_replication where replay_lsn >= pg_current_wal_lsn()"
        desk.wait(lambda: desk.one(ahead) == (1,), 60, "the copy has all of it")
        worker.kill()
    first.kill()
    ids = {done, *held, effect, waits, str(keyed)}
    with (
        watched(copy.url(), homes[1], "two", eventually, ready=False) as worker,
        desk_of(copy.url(), homes[1], eventually) as desk,
    ):
        # a standby as its only server: it waits, and says so
        eventually(lambda: "this server only reads" in worker.reasons(), 60, worker.log)
        assert worker.ready()[0] == 503
        (said,) = worker.said("database lost")
        assert "primary" in said["hint"]
        copy.promote()
        # the backup is an hour and a half older than it is
        with psycopg.connect(copy.url(), autocommit=True) as sql:
            sql.execute(
                "update tributary.schedules set next_slot = next_slot - interval '3 hours',"
                " next_at = next_at - interval '3 hours'"
            )
        eventually(lambda: worker.ready()[0] == 200, 60, worker.log)
        assert len(worker.said("database lost")) == 1, "once, however often it was tried"
        # who held leases is dead: they are taken from it, and what ran runs again
        desk.open()
        for run in (*held, effect):
            desk.until(run, "completed", 60)
            assert desk.row(run)[1] == 2
        assert desk.one("select count(*), max(attempt) from effects") == (1, 2)
        assert desk.row(waits)[0] == "scheduled"
        with Client(copy.url()) as client:
            again = client.submit("t.note.v1", {"n": 3}, idempotency_key="k")
            assert (again.id, again.created) == (keyed, False)
            fresh = [str(client.submit("t.note.v1", {"n": n}).id) for n in range(20)]
        assert not ids & set(fresh)
        assert min(fresh) > max(ids), "ids grow on"
        for run in fresh:
            desk.until(run, "completed", 60)
        of = "select outcome, missed from tributary.schedule_fires where schedule = %s and slot < %s"
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

        def outcomes(name):
            return desk.sql.execute(of, (name, hour)).fetchall()

        desk.wait(lambda: outcomes("strict") and outcomes("patient"), 60, "the leader has looked at slots")
        assert {outcome for outcome, _ in outcomes("strict")} == {"missed"}, "too old: told, not fired"
        assert "missed" not in {outcome for outcome, _ in outcomes("patient")}, "made up for, as it says"
        assert worker.said("worker fenced") == []
