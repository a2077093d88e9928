"""Handlers that misbehave: they end, crash, break, leak, hang and hog their process."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tributary_daemon import Step, handler

HERE = Path.cwd()
LEAK: list[bytearray] = []


def note(step: Step, what: str, **more) -> None:
    line = {"what": what, "id": step.run_id, "attempt": step.attempt, "pid": os.getpid(), **more}
    line["at"] = time.monotonic()
    descriptor = os.open(HERE / "notes.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, (json.dumps(line) + "\n").encode())
    os.close(descriptor)


def wait_for(gate: str) -> None:
    while not (HERE / gate).exists():
        time.sleep(0.005)


@handler("r.good.v1")
def good(step: Step, ms: float = 0) -> int:
    time.sleep(ms / 1000)
    return os.getpid()


@handler("r.agood.v1")
async def agood(step: Step, ms: float = 0) -> int:
    await asyncio.sleep(ms / 1000)
    return os.getpid()


@handler("r.end.v1", max_attempts=3)
def end(step: Step, how: str, gate: str | None = None) -> str:
    """End or break the process in one of many ways."""
    note(step, "began")
    if gate is not None:
        wait_for(gate)
    match how:
        case "exit":
            os._exit(7)
        case "exit zero":
            os._exit(0)
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "alarm":
            signal.alarm(1)
            time.sleep(30)
        case "sys.exit":
            sys.exit(4)
        case "base":
            raise BaseException("bare")  # noqa: TRY002
        case "interrupt":
            raise KeyboardInterrupt
        case "close fds":
            os.closerange(3, 256)
            time.sleep(30)
        case "signals":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "set":
            return {1, 2}
        case "lambda":
            return lambda: 1
        case "late":
            # returns, and takes its process down a moment later
            threading.Timer(0.05, os._exit, (9,)).start()
            return "fine"
    return "survived"


@handler("r.once.v1", max_attempts=1)
def once(step: Step, how: str) -> None:
    note(step, "began")
    if how == "exit":
        os._exit(7)
    wait_for("never")


@handler("r.lone.v1", isolation="process", max_attempts=5)
def lone(step: Step, how: str = "good") -> int:
    note(step, "began")
    match how:
        case "exit":
            os._exit(5)
        case "hang":
            wait_for("never")
        case "close fds":
            os.closerange(3, 256)
            time.sleep(60)
        case "fork":
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            os._exit(6)
        case "child":
            child = subprocess.Popen(["sleep", "60"], start_new_session=False)
            note(step, "child", child=child.pid)
            wait_for("never")
    return os.getpid()


@handler("r.capped.v1", memory="400MiB", max_attempts=1)
def capped(step: Step, mib: int) -> int:
    hog = [bytearray(2**20) for _ in range(mib)]
    return len(hog)


@handler("r.deaf.v1", timeout=0.4, max_attempts=2)
def deaf(step: Step, gate: str = "never", only: int | None = None) -> str:
    """Ignore every exception that is raised into this thread, and log on."""
    if only is not None and step.attempt > only:
        return "heard"
    note(step, "began")
    log = logging.getLogger("deaf")
    while not (HERE / gate).exists():
        with contextlib.suppress(BaseException):
            time.sleep(0.01)
            note(step, "talks")
            log.warning("talking")
    return "late"


@handler("r.adeaf.v1", timeout=0.4, max_attempts=1)
async def adeaf(step: Step) -> str:
    note(step, "began")
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(0.01)


@handler("r.hog.v1", timeout=0.5, max_attempts=1)
def hog(step: Step, seconds: float = 60) -> None:
    """Hold the interpreter inside one call of native code."""
    note(step, "began")
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


@handler("r.hogs.v1", max_attempts=3)
def hog_unlimited(step: Step, seconds: float = 60, only: int = 9) -> str:
    note(step, "began")
    if step.attempt <= only:
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    return "free"


@handler("r.silent.v1", heartbeat_timeout=0.5, max_attempts=1)
def silent(step: Step, beats: int = 0) -> str:
    for _ in range(beats):
        time.sleep(0.1)
        step.heartbeat()
    time.sleep(0)
    note(step, "quiet")
    while beats < 12:
        time.sleep(0.01)
    return "kept in touch"


@handler("r.asilent.v1", heartbeat_timeout=0.5, max_attempts=1)
async def asilent(step: Step, beats: int = 0) -> str:
    for _ in range(beats):
        await asyncio.sleep(0.1)
        step.heartbeat()
    note(step, "quiet")
    if beats < 12:
        await asyncio.sleep(60)
    return "kept in touch"


@handler("r.lsilent.v1", heartbeat_timeout=0.5, max_attempts=1, isolation="process")
def lsilent(step: Step, beats: int = 0) -> str:
    for _ in range(beats):
        time.sleep(0.1)
        step.heartbeat()
    note(step, "quiet")
    if beats < 12:
        time.sleep(60)
    return "kept in touch"


@handler("r.orphan.v1")
def orphan(step: Step, seconds: float) -> None:
    """Leave a process behind whose own parent ends at once."""
    subprocess.run(["sh", "-c", f"sleep {seconds} &"], check=True)


@handler("r.leak.v1")
def leak(step: Step, mib: int = 1) -> int:
    LEAK.append(bytearray(b"x" * (mib * 2**20)))
    return os.getpid()
