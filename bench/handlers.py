"""Handlers of the measurements: they do nothing, with real types."""

from __future__ import annotations

import time

from pydantic import BaseModel

from tributary_daemon import handler


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
