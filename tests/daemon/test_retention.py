"""Retention by real workers, and the pace of the pruner."""

from __future__ import annotations

import json
import math
from functools import partial

import psycopg
import pytest

from tests.store import aging
from tributary_daemon import events
from tributary_daemon.daemon import pruner
from tributary_daemon.daemon.pruner import Pruner
from tributary_daemon.errors import DatabaseUnreachable, SchemaError
from tributary_daemon.store.pruning import Retention, Sweep

RETENTION = Retention(keep=60.0)
WORK = "select count(*) from tributary.steps"


def pruned(worker):
    """Return what the log says was pruned."""
    lines = [json.loads(line) for line in worker.log().splitlines() if line.startswith("{")]
    return [(line["runs"], line["intents"]) for line in lines if line["event"] == "history pruned"]


def test_a_worker_prunes_what_is_older_than_keep_and_goes_on_working(crew, desk):
    aging.finished(desk.sql, 3_000, "40 days")
    young = aging.finished(desk.sql, 5, "20 days")
    worker = crew(env={"TRIB_KEEP": "30d"})
    done = desk.submit("trib.noop.v1")
    desk.until(done, "completed")
    desk.wait(lambda: desk.one(WORK)[0] == len(young) + 1, 20, "the old work is gone")
    desk.wait(lambda: pruned(worker), 5, "it says so")
    assert sum(intents for _, intents in pruned(worker)) == 3_000
    assert desk.state(done) == "completed"


def test_a_worker_without_keep_prunes_nothing(crew, desk):
    aging.finished(desk.sql, 5, "400 days")
    (desk.home / "trib.toml").write_text('keep = "1d"\n')
    worker = crew(env={"TRIB_KEEP": "forever"})
    done = desk.submit("trib.sleep.v1", {"seconds": 3})
    desk.until(done, "completed")
    assert desk.one(WORK)[0] == 6
    assert pruned(worker) == []


def test_what_is_locked_for_long_disturbs_neither_worker_nor_retention(crew, desk, database):
    old = aging.finished(desk.sql, 10, "40 days", "cancelled")
    with psycopg.connect(database) as operator:
        operator.execute("select tributary.retry(%s)", (old[3],))
        crew(env={"TRIB_KEEP": "30d"})
        desk.wait(lambda: desk.one(WORK)[0] == 1, 20, "the others are gone")
    desk.until(old[3], "completed")


class Steps:
    """Answers of the database: each batch takes a second."""

    def __init__(self, monkeypatch):
        self.clock = 1_000.0
        self.answers = []
        monkeypatch.setattr(pruner.time, "monotonic", lambda: self.clock)
        monkeypatch.setattr(pruner.db, "run", self.run)

    def run(self, _connection, operation):
        next(operation)
        self.clock += 1.0
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        with pytest.raises(StopIteration):
            operation.send([answer])


@pytest.fixture
def steps(monkeypatch):
    return Steps(monkeypatch)


@pytest.fixture
def told():
    seen = []
    detach = events.attach(seen.append)
    yield seen
    detach()


def moves(runs, intents):
    """Answer that the sweep goes on."""
    return (runs, intents, "01234567-0000-7000-8000-000000000000", 0)


def ends(runs, intents):
    """Answer that the shard has come to its end."""
    return (runs, intents, None, 0)


def test_batches_alternate_with_pauses_and_sweeps_with_rests(steps, told):
    keeper = Pruner(partial(Sweep, RETENTION, 1))
    assert keeper.due_in == 0
    steps.answers = [moves(3, 2), ends(0, 1)]
    keeper.batch(None)
    assert keeper.due_in == pytest.approx(1.0)
    keeper.batch(None)
    assert len(steps.answers) == 1
    steps.clock += 1.0
    keeper.batch(None)
    assert keeper.due_in == pytest.approx(60.0)
    assert told == [events.HistoryPruned(runs=3, intents=3, seconds=2.0)]


def test_a_sweep_in_vain_rests_the_longer_and_says_nothing(steps, told):
    keeper = Pruner(partial(Sweep, RETENTION, 1))
    steps.answers = [moves(0, 0) for _ in range(9)] + [ends(0, 0)]
    while steps.answers:
        keeper.batch(None)
        steps.clock += 2.0
    assert keeper.due_in == pytest.approx(198.0)
    assert told == []


def test_a_long_sweep_says_every_minute_how_far_it_is(steps, told):
    keeper = Pruner(partial(Sweep, RETENTION, 1))
    steps.answers = [moves(0, 1) for _ in range(40)] + [ends(0, 1)]
    while steps.answers:
        keeper.batch(None)
        steps.clock += 2.0
    # a batch and its pause take three seconds
    assert [event.intents for event in told] == [21, 20]


def test_an_error_is_told_and_waited_out_a_lost_connection_is_not_its_business(steps, told):
    keeper = Pruner(partial(Sweep, RETENTION, 1))
    steps.answers = [SchemaError("no such function")]
    keeper.batch(None)
    assert told == [events.PruningFailed(error="no such function")]
    assert keeper.due_in == pytest.approx(60.0)
    steps.clock += 60.0
    steps.answers = [DatabaseUnreachable("gone")]
    with pytest.raises(DatabaseUnreachable):
        keeper.batch(None)
    assert keeper.due_in == 0


def test_without_retention_nothing_is_ever_due(steps):
    keeper = Pruner(None)
    keeper.batch(None)
    assert math.isinf(keeper.due_in)
