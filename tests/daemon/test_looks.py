"""How often a process looks for work that its watermarks hide."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from types import SimpleNamespace

import psycopg
import pytest

from tests.daemon.test_queue_limits import Database
from tributary_daemon.daemon import claiming
from tributary_daemon.daemon.claiming import Claiming
from tributary_daemon.store.lanes import Lane, Survey

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


@pytest.mark.parametrize("queues", ["default", "default,idle:2"])
def test_what_committed_seconds_late_waits_for_no_end_of_a_backlog(desk, crew, queues):
    """Its seq is below what is claimed by then, and with a backlog no claim of a process comes back short."""
    crew("--concurrency", "4", "--queues", queues)
    desk.until(desk.submit("trib.noop.v1"), "completed")
    with psycopg.connect(desk.url, application_name="test") as slow:
        # takes its seq now
        late = slow.execute("select tributary.submit_intent('trib.noop.v1', '{}')").fetchone()[0]
        desk.sql.execute(BACKLOG)
        desk.wait(lambda: desk.one(DONE)[0] > 200, 20, "the backlog is at work")
        slow.commit()
    desk.until(late, "completed", timeout=5)
    assert desk.one(DONE)[0] < 2500


class Full(Database):
    """A database in which one queue has a backlog, by a clock of the test's own."""

    def __init__(self, *ready):
        super().__init__(ready=ready, gives=0)
        self.now, self.whole, self.news = 100.0, 0, 0

    def survey(self, shard, known=(), lows=()):
        self.news += 1
        return super().survey(shard, known, lows)

    def promote_and_survey(self, shard):
        self.whole += 1
        return 0, Database.survey(self, shard)

    def _rows(self, claim):
        return super()._rows(replace(claim, lanes=sorted(claim.lanes, key=lambda lane: lane.queue != "free")))


@pytest.fixture
def run(monkeypatch):
    def run(database, process, seconds, wants=(10,)):
        monkeypatch.setattr(claiming, "time", SimpleNamespace(monotonic=lambda: database.now))
        until, wants = database.now + seconds, cycle(wants)
        while database.now < until:
            process.exchange(database, [], next(wants), {"bounded": 2}, 10)
            database.now += 0.01
        return process

    return run


@pytest.mark.parametrize("bounded", [[], ["bounded"]])
# what has ended is written between claims, too
@pytest.mark.parametrize("wants", [[10], [0, 0, 10]])
def test_beside_a_backlog_all_is_surveyed_twice_a_second(run, bounded, wants):
    database = Full("free")
    process = run(database, Claiming(0, ["free"], bounded), 10.0, wants)
    assert process.more, "what a queue with a bound has not says nothing of the other"
    assert 17 <= database.whole <= 21
    assert database.news >= 300


def test_a_process_whose_steps_leave_no_room_for_claims_surveys_as_well(monkeypatch):
    database = Full("free")
    monkeypatch.setattr(claiming, "time", SimpleNamespace(monotonic=lambda: database.now))
    process = Claiming(0, ["free"], [])
    for _ in range(100):
        process.exchange(database, [object()], 0, {}, 10, in_all=5)
        database.now += 0.01
    assert database.news + database.whole >= 15


@pytest.mark.parametrize(("tenants", "known"), [(70, 71), (1_000, 1_071)])
def test_lanes_that_hold_nothing_are_forgotten_where_a_survey_names_all(run, tenants, known):
    database = Full("free")
    process = Claiming(0, ["free"], [])
    process._marks.learn([(Lane("free", 0, f"old{n}"), 1) for n in range(70)])
    lanes = [(Lane("free", 0, f"t{n}"), 1) for n in range(tenants)]
    database.survey = lambda shard, known=(), lows=(): Survey([], [])
    database.promote_and_survey = lambda shard: (0, Survey(lanes, []))
    process._saturated = True
    process._survey(database)
    assert len(process._marks.lanes(["free"])) == known


def test_of_several_shards_the_one_whose_turn_it_is_learns_of_new_lanes(run):
    database = Full("free")
    process = Claiming(0, ["free"], [], alone=False)
    run(database, process, 1.0)
    run(database, process, 1.0, wants=[0, 10])
    assert (database.whole, database.news > 60) == (0, True)


def test_beside_a_backlog_a_lane_that_is_full_of_what_is_for_others_is_passed_over(run):
    database = Full("free", "others")
    run(database, Claiming(0, ["others", "free"], []), 3.0)
    assert 1 <= database.windows <= 6
