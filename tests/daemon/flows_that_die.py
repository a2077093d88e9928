# ruff: noqa: ASYNC110 - files are all that these functions share with the test
"""Workflow functions that misbehave, for tests of what a review found."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from tributary_daemon import Retry, WorkflowContext, handler, workflow

HOME = Path.cwd()


@handler("r.double.v1")
async def double(x: int) -> int:
    return 2 * x


@handler("r.exit.v1")
def leave() -> None:
    sys.exit(3)


@handler("r.slow.v1")
async def slow() -> int:
    (HOME / "slow-began").touch()
    await asyncio.sleep(600)
    return 1


@handler("r.innocent.v1", max_attempts=50, retry=Retry(delay=0.01))
def innocent(n: int) -> int:
    with (HOME / "innocents").open("a") as out:
        out.write(f"{n}\n")
    time.sleep(0.5)
    return n


@workflow("r.plain.v1")
async def plain(ctx: WorkflowContext) -> int:
    return await ctx.run(double, {"x": 1})


@workflow("r.exits.v1")
async def exits(ctx: WorkflowContext) -> None:
    await ctx.run(leave, in_place=True)


async def leave_inside(connection) -> None:
    sys.exit(3)


@workflow("r.exits-inside.v1")
async def exits_inside(ctx: WorkflowContext) -> None:
    await ctx.transaction(leave_inside)


@workflow("r.lingers.v1")
async def lingers(ctx: WorkflowContext) -> int:
    return await ctx.run(slow, in_place=True)


@workflow("r.kills.v1")
async def kills(ctx: WorkflowContext) -> None:
    with (HOME / "kills").open("a") as out:
        out.write("x")
    os._exit(9)


@workflow("r.priority.v1")
async def priority(ctx: WorkflowContext) -> int:
    return await ctx.run(double, {"x": 1}, priority=100_000)


GATES: dict[str, asyncio.Event] = {}


@handler("r.gate-fails.v1", max_attempts=5, retry=Retry(delay=0.01))
async def gate_fails(what: str) -> None:
    """Fails in the turn of the loop in which the function lets it."""
    await GATES.setdefault(what, asyncio.Event()).wait()
    raise RuntimeError("not now")


@handler("r.hold.v1")
async def hold(what: str) -> None:
    (HOME / f"holds-{what}").touch()
    while not (HOME / f"go-{what}").exists():
        await asyncio.sleep(0.005)


@handler("r.opens.v1")
async def opens(what: str) -> None:
    (HOME / f"waits-{what}").touch()
    while not (HOME / f"open-{what}").exists():
        await asyncio.sleep(0.005)
    GATES.setdefault(what, asyncio.Event()).set()


@workflow("r.batch.v1")
async def batch(ctx: WorkflowContext, what: str) -> None:
    ctx.run(gate_fails, {"what": what}, id="step")
    await ctx.run(double, {"x": 1})
    await ctx.run(opens, {"what": what}, in_place=True)
    (HOME / f"failed-{what}").touch()
    raise RuntimeError("the function fails in the moment in which its step does")


@handler("r.long.v1")
async def long(what: str) -> None:
    await asyncio.sleep(4)


@handler("r.die.v1")
async def die() -> None:
    await asyncio.sleep(1)
    with (HOME / "deaths").open("a") as out:
        out.write("x")
    os._exit(9)


@workflow("r.dies-beside-its-step.v1")
async def dies_beside(ctx: WorkflowContext) -> None:
    ctx.run(long, {"what": "x"})
    await ctx.run(double, {"x": 1})
    await ctx.run(die, in_place=True)


@handler("r.patient.v1", max_attempts=50, retry=Retry(delay=0.01))
def patient() -> None:
    time.sleep(8)


@workflow("r.kills-late.v1")
async def kills_late(ctx: WorkflowContext) -> None:
    await ctx.run(die, in_place=True)
