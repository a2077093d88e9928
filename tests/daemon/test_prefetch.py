"""What is fetched ahead does not wait behind long steps while another process has a slot free."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right

SLOTS = 4
PATIENCE = 0.15
RAN = """
    select extract(epoch from claimed_at)::float8, extract(epoch from started_at)::float8,
           extract(epoch from finished_at)::float8, result::text::int
    from tributary.steps where name = 'r.good.v1' and state = 'completed' and created_at >= %s
"""


class Busy:
    """How many steps of a process run at a moment."""

    def __init__(self, rows):
        self.starts = sorted(row[1] for row in rows)
        self.ends = sorted(row[2] for row in rows)

    def at(self, moment):
        return bisect_right(self.starts, moment) - bisect_left(self.ends, moment)


def sat_in_vain(rows):
    """Return the waits of claimed rows, in seconds, while another process had a slot free all the time.

    A slot counts as free when none of the looks, one in 5 ms from 20 ms before on, finds all of them taken.
    """
    by_process = {}
    for row in rows:
        by_process.setdefault(row[3], []).append(row)
    busy = {pid: Busy(mine) for pid, mine in by_process.items()}
    found = []
    for claimed, started, _, pid in rows:
        begin, longest = claimed, 0.0
        moment = claimed
        while moment < started:
            if all(other.at(moment) >= SLOTS for one, other in busy.items() if one != pid):
                begin = moment
            longest = max(longest, moment - begin)
            moment += 0.005
        found.append(longest)
    return found


def test_nothing_sits_in_a_process_while_another_has_a_slot_free(desk, rough):
    """Mixed steps of 1 ms and of seconds: nobody can tell which is next, so what was fetched goes back."""
    worker = rough("--concurrency", SLOTS, processes=2)
    desk.wait(lambda: worker.log().count("process started") == 2, 20, "both claim")
    dice = random.Random(7)
    since = desk.one("select clock_timestamp()")[0]
    count = 0
    for _ in range(3):
        # a burst of short ones brings both into full swing, then long ones come among them
        with desk.sql.transaction():
            for _ in range(1500):
                desk.submit("r.good.v1")
            for _ in range(120):
                desk.submit("r.good.v1", {"ms": 1200 if dice.random() < 0.07 else 1})
        count += 1620
        desk.wait(
            lambda count=count: desk.one(
                "select count(*) from tributary.steps where state = 'completed' and created_at >= %s", since
            ) == (count,),
            60, "the burst is done",
        )  # fmt: skip
    rows = desk.sql.execute(RAN, (since,)).fetchall()
    assert len({row[3] for row in rows}) == 2
    worst = max(sat_in_vain(rows))
    assert worst <= PATIENCE, f"a step sat for {worst * 1000:.0f} ms"
    assert desk.one("select max(attempt), count(reason) from tributary.steps") == (1, 0)


def test_short_steps_fetched_behind_long_ones_go_to_a_worker_that_comes_later(desk, rough):
    rough("--concurrency", SLOTS, "--name", "a")
    with desk.sql.transaction():
        for _ in range(3000):
            desk.submit("r.good.v1")
        long = [desk.submit("t.hold.v1", {"gate": "long"}) for _ in range(SLOTS)]
        short = [desk.submit("r.good.v1", {"ms": 1}) for _ in range(300)]
    rough("--concurrency", SLOTS, "--name", "b")
    for run in short:
        desk.until(run, "completed")
    assert not [run for run in long if desk.state(run) == "completed"], "none waited for the long ones"
    desk.open("long")
    for run in long:
        desk.until(run, "completed")


def test_a_lone_process_whose_slots_are_taken_gives_back_and_goes_on(desk, rough):
    rough("--concurrency", "2")
    with desk.sql.transaction():
        for _ in range(1000):
            desk.submit("r.good.v1")
        for _ in range(2):
            desk.submit("r.good.v1", {"ms": 1500})
        for _ in range(200):
            desk.submit("r.good.v1")
    desk.wait(
        lambda: desk.one("select count(*) from tributary.steps where state = 'completed'") == (1202,),
        30, "all complete",
    )  # fmt: skip
    assert desk.one("select max(attempt), count(reason) from tributary.steps") == (1, 0)
    assert desk.one("select count(*) from tributary.event_log") == (0,), "what was returned is no event"
