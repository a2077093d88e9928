"""How long the place of a process that died stays empty."""

from __future__ import annotations

import selectors
import socket
import time
from types import SimpleNamespace

import pytest

from tributary_daemon.daemon.board import Board, Entry
from tributary_daemon.daemon.family import Family


class Member(SimpleNamespace):
    __hash__ = object.__hash__


class Members:
    """A family of one place, whose members are ended by the test."""

    def __init__(self):
        self._ends = []
        self.family = Family(1, self._spawn, selectors.DefaultSelector(), 60, None)

    def _spawn(self, number):
        pair = socket.socketpair()
        self._ends += pair
        return Member(
            number=number, pid=1, process_id=1, setup=SimpleNamespace(label="w/1", slots=1), started_at=0.0,
            board=Board(2), fileno=pair[0].fileno, exit_code=lambda: 9,
            close=lambda: None,
        )  # fmt: skip

    def live_and_die(self, *, finished=0, running=(), lived=0.0):
        self.family._start(0, self.family._members)
        (member,) = self.family
        member.board.count(finished, 0)
        member.started_at = time.monotonic() - lived
        self.family._remove(member, 9, planned=False, entries=running)

    def close(self):
        for end in self._ends:
            end.close()


@pytest.fixture
def members():
    made = Members()
    yield made
    made.close()


def entry():
    return Entry(
        ("r", 0, 1), 0, "t.x.v1", 1, running=True, isolated=False, timed_out=False, silent=False, final=False,
        claimed_at=0.0, started_at=0.0, deadline=1.0, allowed=1.0, group=0, queue="other", last=False,
    )  # fmt: skip


def test_who_dies_at_its_start_again_and_again_is_replaced_later_and_later(members):
    untils = []
    for _ in range(5):
        members.live_and_die()
        untils.append(members.family._not_before[0] - time.monotonic())
    assert untils[0] <= 0
    assert untils[1:] == sorted(untils[1:])
    assert members.family.resting[0][0] == 5


@pytest.mark.parametrize("life", [{"running": (entry(),)}, {"finished": 3}, {"lived": 100.0}])
def test_who_dies_of_its_work_is_replaced_at_once_however_often(members, life):
    """Handlers that take their process down would otherwise keep the whole worker waiting."""
    for _ in range(5):
        members.live_and_die(**life)
    assert members.family.resting == {}


def test_work_in_between_makes_a_failed_start_the_first_again(members):
    members.live_and_die()
    members.live_and_die()
    members.live_and_die(finished=1)
    members.live_and_die()
    assert members.family.resting == {}
