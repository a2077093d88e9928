"""Buckets and sums: what processes count, on both sides of the memory, and what of it outlives them."""

from __future__ import annotations

import os
import threading
import time
from types import SimpleNamespace

import pytest

from tributary_daemon.daemon import measures as measures_module
from tributary_daemon.daemon.board import Board, anonymous, size_of
from tributary_daemon.daemon.held import Held
from tributary_daemon.daemon.measures import FAST, LOOKS, MOST_QUEUES, OTHER, OUTCOMES, SCOPES, SLOW, Sums
from tributary_daemon.daemon.outcomes import ended
from tributary_daemon.daemon.settlement import Death
from tributary_daemon.daemon.tally import Tally
from tributary_daemon.model.caching import CacheKey
from tributary_daemon.model.outcome import Completed, Discarded, ErrorRecord, Failed, Released

QUEUES = ("default", "heavy")
ERROR = ErrorRecord("ValueError", "no")


def lease(n=1, queue="default", *, started=10.5, ended_at=11.0):
    held = Held(f"0199aaaa-0000-7000-8000-{n:012}", 0, n, "intent", "t.x.v1", None, queue, 1, 3, 0, "{}")
    held.claimed_at, held.started_at, held.ended_at = 10.0, started, ended_at
    return held


def row(seq, queue="default"):
    return ("r", 0, seq, "intent", "t.x.v1", None, queue)


def sums_of(*boards):
    sums = Sums()
    for board in boards:
        board.measures.add_to(sums)
    return sums


def pairs(*outcomes, **more):
    made = [(lease(n, **more), outcome) for n, outcome in enumerate(outcomes)]
    return [(held, ended(held, outcome)) for held, outcome in made]


@pytest.fixture
def clock(monkeypatch):
    at = [1_000.0]
    monkeypatch.setattr(measures_module.time, "monotonic", lambda: at[0])
    return at


def test_the_other_side_reads_what_was_counted(clock):
    fd = anonymous(size_of(2, QUEUES))
    mine, theirs = Board(2, fd=fd, queues=QUEUES), Board(2, fd=fd, queues=QUEUES)
    os.close(fd)
    mine.measures.claimed([row(1), row(2), row(3, "heavy")])
    assert mine.measures.ended(
        pairs(Completed("1"), Failed(ERROR, 1.0), Released(), Discarded(ERROR)), []
    ) == (
        3,
        2,
    )
    mine.measures.settled(lease(9, "heavy"))
    mine.measures.exchanged(clock[0] - 0.25, 4)
    mine.measures.exchanged(clock[0], 0)
    mine.measures.holds(7, 2, 1)
    sums = sums_of(theirs)
    assert (sums.claimed("default"), sums.claimed("heavy")) == (2, 1)
    found = {word: count for word, count in sums.outcomes("default").items() if count}
    assert found == {"completed": 1, "retry": 1, "released": 1, "discarded": 1}
    assert sums.outcomes("heavy")["completed"] == 1
    assert (sum(sums.runs("default").counts), sums.runs("default").total) == (4, 2_000_000)
    assert sum(sums.starts.counts) == 5
    assert (sum(sums.trips.counts), sums.trips.total) == (1, 250_000)
    assert (theirs.measures.held, sums.opened, sums.outages) == (7, 2, 1)
    assert sum(sums.waits("default").counts) == 0, "the server's clock is not known"


def test_waits_are_measured_by_the_servers_clock(clock):
    board = Board(1, queues=QUEUES)
    ahead = 1_700_000_000_000_000
    board.measures.date(ahead)
    now = ahead + 1_000_000_000
    board.measures.claimed([row(now - 1_000), row(now - 1_001), row(now + 5), row(now - 8_000_000_000)])
    waits = sums_of(board).waits("default")
    assert waits.counts[0] == 2, "a bound is part of its bucket; the future is no wait"
    assert waits.counts[1] == waits.counts[-1] == 1
    assert waits.total == 8_000_002_001
    assert len(waits.counts) == len(SLOW) + 1


def test_bounds_ascend():
    assert list(SLOW) == sorted(set(SLOW))
    assert list(FAST) == sorted(set(FAST))


def test_what_has_lost_its_lease_is_counted_as_that():
    board = Board(1, queues=QUEUES)
    mine = pairs(Completed("1"), Completed("2"))
    assert board.measures.ended(mine, [mine[0][0].token]) == (1, 0)
    outcomes = sums_of(board).outcomes("default")
    assert (outcomes["completed"], outcomes["lost"]) == (1, 1)


def test_a_failure_that_leaves_no_attempt_is_counted_as_the_database_decides():
    board = Board(1, queues=QUEUES)
    mine = pairs(Failed(ERROR, 1.0), Failed(ERROR, None), Failed(ERROR, None))
    mine[1][0].attempt = 3
    mine[2][0].attempt, mine[2][0].crashes = 3, 1
    board.measures.ended(mine, [])
    outcomes = sums_of(board).outcomes("default")
    assert (outcomes["retry"], outcomes["discarded"]) == (2, 1)


def test_a_limit_that_was_ignored_is_final_where_no_attempt_is_left():
    tally = Tally()
    for attempt in (1, 3):
        one, held = member(), lease()
        held.attempt = attempt
        tally.begins(one)
        one.board.begin(0, held)
        one.board.overdue(held, 1.0, silent=False, final=False)
        tally.ends(one.board, death(one.board, planned=True))
    assert tally.counts().interrupted == {("default", "retry"): 1, ("default", "discarded"): 1}


def test_what_never_started_has_no_duration():
    board = Board(1, queues=QUEUES)
    board.measures.ended(pairs(Released("returned"), started=None), [])
    assert sum(sums_of(board).runs("default").counts) == 0


def test_every_outcome_has_a_cell():
    board = Board(1, queues=QUEUES)
    held, item = pairs(Completed("1"))[0]
    for word in OUTCOMES:
        board.measures.ended([(held, item._replace(outcome=word))], [])
    assert set(sums_of(board).outcomes("default").values()) == {1}


def test_answers_of_the_step_cache_are_counted_by_scope():
    board = Board(1, queues=QUEUES)
    for scope in SCOPES:
        for number, answer in enumerate(LOOKS, 1):
            for _ in range(number):
                held, item = pairs(Completed("1"))[0]
                held.looked = answer
                held.cache_key = CacheKey("d", "", "t.x.v1", None, scope, held.run_id, 60.0)
                board.measures.ended([(held, item)], [])
    held, _ = pairs(Completed("1"))[0]
    held.looked, held.cache_key = "miss", None
    board.measures.settled(held)
    found = sums_of(board, board).looks()
    assert found.keys() == {(scope, answer) for scope in SCOPES for answer in LOOKS}
    assert found["run", "hit"] == 2
    assert found["run", "error"] == 8
    assert found["global", "miss"] == 6
    # others are as they were
    assert sum(sums_of(board).trips.counts) == 0
    assert sums_of(board).opened == 0


def test_queues_beyond_the_limit_are_others():
    queues = [f"q{number}" for number in range(MOST_QUEUES + 50)]
    board = Board(1, queues=queues)
    board.measures.claimed([row(1, queue) for queue in queues] + [row(1, "unheard of")])
    sums = sums_of(board)
    assert len(sums.queues) == MOST_QUEUES + 1
    assert sums.claimed(OTHER) == 51
    assert sums.claimed("q0") == 1
    more = Board(1, queues=["yet another"])
    more.measures.claimed([row(1, "yet another")])
    assert sums_of(board, more).claimed(OTHER) == 52


def test_starts_are_counted_in_their_places():
    board = Board(2, queues=QUEUES)
    held = lease(1, "heavy")
    board.begin(0, held)
    board.begin(0, held, limited=False)
    assert (sums_of(board).started, board.busy) == (1, 1), "its own process came up: that is no other start"
    assert board.running()[0].queue == "heavy"
    board.end(held)
    assert held.ended_at is not None
    board.begin(1, lease(2))
    board.begin(0, lease(3, "strange"))
    assert (sums_of(board).started, board.busy) == (3, 2)
    assert {entry.queue for entry in board.running()} == {"default", OTHER}


# --- over the processes of a worker -------------------------------------------------------------------


def member(slots=3):
    return SimpleNamespace(board=Board(2, queues=QUEUES), setup=SimpleNamespace(slots=slots))


def death(board, process_id=1, code=-9, *, planned=False):
    return Death("w/1", 1, process_id, code, planned, tuple(board.entries()))


def test_who_is_gone_is_still_counted():
    tally = Tally()
    one, two = member(), member(4)
    tally.begins(one)
    tally.begins(two)
    one.board.measures.claimed([row(1)] * 3)
    two.board.measures.claimed([row(1)] * 5)
    one.board.begin(0, lease(1, "heavy"))
    one.board.measures.holds(2, 1, 0)
    counts = tally.counts()
    assert (counts.sums.claimed("default"), counts.sums.started, counts.slots) == (8, 1, 7)
    assert (counts.busy, counts.held, counts.interrupted) == (1, 2, {})
    tally.ends(one.board, death(one.board))
    one.board.close()
    counts = tally.counts()
    assert (counts.sums.claimed("default"), counts.sums.started, counts.slots) == (8, 1, 4)
    assert (counts.busy, counts.held) == (0, 0)
    assert counts.interrupted == {("heavy", "suspected"): 1}
    assert counts.sums.opened == 1
    tally.ends(two.board, death(two.board))
    two.board.close()
    assert tally.counts().sums.claimed("default") == 8


def test_who_had_no_row_yet_or_was_meant_to_end_interrupts_nothing():
    tally = Tally()
    for more in ({"process_id": 0}, {"planned": True}):
        one = member()
        tally.begins(one)
        one.board.begin(0, lease())
        tally.ends(one.board, death(one.board, **more))
    assert tally.counts().interrupted == {}


def test_a_new_process_knows_the_time_that_the_last_beat_has_brought(clock):
    tally = Tally()
    old, new = member(), member()
    tally.begins(old)
    tally.date(1_000_000)
    tally.begins(new)
    for one in (old, new):
        one.board.measures.claimed([row(1)])
    assert sum(tally.counts().sums.waits("default").counts) == 2


def test_sums_never_fall_while_processes_come_and_go():
    tally = Tally()
    seen, over = [], threading.Event()

    def scrape():
        while not over.is_set():
            counts = tally.counts()
            seen.append(counts.sums.claimed("default") if "default" in counts.sums.queues else 0)

    thread = threading.Thread(target=scrape)
    thread.start()
    until = time.monotonic() + 0.5
    total = 0
    while time.monotonic() < until:
        one = member()
        tally.begins(one)
        one.board.measures.claimed([row(1)] * 7)
        total += 7
        tally.ends(one.board, death(one.board))
        one.board.close()
    over.set()
    thread.join(10)
    assert seen == sorted(seen)
    assert tally.counts().sums.claimed("default") == total
