"""Handlers that get into trouble on request; each start is noted in ./starts.jsonl with a monotonic time."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import time
from pathlib import Path

from tributary_daemon import Step, handler

HERE = Path.cwd()


def note(step: Step) -> None:
    """Append who has started, when, and where."""
    line = {"id": step.run_id, "attempt": step.attempt, "pid": os.getpid(), "at": time.monotonic()}
    descriptor = os.open(HERE / "starts.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, (json.dumps(line) + "\n").encode())
    os.close(descriptor)


@handler("fault.probe.v1")
def probe(step: Step) -> None:
    """Be there."""
    note(step)


@handler("fault.hold.v1", max_attempts=5)
def hold(step: Step) -> None:
    """Wait in the first attempt, end in the others."""
    note(step)
    while step.attempt == 1:
        time.sleep(0.01)


@handler("fault.deaf.v1", timeout=1, max_attempts=5)
def deaf(step: Step) -> None:
    """Ignore the timeout of the first attempt."""
    note(step)
    while step.attempt == 1:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


@handler("fault.hog.v1", timeout=1, max_attempts=5)
def hog(step: Step) -> None:
    """Hold the interpreter in the first attempt, inside one native call."""
    note(step)
    if step.attempt == 1:
        ctypes.PyDLL(None).usleep(300_000_000)


@handler("fault.exit.v1", max_attempts=3)
def leave(step: Step) -> None:
    """Take the process down, always."""
    note(step)
    time.sleep(0.05)
    os._exit(9)


@handler("fault.lone.v1", isolation="process", max_attempts=5)
def lone(step: Step) -> None:
    """Wait in the first attempt, in a process of its own."""
    note(step)
    while step.attempt == 1:
        time.sleep(0.01)


@handler("fault.work.v1", max_attempts=5)
def work() -> None:
    """Take a slot for 100 ms and no CPU, so that the slots bound the rate; not all of them in step."""
    time.sleep(random.uniform(0.05, 0.15))
