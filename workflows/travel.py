"""A saga: hotel, flight and car are booked one after the other, and given back when one cannot be had.

    trib worker --import ./workflows/travel.py
    trib submit travel.trip.v1 -i traveller=ada -i to=Lisbon
    trib submit travel.trip.v1 -i traveller=ada -i to=Atlantis
    trib status @latest

The second run fails: nobody rents out cars there. ``undo:cancel_car``, which finds nothing to cancel,
``undo:cancel_flight`` and ``undo:cancel_hotel`` run in this order, recorded and tried again like any step.
Bookings are files below ``directory`` (``out``), so that the example needs no service.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from pydantic import BaseModel

from tributary_daemon import Abort, WorkflowContext, handler, workflow

WITHOUT_CARS = frozenset({"Atlantis", "Venice"})


class Trip(BaseModel):
    """Who travels where."""

    traveller: str
    to: str
    directory: str = "out"


class Booking(BaseModel):
    """One booking; its number is given by who books, who can cancel it whatever has become of it."""

    number: UUID
    traveller: str
    to: str
    directory: str


class Booked(BaseModel):
    """The numbers of what a trip needs."""

    hotel: UUID
    flight: UUID
    car: UUID


@handler("travel.book_hotel.v1", max_attempts=3)
def book_hotel(args: Booking) -> UUID:
    """Book a room."""
    return note("hotel", args)


@handler("travel.book_flight.v1", max_attempts=3)
def book_flight(args: Booking) -> UUID:
    """Book a seat."""
    return note("flight", args)


@handler("travel.book_car.v1", max_attempts=3)
def book_car(args: Booking) -> UUID:
    """Rent a car, where there are any; asked again the answer would be the same."""
    if args.to in WITHOUT_CARS:
        raise Abort(f"nobody rents out cars in {args.to}")
    return note("car", args)


@handler("travel.cancel_hotel.v1", max_attempts=20)
def cancel_hotel(args: Booking) -> bool:
    """Give the room back."""
    return strike("hotel", args)


@handler("travel.cancel_flight.v1", max_attempts=20)
def cancel_flight(args: Booking) -> bool:
    """Give the seat back."""
    return strike("flight", args)


@handler("travel.cancel_car.v1", max_attempts=20)
def cancel_car(args: Booking) -> bool:
    """Give the car back."""
    return strike("car", args)


@workflow("travel.trip.v1")
async def trip(ctx: WorkflowContext, args: Trip) -> Booked:
    """Book all that a trip needs, or nothing of it."""

    def booking() -> Booking:
        return Booking(number=ctx.uuid7(), traveller=args.traveller, to=args.to, directory=args.directory)

    # what undoes a step is registered before the step: no cancel can come between them
    hotel = booking()
    ctx.on_failure(cancel_hotel, hotel)
    await ctx.run(book_hotel, hotel)

    flight = booking()
    ctx.on_failure(cancel_flight, flight)
    await ctx.run(book_flight, flight)

    car = booking()
    ctx.on_failure(cancel_car, car)
    await ctx.run(book_car, car)

    return Booked(hotel=hotel.number, flight=flight.number, car=car.number)


def note(kind: str, booking: Booking) -> UUID:
    """Write a booking down, under its number: a second attempt books nothing twice."""
    path = place(kind, booking)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{booking.traveller}, {booking.to}\n", encoding="utf-8")
    return booking.number


def strike(kind: str, booking: Booking) -> bool:
    """Strike a booking out; return whether there was one."""
    path = place(kind, booking)
    found = path.exists()
    path.unlink(missing_ok=True)
    return found


def place(kind: str, booking: Booking) -> Path:
    """Return the file of a booking."""
    return Path(booking.directory, "bookings", f"{kind}-{booking.number}.txt")
