"""Whom a supervisor wakes when work was submitted."""

from __future__ import annotations

from random import Random

import pytest

from tributary_daemon.daemon import orders as module
from tributary_daemon.daemon.orders import Orders


class Family:
    """Notes who was woken."""

    def __init__(self, size):
        self.size, self.said, self.next = size, [], 0

    def send(self, do):
        self.said.append(do)

    def wake_next(self):
        self.said.append(self.next)
        self.next = (self.next + 1) % self.size
        return self.size > 1


@pytest.fixture
def family():
    return Family(2)


@pytest.fixture
def clock(monkeypatch):
    """Monotonic seconds, in a list of one."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def orders(family):
    return Orders("w", family)


def test_one_notification_wakes_one_process_and_the_others_a_moment_later(orders, family, clock):
    orders.nudge(1)
    assert family.said == [0]
    assert 0 < orders.due_in < 0.05
    orders.follow_up()
    assert family.said == [0]
    clock[0] += orders.due_in
    orders.follow_up()
    assert family.said == [0, "wake"]
    assert orders.due_in == float("inf")
    orders.follow_up()
    orders.nudge(1)
    assert family.said == [0, "wake", 1]


def test_what_comes_together_wakes_all_at_once(orders, family):
    orders.nudge(2)
    assert family.said == ["wake"]
    orders.nudge(1)
    orders.nudge(1)
    assert family.said == ["wake", 0, "wake"]
    assert orders.due_in == float("inf")


def test_nothing_heard_wakes_nobody_early(orders, family):
    orders.nudge(0)
    assert family.said == []
    orders.nudge(1)
    orders.nudge(0)
    assert family.said == [0]


def test_a_single_process_is_all_there_is():
    family = Family(1)
    orders = Orders("w", family)
    orders.nudge(1)
    assert family.said == [0]
    assert orders.due_in == float("inf")


def test_a_paused_worker_wakes_nobody(orders, family):
    orders.take("pause")
    orders.nudge(1)
    orders.nudge(3)
    assert family.said == ["pause"]


def test_of_many_workers_that_wait_few_look_at_once_and_the_others_within_a_second(clock, monkeypatch):
    monkeypatch.setattr(module, "_RANDOM", Random(7))
    families = [Family(2) for _ in range(1_000)]
    fleet = [Orders(str(number), family) for number, family in enumerate(families)]
    late = [orders.nudge(1, waiting=1_000) for orders in fleet]
    chosen = [family for family in families if family.said]
    assert 0 < len(chosen) < 15
    assert all(family.said == [0] for family in chosen)
    later = sorted(at - clock[0] for at in late if at != float("inf"))
    assert len(later) == 1_000 - len(chosen)
    # the first of them soon: who was chosen may not have that handler
    assert 0 <= later[0] < 0.02
    assert 0.9 < later[-1] <= 1


def test_who_is_to_look_later_does_so_once_however_often_it_is_told(orders, family, clock, monkeypatch):
    monkeypatch.setattr(module._RANDOM, "random", lambda: 0.99)
    first = orders.nudge(1, waiting=50)
    assert clock[0] <= first <= clock[0] + 0.25
    assert orders.nudge(1, waiting=50) == first
    clock[0] = first + 0.001
    assert orders.nudge(1, waiting=50) > clock[0]
    assert family.said == []


def test_a_handful_of_workers_look_at_once_and_so_do_all_for_as_much_work(orders, family, monkeypatch):
    monkeypatch.setattr(module._RANDOM, "random", lambda: 0.999)
    assert orders.nudge(1, waiting=4) == float("inf")
    assert orders.nudge(13, waiting=50) == float("inf")
    assert family.said == [0, "wake"]
