"""The leader's round: rescue spares everybody for a lease after an outage."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from tributary_daemon.daemon import admission, maintenance
from tributary_daemon.daemon.clock import DatabaseClock
from tributary_daemon.daemon.maintenance import TICK, Maintenance
from tributary_daemon.daemon.pruner import Pruner, Pruners
from tributary_daemon.store import membership
from tributary_daemon.store.membership import Chores

NOTHING = Chores(dead=False, due=False, waiting=False, abandoned=False)
EVERYTHING = Chores(dead=True, due=True, waiting=True, abandoned=True)


class Member:
    setup = SimpleNamespace(label="w/1")
    pid = 1


class Answers:
    def __init__(self, rows):
        self._rows = rows

    def fetchone(self):
        return (self._rows,)


@pytest.fixture
def leader(monkeypatch):
    """Return (maintenance, clock, calls) of a worker that leads and always finds something to do."""
    clock, calls = [1000.0], []
    monkeypatch.setattr(maintenance.time, "monotonic", lambda: clock[0])

    def call(name, answer):
        return lambda *_, **__: (calls.append(name), answer)[1]

    monkeypatch.setattr(maintenance.membership, "attend", call("attend", EVERYTHING))
    for name, answer in dict.fromkeys(["rescue", "promote", "release_waiting", "tidy"], 0).items():
        monkeypatch.setattr(maintenance.membership, name, call(name, answer))
    for name in ("sample_queues", "sweep_groups", "prune_cache"):
        monkeypatch.setattr(maintenance.membership, name, lambda *_: None)
    keeper = Maintenance(1, 10.0, DatabaseClock(), Pruners(Pruner(None)))
    # past the time in which a new leader takes nothing from anybody
    clock[0] += 10
    return keeper, clock, calls


def test_a_round_is_done_once_per_tick(leader):
    keeper, clock, calls = leader
    keeper.tick(None, 1)
    keeper.tick(None, 1)
    assert calls == ["attend", "rescue", "promote", "release_waiting", "tidy"]
    clock[0] += TICK
    keeper.tick(None, 1)
    assert calls.count("attend") == 2


def test_a_leader_without_work_sends_one_statement_per_tick(leader, monkeypatch):
    keeper, clock, calls = leader
    asked = []

    def attend(*_, silent, **__):
        asked.append(silent)
        return NOTHING

    monkeypatch.setattr(maintenance.membership, "attend", attend)
    for _ in range(4):
        keeper.tick(None, 1)
        clock[0] += TICK
    assert calls == []
    assert [silent is not None for silent in asked] == [True, False, False, True], "all of it every 5 s"


def test_queues_are_sampled_and_groups_swept_every_ten_seconds(leader, monkeypatch):
    keeper, clock, _ = leader
    sampled, swept = [], []
    answers = iter([["", "m"], None, None])
    monkeypatch.setattr(maintenance.membership, "sample_queues", lambda _: sampled.append(clock[0]))
    monkeypatch.setattr(
        maintenance.membership, "sweep_groups", lambda _, after: (swept.append(after), next(answers))[1]
    )
    for _ in range(11):
        keeper.tick(None, 1)
        clock[0] += TICK
    assert [at - sampled[0] for at in sampled] == [0, 10, 20]
    assert swept == [None, ["", "m"], None], "it goes on where it stopped, then from the start"


def test_what_has_expired_leaves_the_step_cache_once_a_minute(leader, monkeypatch):
    keeper, clock, _ = leader
    pruned = []
    monkeypatch.setattr(maintenance.membership, "prune_cache", lambda _: pruned.append(clock[0]))
    for _ in range(61):
        keeper.tick(None, 1)
        clock[0] += TICK
    assert [at - pruned[0] for at in pruned] == [0, 60, 120]


def test_a_run_past_its_timeout_is_ended_in_time_and_not_with_the_next_tick(leader, monkeypatch):
    keeper, clock, _ = leader
    ended = []
    monkeypatch.setattr(maintenance.membership, "expire_runs", lambda *_: ended.append(clock[0]))
    monkeypatch.setattr(
        maintenance.membership, "attend", lambda *_, **__: replace(NOTHING, deadline_in=TICK / 4)
    )
    began = clock[0]
    keeper.tick(None, 1)
    assert keeper.due_in == TICK / 4
    keeper.work(None, new=False, drains=True)
    assert ended == []
    clock[0] += TICK / 4
    for _ in range(2):
        keeper.work(None, new=False, drains=True)
    assert ended == [began + TICK / 4]


@pytest.mark.parametrize(
    ("chore", "done"),
    [("dead", "rescue"), ("due", "promote"), ("waiting", "release_waiting"), ("abandoned", "tidy")],
)
def test_a_chore_is_done_where_there_is_one(leader, monkeypatch, chore, done):
    keeper, _, calls = leader
    monkeypatch.setattr(maintenance.membership, "attend", lambda *_, **__: replace(NOTHING, **{chore: True}))
    keeper.tick(None, 1)
    assert calls == [done]


@pytest.mark.parametrize("leads", [True, False])
def test_what_waited_for_a_name_is_released_bit_by_bit_until_nothing_is_left(leader, monkeypatch, leads):
    keeper, _, calls = leader
    monkeypatch.setattr(maintenance.membership, "attend", lambda *_, **__: NOTHING if leads else None)
    left = [1000, 1000, 0]
    monkeypatch.setattr(
        maintenance.membership, "release_waiting", lambda *_, within: (calls.append(within), left.pop(0))[1]
    )
    keeper.tick(None, 1)
    keeper.work(None, new=False, drains=False)
    assert calls == []
    keeper.work(None, new=True, drains=False)
    assert keeper.due_in == 0
    while keeper.due_in == 0:
        keeper.work(None, new=False, drains=False)
    assert left == []
    assert max(calls) < 1, "the supervisor beats in between"
    keeper.work(None, new=False, drains=False)
    assert len(calls) == 3


def test_a_worker_that_drains_releases_nothing_more(leader):
    keeper, _, calls = leader
    keeper.work(None, new=True, drains=True)
    keeper.work(None, new=False, drains=False)
    assert calls == []
    assert keeper.due_in > 0


def test_the_first_process_waits_for_a_release_and_those_at_work_do_not(monkeypatch):
    given, members = [], [Member(), Member()]
    monkeypatch.setattr(admission.membership, "register_handlers", lambda *_: ["t.new.v1"])
    monkeypatch.setattr(admission.membership, "register_process", lambda *_, **__: 1)
    monkeypatch.setattr(
        admission.membership,
        "release_waiting",
        lambda *_, within: (given.append((within, len(started))), 1)[1],
    )
    started = []
    admitted = admission.Admission(["*"])
    monkeypatch.setattr(admitted, "_publish_functions", lambda *_: None)
    for member in members:
        member.start = lambda *_, **__: started.append(1)
        admitted.offered(member, {"handlers": [{"name": "t.new.v1"}], "failures": []})
        assert not admitted.news()
        admitted.admit(
            lambda: None, lambda: 1, 1, register=lambda _: None, holds_bounded=lambda _: False, paused=False
        )
        assert admitted.news(), "the maintenance is to release the rest"
        assert not admitted.news()
        # as after an outage, in which the database may have become another one
        admitted.anew()
    (first, none), (later, one) = given
    assert (none, one) == (0, 1), "before it starts"
    assert later < 1 < first < 10


def test_nobody_is_rescued_until_all_have_had_the_time_to_beat_again(leader):
    keeper, clock, calls = leader
    keeper.spare()
    for _ in range(4):
        keeper.tick(None, 1)
        clock[0] += TICK
    assert "rescue" not in calls
    assert "tidy" not in calls
    assert "promote" in calls
    clock[0] += TICK
    keeper.tick(None, 1)
    assert "rescue" in calls


def test_who_does_not_lead_does_nothing(leader, monkeypatch):
    keeper, _, calls = leader
    monkeypatch.setattr(maintenance.membership, "attend", lambda *_, **__: None)
    keeper.tick(None, 1)
    assert calls == []


def test_a_rescue_goes_on_while_batches_come_back_full():
    answers = [500, 500, 3]

    class Connection:
        def execute(self, *_):
            return Answers(answers.pop(0))

    assert membership.rescue(Connection(), 1, 10.0) == 1003
    assert answers == []


def test_a_new_leader_takes_nothing_from_anybody_until_all_could_have_beaten(leader):
    """It does not know whether the database was away a moment ago."""
    _, clock, calls = leader
    fresh = Maintenance(1, 10.0, DatabaseClock(), Pruners(Pruner(None)))
    for _ in range(3):
        fresh.tick(None, 1)
        clock[0] += TICK
    assert not {"rescue", "tidy"} & set(calls)
    clock[0] += TICK
    fresh.tick(None, 1)
    assert "rescue" in calls
