"""Whom a supervisor wakes when work was submitted."""

from __future__ import annotations

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
