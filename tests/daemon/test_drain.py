"""SIGTERM: what runs is finished, what has not started is given back; a second one ends at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time


def test_sigterm_finishes_what_runs_and_gives_back_what_has_not_started(desk, crew):
    worker = crew("--concurrency", "2")
    ids = [desk.submit("t.hold.v1", {"gate": "gate"}) for _ in range(6)]
    desk.noted("began", count=2)
    worker.process.send_signal(signal.SIGTERM)
    desk.wait(lambda: "worker draining" in worker.log(), 10, "it drains")
    late = desk.submit("t.note.v1")
    desk.open()
    assert worker.process.wait(20) == 0
    rows = [desk.row(run)[:2] for run in ids]
    assert rows.count(("completed", 1)) == 2
    assert rows.count(("available", 0)) == 4
    assert len(desk.notes("began")) == 2
    assert desk.row(late)[:2] == ("available", 0)
    assert desk.errors(ids[0]) == []


def test_a_second_sigterm_gives_back_at_once_and_a_shell_that_sends_it_twice_does_not(desk, crew):
    worker = crew()
    run = desk.submit("t.hold.v1", {"gate": "gate"})
    desk.noted("began", run)
    worker.process.send_signal(signal.SIGTERM)
    worker.process.send_signal(signal.SIGTERM)
    desk.wait(lambda: "worker draining" in worker.log(), 10, "it drains")
    began = time.monotonic()
    desk.wait(lambda: time.monotonic() - began > 0.7, 5, "two signals at once were one")
    assert worker.process.poll() is None
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(10) == 0
    assert desk.row(run)[:2] == ("available", 0)


def test_the_drain_deadline_gives_back_what_does_not_end(desk, crew):
    worker = crew("--drain-timeout", "300ms")
    run, once = desk.submit("t.sleep.v1", {"seconds": 60}), desk.submit("t.once.v1", {"gate": "never"})
    desk.noted("began", run)
    desk.noted("began", once)
    assert worker.stop(timeout=10) == 0
    assert desk.row(run)[:2] == ("available", 0)
    assert desk.row(once)[:3] == ("discarded", 1, "interrupted")


def test_the_worker_under_timeout_drains(desk, crew, trib_env):
    crew().stop()
    run = desk.submit("t.hold.v1", {"gate": "gate"})
    process = subprocess.Popen(
        ["timeout", "-s", "TERM", "600", sys.executable, "-m", "tributary_daemon", "worker",
         "--processes", "1", "--import", "./handlers_for_tests.py"],
        env=trib_env, cwd=desk.home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        desk.noted("began", run)
        # told so, it does what it does when its time is up: it signals the worker, and then its whole group
        process.terminate()
        desk.wait(
            lambda: desk.one("select state from tributary.workers where state = 'draining'"),
            20,
            "it is told to stop",
        )
        desk.open()
        _, said = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert desk.row(run)[:2] == ("completed", 1), said


def test_one_slot_runs_one_step_whatever_its_kind(desk, crew):
    crew("--concurrency", "1")
    done = [desk.submit("t.note.v1") for _ in range(30)]
    for run in done:
        desk.until(run, "completed")
    names = ("t.hold.v1", "t.ahold.v1") * 3
    with desk.sql.transaction():
        ids = [desk.submit(name, {"gate": f"gate{n}"}) for n, name in enumerate(names)]
    order = []
    for count in range(1, 7):
        began = desk.noted("began", count=count)
        assert len(began) == count
        order.append(began[-1]["id"])
        desk.open(f"gate{ids.index(order[-1])}")
        desk.noted("ended", count=count)
    assert sorted(order) == sorted(ids)


def test_two_workers_of_one_name_do_not_disturb_each_other(desk, crew):
    first, second = crew("--name", "twin"), crew("--name", "twin")
    ids = [desk.submit("t.hold.v1", {"gate": "gate"}) for _ in range(20)]
    desk.noted("began", count=20)
    assert len({note["pid"] for note in desk.notes("began")}) == 2
    desk.open()
    assert first.stop() == 0
    for run in ids:
        desk.until(run, "completed")
        assert desk.row(run)[1] == 1
    assert second.stop() == 0
