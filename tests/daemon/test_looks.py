"""How often a process looks for work that its watermarks hide."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest

from tests.daemon.test_queue_limits import Database
from tributary_daemon.daemon import claiming
from tributary_daemon.daemon.claiming import Claiming

BACKLOG = """
    select count(tributary.submit_intent('t.sleep.v1', '{"seconds": 0.02}')) from generate_series(1, 3000)
"""
DONE = "select count(*) from tributary.steps where state = 'completed'"


class Slow(Database):
    """A database in which a look takes a while, by a clock of the test's own."""

    def __init__(self, seconds):
        super().__init__(ready=(), gives=0)
        self.now, self.seconds, self.looks = 100.0, seconds, 0

    def promote_and_survey(self, shard):
        self.looks += 1
        self.now += self.seconds
        return super().promote_and_survey(shard)


@pytest.mark.parametrize(("seconds", "most"), [(0.0001, 500), (0.005, 11), (0.02, 4)])
def test_wake_ups_however_many_leave_all_but_a_twentieth_of_the_time_for_claims(monkeypatch, seconds, most):
    database = Slow(seconds)
    monkeypatch.setattr(claiming, "time", SimpleNamespace(monotonic=lambda: database.now))
    process = Claiming(0, ["free"], [])
    while database.now < 101.0:
        process.hurry()
        process.look(database, 10, {}, 10)
        database.now += 0.001
    assert most * 0.6 <= database.looks <= most, "it hurries, and it breathes"
    assert database.looks * seconds <= 0.05 + 2 * seconds


def test_without_wake_ups_looks_take_a_twentieth_of_the_time(monkeypatch):
    database = Slow(0.02)
    monkeypatch.setattr(claiming, "time", SimpleNamespace(monotonic=lambda: database.now))
    process = Claiming(0, ["free"], [])
    while database.now < 102.0:
        process.look(database, 10, {}, 10)
        database.now += 0.001
    assert 4 <= database.looks <= 6


def test_what_committed_seconds_late_waits_for_no_end_of_a_backlog(desk, crew):
    """Its seq is below what is claimed by then, and with a backlog no claim of a process comes back short."""
    crew("--concurrency", "4")
    desk.until(desk.submit("trib.noop.v1"), "completed")
    with psycopg.connect(desk.url, application_name="test") as slow:
        # takes its seq now
        late = slow.execute("select tributary.submit_intent('trib.noop.v1', '{}')").fetchone()[0]
        desk.sql.execute(BACKLOG)
        desk.wait(lambda: desk.one(DONE)[0] > 200, 20, "the backlog is at work")
        slow.commit()
    desk.until(late, "completed", timeout=5)
    assert desk.one(DONE)[0] < 2500
