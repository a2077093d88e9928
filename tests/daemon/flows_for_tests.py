"""Workflow functions that real workers run in tests."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator  # noqa: TC003 - the type of a resource
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel

from tributary_daemon import (
    Abort,
    Retry,
    StepFailed,
    Use,
    WaitOver,
    WorkflowContext,
    handler,
    resource,
    workflow,
)

HOME = Path.cwd()


class Order(BaseModel):
    customer: str
    amount: int = 1


class Shipped(BaseModel):
    order: str
    tracking: str


def note(what, **more):
    with (HOME / "flows.jsonl").open("a") as notes:
        notes.write(json.dumps({"what": what, "pid": os.getpid(), **more}) + "\n")


@handler("f.charge.v1", retry=Retry(delay=0.01))
def charge(customer: str, amount: int) -> str:
    note("charged", customer=customer)
    if customer == "nobody":
        raise Abort("no such customer")
    return f"{customer} paid {amount}"


@handler("f.ship.v1")
async def ship(order: str) -> str:
    note("shipped", order=order)
    return f"T-{order[:8]}"


@handler("f.gate.v1")
def gate(name: str) -> str:
    note("began", name=name)
    while not (HOME / f"open-{name}").exists():
        time.sleep(0.005)
    note("ended", name=name)
    return name


@handler("f.double.v1")
async def double(x: int) -> int:
    note("doubled", x=x)
    return 2 * x


@handler("f.give-back.v1")
def give_back(what: str) -> None:
    note("given back", thing=what)


@workflow("f.order.v1")
async def order(ctx: WorkflowContext, order: Order) -> Shipped:
    """Charge, wait for the warehouse, ship."""
    number = str(ctx.uuid7())
    ctx.on_query("number", lambda: number)
    ctx.on_query("greet", lambda name: f"{name}: {order.customer}")
    await ctx.run(charge, order)
    ctx.on_failure(give_back, {"what": order.customer})
    ctx.set_status("waiting for the warehouse")
    ready = await ctx.wait_signal("ready", timeout="1h")
    if not ready:
        raise RuntimeError("nothing is left")
    tracking = await ctx.run(ship, {"order": number})
    return Shipped(order=number, tracking=tracking)


@workflow("f.signalled.v1")
async def signalled(ctx: WorkflowContext, name: str) -> list[str]:
    """Wait for a step and for signals side by side."""
    step = ctx.run(gate, {"name": name})
    signals = [await ctx.wait_signal("more", str) for _ in range(3)]
    return [await step, *signals]


@workflow("f.wide.v1")
async def wide(ctx: WorkflowContext, count: int) -> int:
    return sum(await ctx.gather(*(ctx.run(double, {"x": x}) for x in range(count))))


@workflow("f.parent.v1")
async def parent(ctx: WorkflowContext, child: str, inputs: dict[str, str]) -> str:
    try:
        return f"got {await ctx.child(child, inputs, id='below')}"
    except StepFailed as error:
        return f"{error.step}: {error.type}: {error.reason}"


@workflow("f.leaf.v1")
async def leaf(ctx: WorkflowContext, what: str) -> str:
    await ctx.sleep(0.05)
    if what == "bad":
        raise ValueError("bad leaf")
    return what.upper()


async def pay_once(connection, run: str) -> str:
    await connection.execute("insert into effects (id, pid) values (%s, %s)", (run, os.getpid()))
    return f"paid by {os.getpid()}"


async def no_such_table(connection) -> None:
    await connection.execute("select from nowhere_at_all")


async def cut_off(connection, run: str) -> int:
    """Lose the connection the first time, in the middle of the transaction."""
    await connection.execute("insert into effects (id, pid) values (%s, 1)", (run,))
    if not (HOME / f"cut-{run}").exists():
        (HOME / f"cut-{run}").touch()
        await connection.execute("select pg_terminate_backend(pg_backend_pid())")
    return 1


@workflow("f.cut.v1")
async def cut(ctx: WorkflowContext) -> str:
    """Transactions that go wrong: by a mistake, which is told, and by a lost connection, which is not."""
    ctx.log.info("it begins")
    try:
        await ctx.transaction(no_such_table)
    except StepFailed as error:
        return f"{error.type.rpartition('.')[2]}, {await ctx.transaction(cut_off, ctx.run_id)}"
    return "?"


async def fails_inside(connection, run: str) -> None:
    await connection.execute("insert into effects (id, pid) values (%s, 0)", (run,))
    await connection.execute("select 1/0")


@workflow("f.once.v1")
async def once(ctx: WorkflowContext, dies: bool) -> str:
    """Pay in a transaction, and die right after it."""
    asked = ctx.run(double, {"x": 1})
    paid = await ctx.transaction(pay_once, ctx.run_id)
    if dies and not (HOME / f"died-{ctx.run_id}").exists():
        (HOME / f"died-{ctx.run_id}").touch()
        os._exit(9)
    try:
        await ctx.transaction(fails_inside, ctx.run_id)
    except StepFailed as error:
        paid += f", {error.type}"
    return f"{paid}, {await asked}"


@workflow("f.count.v1")
async def count(ctx: WorkflowContext, left: int, seen: int = 0) -> int:
    """Begin anew for each."""
    seen += await ctx.run(double, {"x": left})
    if left:
        raise ctx.continue_as_new({"left": left - 1, "seen": seen})
    return seen


@workflow("f.impatient.v1")
async def impatient(ctx: WorkflowContext) -> str:
    try:
        await ctx.wait_signal("never", timeout=0.1)
    except WaitOver as error:
        return error.step
    return "?"


@workflow("f.flaky.v1")
async def flaky(ctx: WorkflowContext, name: str) -> int:
    """Fail until a test mends it: first in a step, then in the function itself."""
    two = await ctx.run(double, {"x": 1})
    await ctx.run(mended, {"name": f"{name}-step"}, max_attempts=1)
    if not (HOME / f"mended-{name}").exists():
        raise RuntimeError("not mended")
    return two


@handler("f.mended.v1")
def mended(name: str) -> None:
    if not (HOME / f"mended-{name}").exists():
        raise RuntimeError(f"{name} is not mended")


@resource
def prices() -> Iterator[dict[str, int]]:
    """Opened once per process."""
    note("opened")
    yield {"x": 3}
    note("closed")


@handler("f.priced.v1")
async def priced(what: str, table: Annotated[dict[str, int], Use(prices)]) -> int:
    return table[what]


@handler("f.plainly.v1")
def plainly(what: str, table: Annotated[dict[str, int], Use(prices)]) -> int:
    return 10 * table[what]


@workflow("f.prices.v1")
async def pricing(ctx: WorkflowContext, what: str, table: Annotated[dict[str, int], Use(prices)]) -> int:
    parts = await ctx.gather(
        ctx.run(priced, {"what": what}, in_place=True),
        ctx.run(plainly, {"what": what}, in_place=True),
        ctx.run(plainly, {"what": what}),
    )
    return sum(parts) + 100 * table[what]


@workflow("f.asks.v1")
async def asks(ctx: WorkflowContext) -> str:
    form = {"note": {"type": "string", "required": True}, "count": {"type": "integer", "required": False}}
    answer = await ctx.wait_approval("manager", prompt="fine?", form=form)
    return f"{answer['by']}: {answer['answer']['note']}"
