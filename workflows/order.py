"""Handlers of order.yaml: small, without effects, answers that follow from their input alone."""

from __future__ import annotations

import hashlib

from pydantic import BaseModel, Field

from tributary_daemon import Abort, handler

IN_STOCK = {"lamp": 40, "bulb": 1000, "shade": 3}
MEMBERS = frozenset({"ada", "grace"})


class Item(BaseModel):
    """A line of the order; prices are in cents."""

    sku: str
    quantity: int = Field(gt=0)
    unit_price: int = Field(ge=0)


class PriceArgs(BaseModel):
    """What is ordered."""

    items: list[Item] = Field(min_length=1)


class Price(BaseModel):
    """The sum, in cents."""

    cents: int


class ReserveArgs(BaseModel):
    """What to put aside for which order."""

    order_id: str
    items: list[Item]


class Reserved(BaseModel):
    """Number of the reservation."""

    reservation: str


class ChargeArgs(BaseModel):
    """How much to charge for which order."""

    order_id: str
    cents: int = Field(gt=0)


class Charged(BaseModel):
    """Number of the payment."""

    payment: str


class PointsArgs(BaseModel):
    """Whose points, for how many cents spent."""

    customer: str
    cents: int


class Points(BaseModel):
    """Points awarded: one per full unit of currency."""

    points: int


class ConfirmArgs(BaseModel):
    """All that a confirmation names."""

    order_id: str
    reservation: str
    payment: str


class Confirmed(BaseModel):
    """The sentence the customer reads."""

    confirmation: str


@handler("shop.price.v1")
def price(args: PriceArgs) -> Price:
    """Add up the items."""
    return Price(cents=sum(item.quantity * item.unit_price for item in args.items))


@handler("shop.reserve.v1")
def reserve(args: ReserveArgs) -> Reserved:
    """Reserve the items; what is not in stock ends the order, a retry would not change it."""
    for item in args.items:
        if IN_STOCK.get(item.sku, 0) < item.quantity:
            raise Abort(f"{item.quantity} x {item.sku} ordered, {IN_STOCK.get(item.sku, 0)} in stock")
    return Reserved(reservation=number("r", args.order_id))


@handler("shop.charge.v1", timeout="10s")
def charge(args: ChargeArgs) -> Charged:
    """Charge the card; the number follows from the order, so a repeated attempt charges nothing twice."""
    return Charged(payment=number("p", args.order_id))


@handler("shop.award_points.v1")
def award_points(args: PointsArgs) -> Points:
    """Award points to members."""
    if args.customer not in MEMBERS:
        raise Abort(f"{args.customer} is not a member")
    return Points(points=args.cents // 100)


@handler("shop.confirm.v1")
def confirm(args: ConfirmArgs) -> Confirmed:
    """Word the confirmation."""
    numbers = f"reservation {args.reservation}, payment {args.payment}"
    return Confirmed(confirmation=f"Order {args.order_id} is confirmed: {numbers}.")


def number(prefix: str, order_id: str) -> str:
    """Return a number that is the same for every attempt of the same order."""
    return f"{prefix}_{hashlib.sha256(f'{prefix}:{order_id}'.encode()).hexdigest()[:10]}"
