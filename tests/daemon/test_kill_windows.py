"""A whole worker is killed at the moments that decide: around the commit of a step, around a recorded start.

Triggers hold the statement at that moment, by an advisory lock that the test keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.daemon.conftest import Desk

HOLD_COMMIT = """
    create function hold_commit() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock_shared(hashtextextended(new.id, 0));
        return null;
    end $$;
    create constraint trigger held after insert on effects deferrable initially deferred
        for each row execute function hold_commit()
"""
HOLD_START = """
    create function hold_start() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock_shared(hashtextextended(new.run_id::text, 0));
        return new;
    end $$;
    create trigger held before update on tributary.steps for each row
        when (new.state = 'running' and old.state = 'running' and old.started_at is null
              and new.started_at is not null)
        execute function hold_start()
"""
WAITERS = """
    select array_agg(l.pid) from pg_locks l
    where l.locktype = 'advisory' and not l.granted
      and l.database = (select oid from pg_database where datname = current_database())
      and (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended(%s, 0)
"""


class Gate:
    """Holds what waits for an id, until it is let through or cut."""

    def __init__(self, desk: Desk, run: str) -> None:
        self._desk = desk
        self.run = run
        desk.one("select pg_advisory_lock(hashtextextended(%s, 0))", run)

    def waiters(self) -> list[int]:
        """Return the backends that wait."""
        return self._desk.one(WAITERS, self.run)[0] or []

    def reached(self) -> None:
        """Wait until a backend waits."""
        self._desk.wait(self.waiters, 20, f"{self.run} waits at its gate")

    def cut(self) -> None:
        """End the backends that wait: what they were about to do is rolled back."""
        for pid in self.waiters():
            self._desk.one("select pg_terminate_backend(%s, 10000)", pid)
        assert self.waiters() == []
        self.open()

    def open(self) -> None:
        """Let them go on, though nobody hears of it any more."""
        self._desk.one("select pg_advisory_unlock(hashtextextended(%s, 0))", self.run)


def rescue(desk: Desk) -> int:
    """Take what the killed worker held; nobody waits for its lease to end."""
    desk.sql.execute("update tributary.processes set beat_at = beat_at - interval '20 seconds'")
    desk.sql.execute("delete from tributary.leaders")
    return desk.one(
        "select sum(tributary.rescue(n::smallint, '10 seconds', 500)) from generate_series(0, 15) as n"
    )[0]


@pytest.fixture
def patient(desk, trib_env):
    """Workers wait at a gate for as long as it takes."""
    trib_env["TRIB_DATABASE_URL"] = psycopg.conninfo.make_conninfo(
        desk.url, options="-c lock_timeout=0 -c statement_timeout=0"
    )


def test_effects_are_exactly_once_whenever_the_worker_is_killed(desk, crew, patient):
    desk.sql.execute(HOLD_COMMIT)
    once = {"retry": '{"delay": 0.05, "backoff": "fixed"}'}
    cut, acut = (Gate(desk, desk.submit(name, queue="later")) for name in ("t.effect.v1", "t.aeffect.v1"))
    kept, akept = (Gate(desk, desk.submit(name, queue="later")) for name in ("t.effect.v1", "t.aeffect.v1"))
    worker = crew("--name", "killed", "--queues", "default,later")
    before = desk.submit("t.effect.v1", {"gate": "gate"}, **once)
    desk.noted("inserted", before)
    for gate in (cut, acut, kept, akept):
        gate.reached()
    worker.kill()
    desk.open()
    for gate in (kept, akept):
        gate.open()
        desk.until(gate.run, "completed")
    for gate in (cut, acut):
        gate.cut()
        assert desk.state(gate.run) == "running"
    again = {before, cut.run, acut.run}
    assert rescue(desk) == len(again)
    crew("--name", "next", "--queues", "default,later")
    for run in again:
        desk.until(run, "completed")
    effects = dict(desk.sql.execute("select id, array_agg(attempt) from effects group by id").fetchall())
    assert effects == {**{run: [2] for run in again}, kept.run: [1], akept.run: [1]}
    assert {run: len(desk.notes("inserted", run)) for run in effects} == {
        **dict.fromkeys(again, 2), kept.run: 1, akept.run: 1,
    }  # fmt: skip


def test_at_most_once_whenever_the_worker_is_killed(desk, crew, patient):
    desk.sql.execute(HOLD_START)
    worker = crew("--name", "killed", "--concurrency", "1", processes=3)
    gates = []
    for _ in range(2):
        run = desk.submit("t.once.v1", {"gate": "gate"}, queue="later")
        gates.append(Gate(desk, run))
        desk.sql.execute("update tributary.steps set queue = 'default' where run_id = %s", (run,))
        gates[-1].reached()
    unrecorded, recorded = gates
    begun = desk.submit("t.once.v1", {"gate": "gate"})
    desk.noted("began", begun)
    worker.kill()
    unrecorded.cut()
    recorded.open()
    started = "select started_at is not null from tributary.steps where run_id = %s"
    desk.wait(lambda: desk.one(started, recorded.run) == (True,), 20, "its start is recorded all the same")
    assert desk.one(started, unrecorded.run) == (False,)
    assert rescue(desk) == 3
    for run in (recorded.run, begun):
        assert desk.row(run)[:3] == ("discarded", 1, "interrupted")
    assert desk.row(unrecorded.run)[:2] == ("available", 0)
    desk.open()
    crew("--name", "next", "--concurrency", "1")
    desk.until(unrecorded.run, "completed")
    later = desk.submit("t.note.v1")
    desk.until(later, "completed")
    counts = {run: len(desk.notes("began", run)) for run in (unrecorded.run, recorded.run, begun)}
    assert counts == {unrecorded.run: 1, recorded.run: 0, begun: 1}
