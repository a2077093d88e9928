# ruff: noqa: ASYNC110 - files are all that these handlers share with the test
"""Handlers that note in ``./notes.jsonl`` what they did, so that tests can prove executions on their own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from datetime import datetime
from pathlib import Path

import psycopg

from tributary_daemon import Abort, RetryAfter, Snooze, Step, handler
from tributary_daemon.errors import HandlerTimeout, StepCancelled

NOTES = Path("notes.jsonl").resolve()


def note(step: Step, what: str, **more) -> None:
    line = {
        "what": what,
        "id": step.run_id,
        "step": step.id,
        "attempt": step.attempt,
        "pid": os.getpid(),
        **more,
    }
    line["at"] = time.monotonic()
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


def is_open(gate: str) -> bool:
    return (NOTES.parent / gate).exists()


def hold(step: Step, gate: str | None) -> None:
    """Wait for the test to make the file ``gate``."""
    while gate is not None and not is_open(gate):
        time.sleep(0.01)


@handler("t.note.v1")
def take_note(args: dict, step: Step) -> dict:
    note(step, "ran", args=args)
    return args


@handler("t.hold.v1", max_attempts=3)
def held(step: Step, gate: str | None = None, first: bool = False) -> dict:
    note(step, "began")
    try:
        if not (first and step.attempt > 1):
            hold(step, gate)
    except StepCancelled:
        note(step, "cancelled", seen=step.cancelled)
        raise
    note(step, "ended", cancelled=step.cancelled)
    return {"attempt": step.attempt, "pid": os.getpid()}


@handler("t.deaf.v1")
def deaf(step: Step, gate: str) -> dict:
    """Notice nothing: a stale one comes back with a result."""
    note(step, "began")
    while not is_open(gate):
        with contextlib.suppress(BaseException):
            time.sleep(0.01)
    note(step, "ended", cancelled=step.cancelled)
    if is_open("fail"):
        raise RuntimeError("too late")
    return {"attempt": step.attempt}


@handler("t.ahold.v1")
async def aheld(step: Step, gate: str | None = None) -> dict:
    note(step, "began")
    try:
        while gate is not None and not is_open(gate):
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        note(step, "cancelled", seen=step.cancelled)
        raise
    note(step, "ended")
    return {"attempt": step.attempt}


@handler("t.once.v1", max_attempts=1)
def once(step: Step, gate: str) -> dict:
    note(step, "began")
    hold(step, gate)
    return {}


@handler("t.sleep.v1")
def sleep(step: Step, seconds: float, only: int | None = None) -> str:
    """Sleep inside one C call."""
    note(step, "began")
    if only is None or step.attempt <= only:
        time.sleep(seconds)
    note(step, "ended")
    return "slept"


@handler("t.spin.v1", timeout=0.3, max_attempts=1)
def spin(step: Step) -> None:
    try:
        while True:
            pass
    except HandlerTimeout:
        note(step, "timeout")
        raise


@handler("t.block.v1", timeout=0.2, max_attempts=1)
async def block(step: Step) -> None:
    note(step, "began")
    time.sleep(60)  # noqa: ASYNC251 - that is its point


@handler("t.effect.v1")
def effect(step: Step, gate: str | None = None, fail: int = 0, first: bool = False) -> dict:
    with step.connection() as connection:
        connection.execute(
            "insert into effects (id, attempt, pid) values (%s, %s, %s)",
            (step.run_id, step.attempt, os.getpid()),
        )
        note(step, "inserted")
        if not (first and step.attempt > 1):
            hold(step, gate)
        if step.attempt <= fail:
            raise RuntimeError("after the insert")
    return {"attempt": step.attempt}


@handler("t.aeffect.v1")
async def aeffect(step: Step, gate: str | None = None, fail: int = 0) -> dict:
    async with step.connection() as connection:
        await connection.execute(
            "insert into effects (id, attempt, pid) values (%s, %s, %s)",
            (step.run_id, step.attempt, os.getpid()),
        )
        note(step, "inserted")
        while gate is not None and not is_open(gate):
            await asyncio.sleep(0.01)
        if step.attempt <= fail:
            raise RuntimeError("after the insert")
    return {"attempt": step.attempt}


@handler("t.beat.v1")
def beat(step: Step, gate: str) -> dict:
    seen = step.progress
    step.heartbeat({"done": step.attempt})
    note(step, "began", seen=seen)
    if step.attempt == 1:
        hold(step, gate)
    return {"seen": seen}


@handler("t.ask.v1")
def ask(step: Step, what: str) -> object:
    """Raise or return what the test asks for."""
    note(step, "began", ask=what)
    match what:
        case "abort":
            raise Abort("no way")
        case "abort_run":
            raise Abort("stop it all", run=True)
        case "snooze":
            if not is_open("woken"):
                raise Snooze(0.3)
            return "woken"
        case "retry_after":
            if step.attempt == 1:
                raise RetryAfter(0.2)
            return "again"
        case "nan":
            return {"x": float("nan")}
        case "nul":
            return {"x": "a\x00b"}
        case "surrogate":
            return {"x": "\ud800"}
        case "object":
            return object()
        case "exit":
            raise SystemExit(3)
        case "interrupt":
            raise KeyboardInterrupt
        case "base":
            raise BaseException("bare")  # noqa: TRY002 - that is its point
        case "key":
            raise KeyError("k")
    return what


@handler("t.typed.v1")
def typed(step: Step, value: object = None) -> int:
    return value


@handler("t.media.v1", queue="media", priority=7, max_attempts=9, timeout=33)
def media(step: Step) -> None:
    note(step, "ran")


@handler("billing.charge.v1")
def charge(step: Step) -> None:
    note(step, "ran")


@handler("t.die.v1", max_attempts=3)
def die(step: Step, times: int) -> dict:
    note(step, "began")
    if step.attempt <= times:
        os._exit(9)
    return {"attempt": step.attempt}


@handler("t.when.v1")
def when(step: Step) -> str:
    return datetime.now().astimezone().isoformat()


def end_backend(pid):
    """End the backend of a connection, as the server's own end does."""
    with psycopg.connect(os.environ["TRIB_DATABASE_URL"], autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s, 5000)", (pid,))


@handler("t.late.v1", max_attempts=2)
def late(step: Step, gate: str, cut: bool = False) -> dict:
    """Write only once the gate is open."""
    note(step, "began")
    hold(step, gate)
    try:
        with step.connection() as connection:
            pid = connection.info.backend_pid
            connection.execute(
                "insert into effects (id, attempt) values (%s, %s)", (step.run_id, step.attempt)
            )
    except Exception:
        note(step, "refused")
        if cut:
            end_backend(pid)
        raise
    return {"attempt": step.attempt}


@handler("t.alate.v1", max_attempts=2)
async def alate(step: Step, gate: str, cut: bool = False) -> dict:
    note(step, "began")
    while not is_open(gate):
        await asyncio.sleep(0.01)
    try:
        async with step.connection() as connection:
            pid = connection.info.backend_pid
            await connection.execute(
                "insert into effects (id, attempt) values (%s, %s)", (step.run_id, step.attempt)
            )
    except Exception:
        note(step, "refused")
        if cut:
            end_backend(pid)
        raise
    return {"attempt": step.attempt}


@handler("t.ieffect.v1", isolation="process")
def ieffect(step: Step, gate: str) -> dict:
    """Write in a process of its own."""
    note(step, "asks")
    return effect(step, gate)


@handler("t.iread.v1", isolation="process")
def iread(step: Step, gate: str) -> object:
    seen = step.progress
    note(step, "began")
    hold(step, gate)
    return seen


def speak(step: Step, lines: list[str]) -> None:
    for line in lines:
        step.log.info(line, n=len(line))


@handler("t.say.v1", max_attempts=2)
def say(step: Step, lines: list[str], gate: str | None = None, fail: bool = False) -> None:
    speak(step, lines)
    hold(step, gate)
    if fail:
        raise ValueError("said enough")


@handler("t.say_async.v1")
async def say_async(step: Step, lines: list[str]) -> None:
    speak(step, lines)


@handler("t.say_alone.v1", isolation="process", max_attempts=1)
def say_alone(step: Step, lines: list[str], gate: str | None = None) -> None:
    speak(step, lines)
    step.output("stderr").feed(b"and output\n")
    hold(step, gate)


@handler("t.say_and_book.v1")
def say_and_book(step: Step, lines: list[str]) -> None:
    speak(step, lines)
    with step.connection() as connection:
        connection.execute("insert into effects values (%s, 1, 1)", [step.id])


def insert(step: Step) -> tuple[str, tuple]:
    return "insert into effects (id, attempt) values (%s, %s)", (step.run_id, step.attempt)


@handler("t.ends.v1", max_attempts=2)
def ends(step: Step, how: str) -> str:
    """Try to end the transaction of the step, then fail in the first attempt."""
    said = ""
    with step.connection() as connection:
        try:
            match how:
                case "commit":
                    connection.execute(*insert(step))
                    connection.commit()
                case "autocommit":
                    connection.autocommit = True
                case "with":
                    with connection:
                        connection.execute(*insert(step))
                case "block":
                    with connection.transaction():
                        connection.execute(*insert(step))
                case "rolled back":
                    connection.rollback()
                    with connection.transaction():
                        connection.execute(*insert(step))
        except Exception as error:  # noqa: BLE001 - what is refused is what the test is about
            said = str(error)
        if said:
            connection.execute(*insert(step))
    if step.attempt == 1:
        raise RuntimeError("after the end")
    return said


@handler("t.aends.v1", max_attempts=2)
async def aends(step: Step, how: str) -> str:
    said = ""
    async with step.connection() as connection:
        try:
            match how:
                case "commit":
                    await connection.execute(*insert(step))
                    await connection.commit()
                case "autocommit":
                    await connection.set_autocommit(True)
                case "with":
                    async with connection:
                        await connection.execute(*insert(step))
                case "block":
                    async with connection.transaction():
                        await connection.execute(*insert(step))
                case "rolled back":
                    await connection.rollback()
                    async with connection.transaction():
                        await connection.execute(*insert(step))
        except Exception as error:  # noqa: BLE001 - what is refused is what the test is about
            said = str(error)
        if said:
            await connection.execute(*insert(step))
    if step.attempt == 1:
        raise RuntimeError("after the end")
    return said
