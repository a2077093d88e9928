"""How often a process looks for work that its watermarks hide."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.daemon.test_queue_limits import Database
from tributary_daemon.daemon import claiming
from tributary_daemon.daemon.claiming import Claiming


class Slow(Database):
    """A database in which a look takes a while, by a clock of the test's own."""

    def __init__(self, seconds):
        super().__init__(ready=(), gives=0)
        self.now, self.seconds, self.looks = 100.0, seconds, 0

    def promote_and_survey(self, shard):
        self.looks += 1
        self.now += self.seconds
        return super().promote_and_survey(shard)


@pytest.mark.parametrize(("seconds", "most"), [(0.0001, 1000), (0.005, 51), (0.02, 13)])
def test_wake_ups_however_many_leave_three_quarters_of_the_time_for_claims(monkeypatch, seconds, most):
    database = Slow(seconds)
    monkeypatch.setattr(claiming, "time", SimpleNamespace(monotonic=lambda: database.now))
    process = Claiming(0, ["free"], [])
    while database.now < 101.0:
        process.hurry()
        process.look(database, 10, {}, 10)
        database.now += 0.001
    assert most * 0.6 <= database.looks <= most, "it hurries, and it breathes"
    assert database.looks * seconds <= 0.27


def test_without_wake_ups_looks_take_a_tenth_of_the_time(monkeypatch):
    database = Slow(0.02)
    monkeypatch.setattr(claiming, "time", SimpleNamespace(monotonic=lambda: database.now))
    process = Claiming(0, ["free"], [])
    while database.now < 102.0:
        process.look(database, 10, {}, 10)
        database.now += 0.001
    assert 9 <= database.looks <= 11
