"""An order that waits for the warehouse: a workflow function with a signal, and a refund should it fail.

    trib worker --import ./workflows/warehouse.py
    trib submit warehouse.order.v1 -i customer=ada -i 'items=["lamp", "bulb"]' -i cents=4590
    trib signal @latest warehouse-ready -d '{"available": true, "shelf": "C4"}'
    trib status @latest

The signal may come before the order waits for it. With ``{"available": false}`` the order fails, and what was
charged is given back: the step ``undo:refund``. The same happens when the run is cancelled, or nobody answers
for two days.
"""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field

from tributary_daemon import Abort, WaitOver, WorkflowContext, handler, workflow


class Order(BaseModel):
    """What is ordered; the price is in cents."""

    customer: str
    items: list[str] = Field(min_length=1)
    cents: int = Field(gt=0)


class Shipped(BaseModel):
    """What became of the order."""

    order_id: UUID
    payment: str
    tracking: str


class Payment(BaseModel):
    """How much, for which order."""

    order_id: UUID
    cents: int


class Charged(BaseModel):
    """Number of a payment."""

    payment: str


class Refund(BaseModel):
    """Of which order the payment is given back."""

    order_id: UUID


class Stock(BaseModel):
    """What the warehouse answers."""

    available: bool
    shelf: str = "?"


class Parcel(BaseModel):
    """What goes where from."""

    order_id: UUID
    items: list[str]
    shelf: str


class Sent(BaseModel):
    """Under which number a parcel is found."""

    tracking: str


@handler("warehouse.charge.v1", timeout="10s")
def charge(args: Payment) -> Charged:
    """Charge the customer; a payment is known by its order, so that a second attempt takes nothing twice."""
    return Charged(payment=f"pay-{args.order_id.hex[-8:]}")


@handler("warehouse.refund.v1", max_attempts=10)
def refund(args: Refund) -> str:
    """Give back what was charged for an order; harmless where nothing was."""
    return f"pay-{args.order_id.hex[-8:]}"


@handler("warehouse.ship.v1")
def ship(args: Parcel) -> Sent:
    """Send the parcel."""
    return Sent(tracking=f"{args.shelf}-{len(args.items)}-{args.order_id.hex[-8:]}")


@workflow("warehouse.order.v1")
async def order(ctx: WorkflowContext, args: Order) -> Shipped:
    """Take an order from its payment to its parcel."""
    order_id = ctx.uuid7()
    # before the charge: nothing lies between them in which a cancel could forget the refund
    ctx.on_failure(refund, Refund(order_id=order_id))
    paid = await ctx.run(charge, Payment(order_id=order_id, cents=args.cents))
    ctx.set_status("paid; the warehouse looks for it")
    try:
        stock = await ctx.wait_signal("warehouse-ready", Stock, timeout="2d")
    except WaitOver:
        raise Abort("the warehouse did not answer") from None
    if not stock.available:
        raise Abort(f"the warehouse has not got all of {', '.join(args.items)}")
    sent = await ctx.run(ship, Parcel(order_id=order_id, items=args.items, shelf=stock.shelf))
    return Shipped(order_id=order_id, payment=paid.payment, tracking=sent.tracking)
