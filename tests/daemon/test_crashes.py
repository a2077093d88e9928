"""Kills: of a worker, of one of its processes, of the handlers' own making."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def test_a_worker_killed_mid_step_is_replaced_by_another_which_reruns_the_step(desk, crew):
    first = crew("--name", "a")
    run = desk.submit("t.hold.v1", {"gate": "never", "first": True})
    desk.noted("began", run)
    second = crew("--name", "b")
    first.kill()
    killed = time.monotonic()
    desk.until(run, "completed", timeout=25)
    took = desk.notes("began", run)[1]["at"] - killed
    assert took < 15
    assert desk.row(run)[1] == 2
    assert desk.result(run)["attempt"] == 2
    assert desk.errors(run)[0][:3] == (1, "crashed", "crashed")
    assert second.stop() == 0


def test_a_killed_child_is_replaced_and_its_steps_run_again(desk, crew):
    worker = crew(processes=2)
    run = desk.submit("t.hold.v1", {"gate": "never", "first": True})
    (began,) = desk.noted("began", run)
    os.kill(began["pid"], signal.SIGKILL)
    desk.until(run, "completed")
    assert desk.row(run)[1] == 2
    desk.wait(lambda: len(desk.pids()) == 2 and began["pid"] not in desk.pids(), 20, "it is replaced")
    assert worker.process.poll() is None


def test_a_handler_that_ends_its_process_is_run_again_and_counts(desk, crew):
    crew()
    run = desk.submit("t.die.v1", {"times": 1})
    desk.until(run, "completed")
    assert desk.row(run)[1] == 2
    assert desk.row(run)[3] == 1


def test_at_most_once_what_had_started_is_discarded_and_what_had_not_runs(desk, crew):
    crew("--concurrency", "1")
    ids = [desk.submit("t.once.v1", {"gate": "gate"}) for _ in range(3)]
    (began,) = desk.noted("began")
    desk.open()
    # it holds the slot until the gate opens; the others have not started
    os.kill(began["pid"], signal.SIGKILL)
    others = [run for run in ids if run != began["id"]]
    for run in others:
        desk.until(run, "completed")
    state, attempt, reason, _ = desk.row(began["id"])
    if state != "completed":
        assert (state, attempt, reason) == ("discarded", 1, "interrupted")
    for run in ids:
        assert len(desk.notes("began", run)) == 1


def test_a_supervisor_killed_alone_takes_its_children_along(desk, crew):
    worker = crew(processes=2)
    pids = desk.pids()
    os.kill(worker.pid, signal.SIGKILL)

    def gone():
        return not any(Path(f"/proc/{pid}").exists() for pid in pids)

    desk.wait(gone, 20, "the children stop")


def test_a_stale_worker_can_neither_finish_nor_fail(desk, crew, frozen):
    first = crew("--name", "stale")
    done = desk.submit("t.deaf.v1", {"gate": "gate"})
    desk.noted("began", done)
    with frozen(first.pid):
        # nobody waits ten seconds here: the beats are set back instead
        desk.sql.execute("update tributary.processes set beat_at = beat_at - interval '20 seconds'")
        desk.sql.execute("update tributary.leaders set expires_at = expires_at - interval '1 minute'")
        second = crew("--name", "fresh")
        desk.noted("began", done, count=2)
        assert desk.row(done)[1] == 2
        stale = {note["pid"] for note in desk.notes("began", done)[:1]}
    desk.wait(lambda: "lease lost" in first.log(), 20, "the stale one hears of it")
    desk.open("fail")
    desk.open()
    ended = desk.noted("ended", done, count=2)
    assert [note["cancelled"] for note in ended if note["pid"] in stale] == [True]
    desk.until(done, "scheduled")
    assert [row[:2] for row in desk.errors(done)] == [(1, "crashed"), (2, "retry")]
    (desk.home / "fail").unlink()
    desk.sql.execute("update tributary.steps set run_at = now() where run_id = %s", (done,))
    desk.until(done, "completed")
    assert desk.result(done) == {"attempt": 3}
    assert second.stop() == 0
    assert first.stop() == 0
