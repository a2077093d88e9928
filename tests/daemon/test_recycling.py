"""Processes are replaced by steps, age and memory, between steps and without a dip in service."""

from __future__ import annotations

import itertools
import json


def pids_of(desk):
    return [
        row[0]
        for row in desk.sql.execute(
            "select distinct result::text::int from tributary.steps where result is not null"
        )
    ]


def done_by_another(desk, pid):
    """Submit until another process is at work."""

    def another():
        run = desk.submit("r.good.v1")
        desk.until(run, "completed")
        return desk.result(run) != pid

    desk.wait(another, 20, "another process works")


def test_a_process_is_replaced_after_its_steps_and_its_successor_claims_first(desk, rough):
    worker = rough("--recycle-steps", "50", env={"TRIB_LOG_LEVEL": "debug"})
    running = iter(range(100_000))
    ids = []
    while len(pids_of(desk)) < 4:
        with desk.sql.transaction():
            ids += [desk.submit("r.good.v1", {"ms": 2}) for _ in itertools.islice(running, 40)]
        desk.until(ids[-1], "completed")
    assert {desk.row(run)[1] for run in ids} == {1}
    assert "process died" not in worker.log()
    said = [json.loads(line) for line in worker.log().splitlines() if line.startswith("{")]
    recycled = [line["pid"] for line in said if line["event"] == "process recycled"]
    assert len(recycled) >= 3
    for pid in recycled[:-1]:
        told = [
            line["event"] for line in said if line.get("pid") == pid or line["event"] == "process started"
        ]
        after = told[told.index("process recycled") :]
        assert after[:3] == ["process recycled", "process started", "process exited"], "no dip in between"


def test_a_recycled_process_finishes_what_runs(desk, rough):
    worker = rough("--recycle-steps", "5", "--concurrency", "4")
    slow = desk.submit("t.hold.v1", {"gate": "gate"})
    (began,) = desk.noted("began", slow)
    while "process recycled" not in worker.log():
        desk.until(desk.submit("r.good.v1"), "completed")
    done_by_another(desk, began["pid"])
    assert began["pid"] in desk.pids(), "it is beaten for while it finishes"
    desk.open()
    desk.until(slow, "completed")
    assert desk.row(slow)[1] == 1
    desk.wait(lambda: began["pid"] not in desk.pids(), 20, "then it leaves")


def test_slots_of_a_queue_are_not_doubled_while_a_process_is_replaced(desk, rough):
    worker = rough("--queues", "default,heavy:1", "--recycle-steps", "5", "--concurrency", "4")
    first, second = (desk.submit("t.hold.v1", {"gate": gate}, queue="heavy") for gate in ("one", "two"))
    (began,) = desk.noted("began")
    while "process recycled" not in worker.log():
        desk.until(desk.submit("r.good.v1"), "completed")
    done_by_another(desk, began["pid"])
    assert len(desk.notes("began")) == 1, "heavy:1 is still taken"
    waiting = second if began["id"] == first else first
    desk.open("one" if began["id"] == first else "two")
    desk.noted("began", waiting)
    desk.open("one")
    desk.open("two")
    desk.until(waiting, "completed")


def test_a_process_is_replaced_at_its_age(desk, rough):
    worker = rough("--recycle-age", "1s")
    (old,) = desk.pids()
    desk.wait(
        lambda: "s old" in worker.log() and old not in desk.pids() and desk.pids(), 30, "it is replaced"
    )
    desk.until(desk.submit("r.good.v1"), "completed")


def test_a_leaking_handler_works_in_bounded_memory(desk, rough):
    """2,000 MiB are leaked in all; a process holds its limit, and what it leaks while it is replaced."""
    limit, most = 250, 0
    rough("--recycle-memory", f"{limit}MiB", "--concurrency", "2")
    for _ in range(50):
        with desk.sql.transaction():
            ids = [desk.submit("r.leak.v1", {"mib": 4}) for _ in range(10)]
        for run in ids:
            desk.until(run, "completed", timeout=40)
        for pid in desk.pids():
            most = max(most, resident(pid))
    assert len(pids_of(desk)) >= 3, "several processes shared the work"
    assert most < 2 * limit
    assert desk.one("select max(attempt) from tributary.steps") == (1,)


def resident(pid):
    try:
        with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 - as /proc is read
            return int(file.read().split()[1]) * 4096 / 2**20
    except FileNotFoundError:
        return 0
