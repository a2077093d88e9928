"""The board: what a process leaves behind for its supervisor, however it ends."""

from __future__ import annotations

import math
import os
import threading

import pytest

from tributary_daemon.daemon.board import Board, anonymous, size_of
from tributary_daemon.daemon.held import Held
from tributary_daemon.daemon.settlement import Death

RUN = "0199aaaa-0000-7000-8000-00000000000{}"


def held(n=1, **fields):
    made = Held(RUN.format(n), 0, 100 + n, "intent", "t.x.v1", None, "default", 2, 3, 0, "{}", **fields)
    made.claimed_at, made.started_at = 10.0, 10.5
    return made


def shared(places):
    """Return a board as its process has it, and as its supervisor does."""
    fd = anonymous(size_of(places))
    both = Board(places, fd=fd), Board(places, fd=fd)
    os.close(fd)
    return both


def test_the_other_side_reads_what_runs():
    mine, theirs = shared(3)
    lease = held(timeout=4.0)
    mine.begin(1, lease)
    (entry,) = theirs.running()
    assert entry.token == lease.token
    assert (entry.name, entry.attempt, entry.deadline, entry.allowed, entry.elapsed) == (
        "t.x.v1",
        2,
        14.5,
        4.0,
        0.5,
    )
    mine.own_group(lease, 4711)
    assert theirs.running()[0].group == 4711
    mine.end(lease)
    assert theirs.running() == []
    assert [found.running for found in theirs.entries()] == [False], "the last one stays, for the blame"
    mine.end(lease)


def test_the_time_of_an_isolated_attempt_counts_from_its_own_start():
    mine, theirs = shared(1)
    mine.begin(0, held(timeout=4.0), limited=False)
    assert theirs.running()[0].deadline == math.inf


def test_a_limit_that_was_ignored_is_marked_only_while_the_attempt_has_its_place():
    mine, theirs = shared(1)
    first, second = held(1), held(2)
    mine.begin(0, first)
    mine.overdue(first, 2.0, silent=True, final=True)
    (entry,) = theirs.running()
    assert (entry.timed_out, entry.silent, entry.final, entry.allowed) == (True, True, True, 2.0)
    mine.begin(0, second)
    mine.overdue(first, 2.0, silent=False, final=False)
    assert not theirs.running()[0].timed_out, "the place is another's by now"


def test_counts_ticks_and_a_planned_end():
    mine, theirs = shared(1)
    assert (theirs.counts, theirs.ticked_at, theirs.parting) == ((0, 0), 0.0, None)
    mine.count(5, 1)
    mine.count(2, 0)
    mine.tick()
    mine.part(0)
    assert (theirs.counts, theirs.parting) == ((7, 1), 0)
    assert theirs.ticked_at > 0


def test_an_entry_is_never_read_while_it_is_written():
    """A torn one would show a deadline that nobody set."""
    mine, theirs = shared(1)
    ended = threading.Event()

    def write():
        lease = held(timeout=5.0)
        while not ended.is_set():
            mine.begin(0, lease)
            mine.end(lease)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20_000):
            for entry in theirs.running():
                assert entry.deadline == 15.5
                assert entry.token[0] == RUN.format(1)
    finally:
        ended.set()
        writer.join()


def entry_of(**changes):
    mine, theirs = shared(2)
    lease = held(changes.get("n", 1), lone_crashes=changes.get("lone"))
    mine.begin(0, lease)
    if changes.get("late"):
        mine.overdue(lease, 1.0, silent=False, final=changes.get("final", False))
    if changes.get("ended"):
        mine.end(lease)
    return next(iter(theirs.entries()))


@pytest.mark.parametrize(
    ("entries", "code", "planned", "outcomes"),
    [
        ([entry_of(n=1), entry_of(n=2)], -11, False, ["suspected", "suspected"]),
        ([entry_of(n=1), entry_of(n=2, ended=True)], 7, False, ["suspected"]),
        ([entry_of(n=2, ended=True)], 7, False, ["crashed"]),
        ([entry_of(n=1), entry_of(n=2, lone=0)], 7, False, ["crashed", "suspected"]),
        ([entry_of(n=1), entry_of(n=2, late=True)], 72, True, ["retry"]),
        ([entry_of(n=2, late=True, final=True)], 72, True, ["discarded"]),
        ([entry_of(n=1), entry_of(n=2, late=True)], -9, False, ["retry", "suspected"]),
        ([entry_of(n=1), entry_of(n=2)], 0, True, []),
        ([entry_of(n=1), entry_of(n=2, ended=True)], 74, True, ["suspected", "suspected"]),
    ],
)
def test_what_a_death_means(entries, code, planned, outcomes):
    death = Death("w/1", 1, 2, code, planned, tuple(entries))
    assert [ended.outcome for _, ended in death.outcomes()] == outcomes
