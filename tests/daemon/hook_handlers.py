"""Handlers and hooks that note in ``./notes.jsonl`` what they do."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from pathlib import Path

from tributary_daemon import Hook, Retry, Step, handler

HOME = Path.cwd()


def note(what: str, id: str | None = None) -> None:  # noqa: A002 - as the other handlers name it
    line = json.dumps({"what": what, "id": id, "pid": os.getpid()}) + "\n"
    descriptor = os.open(HOME / "notes.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


class Noting(Hook):
    def __init__(self, *, mark: str = "x") -> None:
        self.mark = mark

    def open(self, host) -> None:
        note(f"open {host.place}")

    def close(self) -> None:
        note("close")

    def before_submit(self, work):
        return {**work.payload, "n": work.payload["n"] + 1}

    async def before_work(self, step, payload):
        await asyncio.sleep(0)
        note(f"before in {threading.current_thread().name}", step.run_id)

    def after_work(self, step, payload, result, error):
        note(f"after {'error' if error else 'result'}", step.run_id)
        return None if error else f"{result}{self.mark}"


class Plain(Hook):
    names = ("hook.async.%",)

    def around_work(self, step, payload, call):
        return call(payload)


class Hanging(Hook):
    async def before_work(self, step, payload):
        note("hangs", step.run_id)
        await asyncio.sleep(60)


@handler("hook.plain.v1")
def plain(n: int) -> str:
    return f"plain {n}"


@handler("hook.async.v1")
async def asynchronous(n: int) -> str:
    return f"async {n}"


@handler("hook.alone.v1", isolation="process")
def alone(n: int) -> str:
    return f"alone {n} {os.getpid()}"


@handler("hook.long.v1", isolation="process")
def long(text: str) -> str:
    return text * 2


@handler("hook.bad.v1", retry=Retry(delay=0.01, jitter=0), max_attempts=2)
def bad(n: int) -> str:
    raise ValueError("bad")


@handler("hook.slow.v1", timeout=0.3, max_attempts=1)
def slow(step: Step) -> str:
    note("slow began", step.run_id)
    return "never"
