"""Handlers of the measurements: they do nothing, with real types."""

from __future__ import annotations

import time
from datetime import datetime  # noqa: TC003 - the type of an input

from pydantic import BaseModel

from tributary_daemon import WorkflowContext, handler, workflow


class Number(BaseModel):
    i: int


class Began(BaseModel):
    at: float


@handler("bench.noop.v1")
def noop(args: Number) -> Number:
    """Return an equal model."""
    return Number(i=args.i)


@handler("bench.stamp.v1")
def stamp(args: Number) -> Began:  # noqa: ARG001 - measured is the way of an input, too
    """Return when the handler was entered (seconds since the epoch)."""
    return Began(at=time.time())


@handler("bench.spin.v1")
def spin(args: Number) -> Number:
    """Use a millisecond of CPU."""
    until = time.thread_time() + 0.001
    while time.thread_time() < until:
        pass
    return args


@handler("bench.echo.v1")
def echo(args: dict[str, str]) -> dict[str, str]:
    """Return what it was given."""
    return args


@handler("bench.swallow.v1")
def swallow(args: dict[str, str]) -> None:
    """Return nothing, whatever it was given."""


@handler("bench.next.v1")
async def following(args: Number) -> Number:
    """Return the next number."""
    return Number(i=args.i + 1)


@workflow("bench.in-place.v1")
async def in_place(ctx: WorkflowContext, args: Number) -> Number:
    """Run three steps in place, one after the other."""
    for _ in range(3):
        args = await ctx.run(following, args, in_place=True)
    return args


@workflow("bench.by-workers.v1")
async def by_workers(ctx: WorkflowContext, args: Number) -> Number:
    """Run three steps by any worker, one after the other."""
    for _ in range(3):
        args = await ctx.run(following, args)
    return args


@workflow("bench.sleeper.v1")
async def sleeper(ctx: WorkflowContext, until: datetime) -> None:
    """Wait for a time."""
    await ctx.sleep_until(until)


@workflow("bench.listener.v1")
async def listener(ctx: WorkflowContext) -> Number:
    """Wait for a signal."""
    return await ctx.wait_signal("go", Number)
