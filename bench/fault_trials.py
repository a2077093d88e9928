"""The faults, what is observed, and how long it takes until work goes on.

A fault is injected while a step runs; the time counts from there to the moment that its row of the table
names, by the monotonic clock of this machine. Where a server or a pooler is away for a while, the time counts
from its first answer.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from bench.pooler import Pooler
from bench.relay import Relay
from bench.scene import PATIENCE, Scene, kill, wait

if TYPE_CHECKING:
    from collections.abc import Callable

_AWAY = (0.5, 10.0)
"""Seconds that a server or a pooler stays away: long enough that pauses between tries have grown."""


def child_killed(scene: Scene) -> float:
    scene.worker("a")
    run = scene.submit("fault.hold.v1")
    fault = kill(scene.started(run)["pid"])
    return scene.at(run, 2) - fault


def child_stopped(scene: Scene) -> float:
    scene.worker("a")
    run = scene.submit("fault.hold.v1")
    fault = kill(scene.started(run)["pid"], signal.SIGSTOP)
    return scene.at(run, 2) - fault


def worker_killed(scene: Scene) -> float:
    """Another worker leads, so nothing but the lease is waited for."""
    scene.worker("b")
    scene.leads("b")
    scene.command("b", "pause", "paused")
    first = scene.worker("a")
    run = scene.submit("fault.hold.v1")
    scene.started(run)
    scene.command("b", "resume", "running")
    os.killpg(first.pid, signal.SIGKILL)
    fault = time.monotonic()
    return scene.at(run, 2) - fault


def leader_killed(scene: Scene) -> float:
    first = scene.worker("a")
    run = scene.submit("fault.hold.v1")
    scene.started(run)
    scene.leads("a")
    scene.worker("b")
    os.killpg(first.pid, signal.SIGKILL)
    fault = time.monotonic()
    return scene.at(run, 2) - fault


def leader_killed_schedules(scene: Scene) -> float:
    first = scene.worker("a")
    scene.leads("a")
    scene.worker("b")
    scene.sql.execute(
        "select tributary.schedule_intent('ticks', '* * * * * *', 'fault.probe.v1', overlap => 'allow')"
    )
    fired = "select count(*) from tributary.schedule_fires where outcome = 'fired' and at > %s"
    wait(lambda: scene.one(fired, "-infinity") > 2, "slots to be fired")
    os.killpg(first.pid, signal.SIGKILL)
    fault = time.monotonic()
    # what the dead one still had on its way is written by now
    at = scene.one("select clock_timestamp() + interval '50 ms'")
    wait(lambda: scene.one(fired, at) > 0, "the next slot to be fired")
    return time.monotonic() - fault


def supervisor_killed(scene: Scene) -> float:
    first = scene.worker("a")
    run = scene.submit("fault.hold.v1")
    scene.started(run)
    scene.worker("b")
    fault = kill(first.pid)
    return scene.at(run, 2) - fault


def worker_stopped(scene: Scene) -> float:
    first = scene.worker("a")
    run = scene.submit("fault.hold.v1")
    scene.started(run)
    scene.worker("b")
    os.killpg(first.pid, signal.SIGSTOP)
    fault = time.monotonic()
    again = scene.at(run, 2)
    os.killpg(first.pid, signal.SIGCONT)
    scene.until(run, "completed")
    return again - fault


def timeout_ignored(scene: Scene) -> float:
    scene.worker("a")
    run = scene.submit("fault.deaf.v1")
    due = scene.at(run, 1) + 1.0
    query = "select state <> 'running' from tributary.steps where run_id = %s"
    wait(lambda: scene.sql.execute(query, (run,)).fetchone() == (True,), "the timeout to be recorded")
    return time.monotonic() - due


def interpreter_held(scene: Scene) -> float:
    scene.worker("a")
    run = scene.submit("fault.hog.v1")
    due = scene.at(run, 1) + 1.0
    query = "select state <> 'running' from tributary.steps where run_id = %s"
    wait(lambda: scene.sql.execute(query, (run,)).fetchone() == (True,), "the timeout to be recorded")
    return time.monotonic() - due


def crash_beside_others(scene: Scene) -> float:
    scene.worker("a")
    holds = [scene.submit("fault.hold.v1") for _ in range(8)]
    for run in holds:
        scene.started(run)
    bad = scene.submit("fault.exit.v1")
    fault = scene.at(bad, 1) + 0.05
    pid = scene.starts(bad)[0]["pid"]
    beside = [run for run in holds if scene.starts(run)[0]["pid"] == pid]
    return max([scene.at(run, 2) for run in beside] or [fault]) - fault


def poison_quarantined(scene: Scene) -> float:
    scene.worker("a")
    bad = scene.submit("fault.exit.v1")
    fault = scene.at(bad, 1) + 0.05
    return scene.until(bad, "discarded") - fault


def isolated_killed(scene: Scene) -> float:
    scene.worker("a")
    run = scene.submit("fault.lone.v1")
    fault = kill(scene.started(run)["pid"])
    return scene.at(run, 2) - fault


def backends_killed(scene: Scene) -> float:
    scene.worker("a")
    scene.next_probe()
    scene.cut()
    fault = time.monotonic()
    return scene.next_probe() - fault


def half_open(scene: Scene) -> float:
    with Relay(scene.url) as relay:
        scene.worker("a", url=relay.url)
        scene.next_probe()
        time.sleep(scene.chance.uniform(0, 2))
        relay.swallow()
        fault = time.monotonic()
        return scene.next_probe() - fault


def pooler_restarted(scene: Scene) -> float:
    with Pooler(scene.url) as pooler:
        scene.worker("a", url=pooler.url)
        scene.next_probe()
        pooler.stop()
        time.sleep(scene.chance.uniform(*_AWAY))
        listens = pooler.start()
        return scene.next_probe() - listens


def restarted_fast(scene: Scene) -> float:
    return _restarted(scene, signal.SIGINT)


def restarted_at_once(scene: Scene) -> float:
    return _restarted(scene, signal.SIGQUIT)


def _restarted(scene: Scene, how: signal.Signals) -> float:
    scene.worker("a")
    scene.next_probe()
    scene.own.stop(how)
    time.sleep(scene.chance.uniform(*_AWAY))
    accepts = scene.own.start()
    scene.reopen()
    return scene.next_probe() - accepts


def drain(scene: Scene) -> float:
    worker = scene.worker("a")
    scene.next_probe()
    fault = kill(worker.pid, signal.SIGTERM)
    if worker.wait(PATIENCE) != 0:
        raise RuntimeError(f"the drain ended with {worker.returncode}")
    return time.monotonic() - fault


class Fault(NamedTuple):
    """A row of the table.

    Attributes:
        what: is done.
        observed: in the product.
        until: when it counts as recovered.
        trial: injects it into a scene and returns the seconds.
        bar: seconds that recovery may take; None where nothing was asked for.
        waits: it only waits for a limit and disturbs nobody: eight trials run at once.
        own: it takes a server of its own.
    """

    what: str
    observed: str
    until: str
    trial: Callable[[Scene], float]
    bar: float | None = None
    waits: bool = False
    own: bool = False


FAULTS = (
    Fault(
        "a process is killed (SIGKILL)",
        "it is replaced; the step had started: a suspect, attempt 2",
        "the step runs again",
        child_killed,
        bar=15,
    ),
    Fault(
        "a handler calls `os._exit` beside others",
        "its process is replaced; all that had started run alone next",
        "the last neighbour runs again",
        crash_beside_others,
    ),
    Fault(
        "the same handler, until it is quarantined",
        "one crash beside others, three alone, dead letter",
        "it is a dead letter",
        poison_quarantined,
    ),
    Fault(
        "an isolated process is killed", "only its attempt is lost", "the step runs again", isolated_killed
    ),
    Fault(
        "a handler ignores its timeout",
        "its process retires, then the timeout is recorded",
        "recorded, after the timeout",
        timeout_ignored,
    ),
    Fault(
        "a handler holds the interpreter past its timeout",
        "its process writes its stacks and is killed",
        "recorded, after the timeout",
        interpreter_held,
    ),
    Fault(
        "a process stands still (SIGSTOP)",
        "killed after `silence_limit` (60 s), replaced",
        "the step runs again",
        child_stopped,
        waits=True,
    ),
    Fault(
        "a whole worker is killed",
        "its lease ends (10 s); another worker takes over",
        "the step runs there",
        worker_killed,
        bar=15,
        waits=True,
    ),
    Fault(
        "the worker that leads is killed",
        "another one leads once its lease has ended (6 s), and rescues",
        "the step runs there",
        leader_killed,
        bar=15,
        waits=True,
    ),
    Fault(
        "the same, with a schedule of every second",
        "another one leads and makes up for the slots",
        "the next slot is fired",
        leader_killed_schedules,
        bar=15,
        waits=True,
    ),
    Fault(
        "a supervisor is killed alone",
        "its processes end by themselves, then the same",
        "the step runs elsewhere",
        supervisor_killed,
        bar=15,
        waits=True,
    ),
    Fault(
        "a whole worker stands still, then goes on",
        "the same; what it answers later is refused",
        "the step runs elsewhere",
        worker_stopped,
        waits=True,
    ),
    Fault(
        "all connections of a worker are cut",
        "reopened; nothing is lost",
        "new work is done",
        backends_killed,
        bar=2,
    ),
    Fault(
        "connections go silent (half open)",
        "noticed, closed, opened anew",
        "new work is done",
        half_open,
        bar=30,
        waits=True,
    ),
    Fault(
        "PgBouncer is restarted",
        "reconnected; nothing is lost",
        "new work is done, after it listens",
        pooler_restarted,
        bar=5,
    ),
    Fault(
        "PostgreSQL is restarted (fast)",
        "reconnected; nothing is lost",
        "new work is done, after it accepts logins",
        restarted_fast,
        bar=5,
        own=True,
    ),
    Fault(
        "PostgreSQL is restarted (immediate)",
        "the same, after its recovery from the crash",
        "new work is done, after it accepts logins",
        restarted_at_once,
        bar=5,
        own=True,
    ),
    Fault("SIGTERM, nothing runs", "drained, exit 0", "it has ended", drain),
)
