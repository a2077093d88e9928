"""Queues with a limit over all workers: what a process asks for, and two workers that share one."""

from __future__ import annotations

import os
import signal
import time
from bisect import bisect_left

import psycopg

from tributary_daemon.app import Client
from tributary_daemon.daemon import claiming
from tributary_daemon.daemon.claiming import Claiming
from tributary_daemon.daemon.limits import Limits
from tributary_daemon.store.lanes import Lane, Opening, Survey, limit_keys

SPANS = """
    select extract(epoch from claimed_at)::float8, extract(epoch from finished_at)::float8
    from tributary.steps where queue = 'heavy' order by claimed_at
"""


class Database:
    """Answers a process: queues with ready rows, and how many rows a claim of each gets."""

    def __init__(self, *openings, ready=("free", "heavy"), gives=1000):
        self.openings, self.ready, self.gives = list(openings), ready, gives
        self.asked, self.told, self.windows = [], [], 0

    def survey(self, shard, known=(), lows=()):
        return Survey([(Lane(queue, 0, ""), 1) for queue in self.ready], self.openings)

    def promote_and_survey(self, shard):
        return 0, self.survey(shard)

    def window_end(self, shard, lane, low):
        self.windows += 1
        return low + 20_000

    def exchange(self, shard, ended, claims, freed=()):
        self.told.append(set(freed))
        self.asked.append([({lane.queue for lane in claim.lanes}, claim.most) for claim in claims])
        return [], [self._rows(claim) for claim in claims]

    def _rows(self, claim):
        queue = next(iter(claim.lanes)).queue
        given = claim.most if queue == "free" else min(claim.most, self.gives)
        return [
            (None, None, n, None, None, None, queue, *[None] * 7, 0, "", *[None] * 4) for n in range(given)
        ]


def limited(opens_in=0.0):
    return Opening("heavy", True, opens_in)


def test_of_a_limited_queue_no_more_is_claimed_than_starts_at_once_and_it_starts_first():
    database = Database(limited())
    process = Claiming(0, ["free", "heavy"], [])
    _, rows = process.exchange(database, [], 500, {}, 3)
    assert database.asked == [[({"heavy"}, 3), ({"free"}, 500)]]
    assert [row[6] for row in rows[:4]] == ["heavy"] * 3 + ["free"]
    process.exchange(database, [], 500, {}, 0)
    assert database.asked[-1] == [({"free"}, 500)]


def test_slots_of_the_worker_and_the_limit_hold_both():
    database = Database(limited())
    process = Claiming(0, ["free"], ["heavy"])
    process.exchange(database, [], 500, {"heavy": 2}, 7)
    process.exchange(database, [], 500, {"heavy": 5}, 1)
    assert [asked[0] for asked in database.asked] == [({"heavy"}, 2), ({"heavy"}, 1)]


def test_a_queue_that_gave_too_little_is_not_asked_again_until_there_is_a_reason():
    database = Database(limited(), gives=1)
    process = Claiming(0, ["free", "heavy"], [])
    queues = lambda: [min(names) for names, _ in database.asked[-1]]  # noqa: E731
    process.exchange(database, [], 50, {}, 5)
    assert process.more, "there is more in the other queue"
    process.exchange(database, [], 50, {}, 5)
    assert queues() == ["free"]
    process.hurry()
    process.exchange(database, [], 50, {}, 5)
    assert queues() == ["heavy", "free"]
    process.exchange(database, [], 50, {}, 5)
    assert queues() == ["free"]
    process.ended(limit_keys("heavy", ""))
    process.ended(limit_keys("free", ""))
    process.exchange(database, [], 50, {}, 5)
    assert queues() == ["heavy", "free"]
    assert database.told == [set()] * 4 + [{"heavy"}], "others are told where it ended, once"


def test_a_full_queue_and_a_paused_one_cost_no_claims_and_move_no_watermarks():
    database = Database(limited(None), Opening("free", False, None), gives=0)
    process = Claiming(0, ["free", "heavy"], [])
    process.exchange(database, [], 5, {}, 5)
    assert [names for names, _ in database.asked[0]] == [{"free"}]
    assert process.look(database, 5, {}, 5) == []
    assert (database.windows, process.deferred) == (0, None)


def test_the_look_says_when_the_rate_allows_the_next_attempt():
    database = Database(limited(3.0), gives=0)
    process = Claiming(0, ["heavy"], [])
    process.exchange(database, [], 5, {}, 5)
    assert database.asked == [[]]
    began = time.monotonic()
    process.look(database, 5, {}, 5)
    assert began + 3 <= process.deferred <= time.monotonic() + 3


def test_foreign_names_in_a_limited_queue_are_passed_over_after_a_while():
    database = Database(limited(), ready=("heavy",), gives=0)
    process = Claiming(0, ["heavy"], [])
    for looks in range(1, claiming._VAIN_LOOKS + 1):
        process._look_at = 0.0
        process.look(database, 5, {}, 5)
        assert database.windows == 0, looks
    process._look_at = 0.0
    process.look(database, 5, {}, 5)
    assert database.windows == 1


def test_a_rate_is_waited_for_only_where_something_is_ready():
    limits = Limits()
    began = time.monotonic()
    limits.learn([limited(0.001), Opening("slow", True, 60.0)], [Lane("heavy", 0, "")])
    assert began + 0.05 <= limits.opens_at <= time.monotonic() + 0.05, "what comes within 50 ms comes at once"
    assert not limits.open(Lane("slow", 0, ""))
    limits.learn([Opening("slow", True, 60.0)], [])
    assert limits.opens_at is None


def overlap(rows):
    """Return how many ran at once, at most."""
    ends = sorted(end for _, end in rows)
    starts = sorted(start for start, _ in rows)
    return max(n + 1 - bisect_left(ends, start) for n, start in enumerate(starts))


def test_two_workers_keep_a_limit_together_and_hand_on_what_is_free(desk, crew):
    with Client(desk.url) as client:
        client.set_queue("heavy", concurrency=2)
    one = crew("--queues", "heavy,default", "--name", "one")
    other = crew("--queues", "heavy", "--name", "other", processes=2)
    runs = [desk.submit("t.sleep.v1", {"seconds": 0.02}, queue="heavy") for _ in range(30)]
    held = desk.submit("t.hold.v1", {"gate": "gate"}, queue="heavy")
    for run in runs:
        desk.until(run, "completed")
    desk.until(held, "running")
    # whoever runs it is stopped; the other one is told of the slot, it need not poll for it
    desk.wait(lambda: desk.one("select bool_and(wants_wake) from tributary.workers")[0], 20, "both wait")
    blocker = desk.submit("t.hold.v1", {"gate": "gate2"}, queue="heavy")
    desk.until(blocker, "running")
    late = desk.submit("t.note.v1", queue="heavy")
    with psycopg.connect(desk.url, autocommit=True) as listener:
        listener.execute("listen tributary_wake")
        owner = desk.one(
            "select p.name from tributary.steps s join tributary.processes p using (process_id)"
            " where s.run_id = %s", held,
        )[0]  # fmt: skip
        leaving = one if owner.startswith("one") else other
        leaving.process.terminate()
        desk.wait(lambda: "draining" in leaving.log(), 10, "it drains")
        assert desk.state(late) == "available"
        desk.open("gate")
        notes = [note.payload for note in listener.notifies(timeout=10, stop_after=1)]
    assert notes == ["heavy"]
    desk.open("gate2")
    for run in (held, blocker, late):
        desk.until(run, "completed")
    assert overlap(desk.sql.execute(SPANS).fetchall()) == 2


def test_a_killed_process_gives_its_slot_back_and_nobody_gets_in_beyond_the_limit(desk, crew):
    with Client(desk.url) as client:
        client.set_queue("heavy", concurrency=1)
    crew("--queues", "heavy,default", processes=2)
    held = desk.submit("t.hold.v1", {"gate": "gate", "first": True}, queue="heavy")
    (note,) = desk.noted("began", held)
    late = [desk.submit("t.sleep.v1", {"seconds": 0.02}, queue="heavy") for _ in range(4)]
    assert {desk.state(run) for run in late} == {"available"}
    assert note["pid"] in desk.pids()
    os.kill(note["pid"], signal.SIGKILL)
    for run in (held, *late):
        desk.until(run, "completed")
    assert desk.row(held)[1:] == (2, None, 1)
    assert overlap(desk.sql.execute(SPANS).fetchall()) == 1
    assert desk.one("select tributary.queue_held('heavy')") == (0,)


def test_a_rate_holds_over_processes_and_nobody_oversleeps_it(desk, crew):
    with Client(desk.url) as client:
        client.set_queue("heavy", rate="10/s")
    crew("--queues", "heavy,default", processes=2)
    runs = [desk.submit("t.note.v1", queue="heavy") for _ in range(25)]
    for run in runs:
        desk.until(run, "completed")
    starts = [row[0] for row in desk.sql.execute(SPANS)]
    for n, first in enumerate(starts):
        for m, last in enumerate(starts[n:], 1):
            # claimed_at is the time by which the bucket counts
            assert m <= 10 + 10 * (last - first) + 1e-3, (n, m)
