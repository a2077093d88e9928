"""Faults, what is observed, and how long recovery takes: `python -m bench.faults`.

Every trial has a database of its own and workers with shipped defaults (two processes each). A fault is
injected while a step runs; the time counts from the fault to the moment that the row of the table names, by
the monotonic clock of this machine. Several trials run side by side: they mostly wait.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from bench.relay import Relay
from bench.report import publish, table
from bench.scene import PATIENCE, Scene, kill, scene, wait
from bench.server import server
from tributary_daemon.daemon import embedded

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "daemon.md"


# --- the faults; each returns seconds ----------------------------------------------------------


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
    first = scene.worker("a")
    run = scene.submit("fault.hold.v1")
    scene.started(run)
    scene.worker("b")
    os.killpg(first.pid, signal.SIGKILL)
    fault = time.monotonic()
    return scene.at(run, 2) - fault


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
    scene.sql.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and application_name like 'trib%%'"
    )
    fault = time.monotonic()
    return scene.next_probe() - fault


def half_open(scene: Scene) -> float:
    with Relay(scene.url) as relay:
        scene.worker("a", url=relay.url)
        scene.next_probe()
        relay.swallow()
        fault = time.monotonic()
        wait(lambda: relay.opened_since_swallowing > 0, "a new connection")
        return time.monotonic() - fault


def drain(scene: Scene) -> float:
    worker = scene.worker("a")
    scene.next_probe()
    fault = kill(worker.pid, signal.SIGTERM)
    if worker.wait(PATIENCE) != 0:
        raise RuntimeError(f"the drain ended with {worker.returncode}")
    return time.monotonic() - fault


class Fault(NamedTuple):
    """A row of the table; those that only wait for a limit disturb nobody, and run eight at once."""

    what: str
    observed: str
    until: str
    trial: Callable[[Scene], float]
    waits: bool = False


FAULTS = (
    Fault(
        "a process is killed (SIGKILL)",
        "it is replaced; the step had started: a suspect, attempt 2",
        "the step runs again",
        child_killed,
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
        waits=True,
    ),
    Fault(
        "a supervisor is killed alone",
        "its processes end by themselves, then the same",
        "the step runs elsewhere",
        supervisor_killed,
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
    ),
    Fault(
        "connections go silent (half open)",
        "noticed, closed, opened anew",
        "the first new connection",
        half_open,
        waits=True,
    ),
    Fault("SIGTERM, nothing runs", "drained, exit 0", "it has ended", drain),
)


def trials(at: str, fault: Fault, count: int, side_by_side: int) -> list[float]:
    """Run a fault several times; return the seconds of each."""

    def one(_number: int) -> float:
        with scene(at) as made:
            return fault.trial(made)

    with ThreadPoolExecutor(side_by_side) as pool:
        return list(pool.map(one, range(count)))


def restart(count: int) -> list[float]:
    """Restart the server (immediate shutdown) under a worker.

    Returns:
        seconds from the server's first answer to new work done.
    """
    found = []
    home = Path(tempfile.mkdtemp(prefix="trib-faults-"))
    home.chmod(0o755)
    try:
        at = embedded.ensure_running(home)
        with scene(at) as made:
            made.worker("a")
            for _ in range(count):
                made.next_probe()
                os.kill(postmaster(home), signal.SIGQUIT)
                embedded.stop(home)
                embedded.ensure_running(home)
                answered = time.monotonic()
                made.sql = made.stack.enter_context(psycopg.connect(made.url, autocommit=True))
                found.append(made.next_probe() - answered)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)
    return found


def postmaster(home: Path) -> int:
    """Return the process id of an embedded server; SIGQUIT is its immediate shutdown."""
    return int(next(home.rglob("postmaster.pid")).read_text().splitlines()[0])


def write(rows: list[tuple[str, ...]], count: int) -> None:
    """Put the table into docs/daemon.md."""
    heads = ("fault", "what is observed", "recovered when", "p50", "max")
    note = f"{count} trials each, workers of two processes, shipped defaults, one machine of two cores."
    text = f"{table(heads, rows)}\n\n{note}"
    publish("faults", text)
    page = PAGE.read_text(encoding="utf-8")
    begin, finish = "<!-- faults: begin -->", "<!-- faults: end -->"
    pattern = re.compile(f"{begin}.*?{finish}", re.DOTALL)
    PAGE.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{finish}", page), encoding="utf-8")


_WAITING = 8


def main() -> None:
    """Inject every fault, print the table, and write it into docs/daemon.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--side-by-side", type=int, default=2, help="trials at once (default 2)")
    parser.add_argument("--only", help="a regular expression of faults")
    parser.add_argument("--keep", action="store_true", help="leave docs/daemon.md alone")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = []

    def add(fault: tuple[str, str, str], seconds: list[float]) -> None:
        shown = (f"{median(seconds):.1f} s", f"{max(seconds):.1f} s")
        rows.append((*fault, *shown))
        print(*fault, *shown, sep=" | ", flush=True)

    wanted = re.compile(options.only or "")
    with server() as at:
        for fault in FAULTS:
            if wanted.search(fault.what):
                add(
                    fault[:3],
                    trials(at, fault, options.trials, _WAITING if fault.waits else options.side_by_side),
                )
    name = "PostgreSQL is restarted (immediate)"
    if wanted.search(name):
        add(
            (name, "reconnected; nothing is lost", "new work is done, after it answers"),
            restart(options.trials),
        )
    if options.keep:
        publish("faults", table(("fault", "observed", "recovered when", "p50", "max"), rows))
    else:
        write(rows, options.trials)


if __name__ == "__main__":
    main()
