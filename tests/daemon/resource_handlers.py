# ruff: noqa: ASYNC110 - files are all that these handlers share with the test
"""Handlers with resources that note in ``./notes.jsonl`` when they are opened and closed, and by whom."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Annotated

from tributary_daemon import Retry, Step, Use, handler, resource

HOME = Path.cwd()


def note(what: str, id: str | None = None) -> None:  # noqa: A002 - as the other handlers name it
    line = json.dumps({"what": what, "id": id, "pid": os.getpid()}) + "\n"
    descriptor = os.open(HOME / "notes.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


@resource
def config():
    note("config opened")
    yield {"pid": os.getpid()}
    note("config closed")


@resource
def bank(config: Annotated[dict, Use(config)]):
    time.sleep(0.05)
    note("bank opened")
    yield config
    note("bank closed")


@resource
async def session(config: Annotated[dict, Use(config)]):
    await asyncio.sleep(0.05)
    note("session opened")
    yield config
    await asyncio.sleep(0)
    note("session closed")


@resource(scope="attempt")
def scratch(step: Step):
    note("scratch opened", step.run_id)
    try:
        yield step.run_id
    finally:
        note("scratch closed", step.run_id)


@resource
def late():
    if not (HOME / "late").exists():
        (HOME / "late").touch()
        raise ConnectionRefusedError("not yet")
    return "late"


@resource
def stuck():
    yield 1
    note("stuck closes")
    while not (HOME / "unstick").exists():
        time.sleep(0.01)


@resource
def deadly():
    yield 1
    note("deadly closes")
    os._exit(9)


def hold(gate: str | None) -> None:
    while gate is not None and not (HOME / gate).exists():
        time.sleep(0.01)


@handler("res.charge.v1")
def charge(step: Step, bank: Annotated[dict, Use(bank)], gate: str | None = None) -> dict:
    note("charged", step.run_id)
    hold(gate)
    return bank


@handler("res.call.v1")
async def call(
    session: Annotated[dict, Use(session)],
    bank: Annotated[dict, Use(bank)],
    step: Step,
    gate: str | None = None,
) -> list:
    note("called", step.run_id)
    while gate is not None and not (HOME / gate).exists():
        await asyncio.sleep(0.01)
    return [session, bank]


@handler("res.scratch.v1", max_attempts=1)
def use_scratch(own: Annotated[str, Use(scratch)], fail: bool = False) -> str:
    if fail:
        raise ValueError("bad")
    return own


@handler("res.late.v1", max_attempts=3, retry=Retry(delay="100ms", backoff="fixed", jitter=0))
def use_late(late: Annotated[str, Use(late)]) -> str:
    return late


@handler("res.alone.v1", isolation="process")
def alone(bank: Annotated[dict, Use(bank)]) -> dict:
    return bank


@handler("res.aalone.v1", isolation="process")
async def aalone(session: Annotated[dict, Use(session)]) -> dict:
    return session


@handler("res.deadly.v1", isolation="process", max_attempts=1)
def use_deadly(deadly: Annotated[int, Use(deadly)]) -> int:
    return deadly


@handler("res.stuck.v1")
def use_stuck(stuck: Annotated[int, Use(stuck)]) -> int:
    return stuck


@handler("res.stuck_alone.v1", isolation="process")
def use_stuck_alone(stuck: Annotated[int, Use(stuck)]) -> int:
    return stuck
