"""Timeouts of attempts and of their heartbeats hold, whatever a handler does about them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest


def is_gone(pid):
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("name", ["r.deaf.v1", "r.adeaf.v1"])
def test_a_handler_that_ignores_its_timeout_is_ended_before_the_timeout_is_recorded(desk, rough, name):
    """So its next attempt never runs beside it."""
    worker = rough()
    run = desk.submit(name, max_attempts=1)
    (began,) = desk.noted("began", run)
    neighbour = desk.submit("r.good.v1", {"ms": 3000})
    desk.wait(lambda: "process retired" in worker.log(), 30, "it was given up")
    assert is_gone(began["pid"]) or desk.state(run) == "running", "nothing is recorded while it runs"
    desk.until(run, "discarded", timeout=40)
    assert is_gone(began["pid"])
    ended = time.monotonic()
    talked = worker.log().count("talking")
    assert desk.row(run)[1:3] == (1, "timeout")
    assert desk.errors(run)[0][3] == "timed out after 400ms"
    desk.until(neighbour, "completed")
    assert desk.row(neighbour)[1] == 1, "it lost no attempt"
    assert worker.log().count("talking") == talked
    assert not [note for note in desk.notes("talks", run) if note["at"] > ended]


def test_a_process_that_retires_is_replaced_before_it_has_ended(desk, rough):
    """Its neighbours have ten seconds; nobody else waits for them."""
    worker = rough("--queues", "default,heavy:1")
    slow = desk.submit("t.hold.v1", {"gate": "slow"}, queue="heavy")
    desk.noted("began", slow)
    deaf = desk.submit("r.deaf.v1", max_attempts=1)
    (began,) = desk.noted("began", deaf)
    desk.wait(lambda: "process retired" in worker.log(), 30, "it was given up")
    also_heavy = desk.submit("t.note.v1", queue="heavy")
    probe = desk.submit("r.good.v1")
    desk.until(probe, "completed")
    assert not is_gone(began["pid"]), "the old one still gives its neighbour time"
    assert desk.state(also_heavy) == "available", "heavy:1 is still taken"
    desk.open("slow")
    desk.until(slow, "completed")
    assert desk.row(slow)[1] == 1
    desk.until(also_heavy, "completed")
    desk.until(deaf, "discarded")


def test_the_next_attempt_of_a_deaf_handler_starts_when_the_first_is_gone(desk, rough):
    rough()
    run = desk.submit("r.deaf.v1", {"only": 1}, retry='{"delay": 0.01, "backoff": "fixed"}')
    desk.until(run, "completed", timeout=40)
    assert desk.row(run)[:2] == ("completed", 2)
    assert is_gone(desk.notes("began", run)[0]["pid"])


def test_neighbours_of_a_deaf_handler_that_do_not_end_are_released_uncounted(desk, rough):
    rough("--concurrency", "4")
    slow = desk.submit("t.hold.v1", {"gate": "slow"})
    once = desk.submit("r.once.v1", {"how": "wait"})
    desk.noted("began", slow)
    desk.noted("began", once)
    deaf = desk.submit("r.deaf.v1", max_attempts=1)
    (began,) = desk.noted("began", deaf)
    desk.until(deaf, "discarded", timeout=40)
    assert is_gone(began["pid"])
    desk.noted("began", slow, count=2)
    assert desk.row(slow)[1] == 1, "no attempt is lost"
    assert desk.row(once)[:3] == ("discarded", 1, "interrupted")
    desk.open("slow")
    desk.until(slow, "completed")


def test_a_handler_that_holds_the_interpreter_past_its_timeout_is_killed(desk, rough):
    worker = rough()
    began = time.monotonic()
    run = desk.submit("r.hog.v1")
    desk.until(run, "discarded", timeout=30)
    assert time.monotonic() - began < 15
    assert desk.row(run)[1:3] == (1, "timeout")
    assert "hog" in worker.log(), "it says where it hung"
    assert is_gone(desk.notes("began", run)[0]["pid"])
    desk.until(desk.submit("r.good.v1"), "completed")


def test_a_process_without_a_sign_of_life_is_killed_and_its_step_becomes_a_suspect(desk, rough):
    worker = rough(env={"TRIB_SILENCE_LIMIT": "2s"})
    run = desk.submit("r.hogs.v1", {"only": 1})
    desk.until(run, "completed", timeout=40)
    assert desk.row(run) == ("completed", 2, None, 1)
    assert "no sign of life" in desk.errors(run)[0][3]
    assert "process stuck" in worker.log()


def test_an_isolated_process_is_killed_at_its_timeout_with_all_it_has_started(desk, rough):
    worker = rough()
    run = desk.submit("r.lone.v1", {"how": "child"}, timeout=1.5, max_attempts=1)
    (note,) = desk.noted("child", run)
    desk.until(run, "discarded")
    assert desk.row(run)[2] == "timeout"
    assert "timed out after 1.5s" in worker.log(), "the log says so"
    desk.wait(lambda: is_gone(note["pid"]) and is_gone(note["child"]), 10, "both are gone")


def test_an_isolated_process_is_killed_when_its_step_is_cancelled(desk, rough):
    rough()
    run = desk.submit("r.lone.v1", {"how": "hang"})
    (note,) = desk.noted("began", run)
    desk.sql.execute("select tributary.cancel(%s)", (run,))
    desk.wait(lambda: is_gone(note["pid"]), 10, "it is gone")
    assert desk.state(run) == "cancelled"


@pytest.mark.parametrize("name", ["r.silent.v1", "r.asilent.v1", "r.lsilent.v1"])
def test_an_attempt_without_heartbeats_is_timed_out(desk, rough, name):
    rough()
    quiet, talks = desk.submit(name, {"beats": 2}), desk.submit(name, {"beats": 12})
    desk.until(talks, "completed")
    assert desk.result(talks) == "kept in touch"
    desk.until(quiet, "discarded")
    assert desk.row(quiet)[1:3] == (1, "heartbeat_timeout")
    assert desk.errors(quiet)[0][3] == "no heartbeat for 500ms"


def test_a_memory_cap_ends_an_attempt_and_nothing_else(desk, rough):
    rough()
    fits, bursts = desk.submit("r.capped.v1", {"mib": 50}), desk.submit("r.capped.v1", {"mib": 2000})
    desk.until(fits, "completed")
    assert desk.result(fits) == 50
    desk.until(bursts, "discarded")
    assert "MemoryError" in desk.one("select error ->> 'type' from tributary.dead_letters")[0]


def test_timeouts_hold_while_the_database_is_silent(desk, rough):
    """The clock is a thread of its own: a statement that waits for a lock does not delay it."""
    rough()
    # not at most once: the start of such an attempt would wait for the lock
    run = desk.submit("t.spin.v1", timeout=1.0, max_attempts=2)
    with desk.sql.transaction():
        desk.sql.execute("set local lock_timeout = '5s'")
        desk.wait(lambda: desk.state(run) == "running", 20, "it runs")
        # whatever the process wants to write now waits
        desk.sql.execute("lock table tributary.steps in exclusive mode")
        (note,) = desk.noted("timeout", run, timeout=10)
    desk.until(run, "scheduled")
    assert note["attempt"] == 1
