"""What is fetched ahead does not wait behind long steps while another process has a slot free."""

from __future__ import annotations

WAITS = """
    select max(extract(epoch from s.started_at - s.claimed_at)) from tributary.steps s
    where s.name = 'r.good.v1' and s.state = 'completed'
"""


def test_short_steps_fetched_ahead_of_long_ones_go_to_who_has_a_slot_free(desk, rough):
    rough("--concurrency", "4", "--name", "a")
    # a process in full swing fetches far ahead …
    with desk.sql.transaction():
        for _ in range(3000):
            desk.submit("r.good.v1")
        long = [desk.submit("r.good.v1", {"ms": 3000}) for _ in range(4)]
        short = [desk.submit("r.good.v1", {"ms": 1}) for _ in range(300)]
    rough("--concurrency", "4", "--name", "b")
    for run in [*long, *short]:
        desk.until(run, "completed", timeout=30)
    # … and yet nothing waited for the four long ones
    assert desk.one(WAITS)[0] < 0.5
    order = "select count(*) from tributary.steps s where s.run_id = any (%s::uuid[]) and s.finished_at < %s"
    first_long = desk.one(
        "select min(finished_at) from tributary.steps where run_id = any (%s::uuid[])", long
    )[0]
    assert desk.one(order, short, first_long) == (300,)
    assert desk.one("select max(attempt) from tributary.steps") == (1,)


def test_a_lone_process_whose_slots_are_taken_gives_back_once_and_goes_on(desk, rough):
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
    assert desk.one(
        "select max(attempt), count(*) filter (where reason is not null) from tributary.steps"
    ) == (1, 0)
    assert desk.one("select count(*) from tributary.event_log") == (0,), "what was returned is no event"
