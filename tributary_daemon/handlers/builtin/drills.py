"""`trib.noop.v1`, `trib.sleep.v1`, `trib.fail.v1`: handlers to try things out with."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator

from tributary_daemon.errors import Abort
from tributary_daemon.handlers.declare import handler

if TYPE_CHECKING:
    from tributary_daemon.handlers.step import Step

_YEAR = 31_536_000


class AnyJson(RootModel[Any]):
    """Any JSON value."""


class Sleep(BaseModel):
    """Payload of `trib.sleep.v1`."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(ge=0, le=_YEAR, allow_inf_nan=False)


class Fail(BaseModel):
    """Payload of `trib.fail.v1`.

    Attributes:
        times: the attempts that fail, counted from the first; None: all.
        message: of the error.
        kind: class name of the error: a built-in exception, or any other name for a class of its own;
            ``abort`` and ``abort_run`` raise `Abort`, ``exit`` calls for the end of the process.
    """

    model_config = ConfigDict(extra="forbid")

    times: int | None = Field(default=None, ge=0)
    message: str = "failed on purpose"
    kind: str = "RuntimeError"

    @field_validator("kind")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not value.isidentifier():
            raise ValueError("use the class name of an error, or abort, abort_run, exit")
        return value


@handler("trib.noop.v1", description="returns its input")
def noop(payload: AnyJson) -> AnyJson:
    """Return the input."""
    return payload


@handler("trib.sleep.v1", description="sleeps for a while")
async def sleep(args: Sleep) -> dict[str, float]:
    """Sleep without holding a thread."""
    await asyncio.sleep(args.seconds)
    return {"slept": args.seconds}


@handler("trib.fail.v1", description="fails its first attempts")
def fail(args: Fail, step: Step) -> dict[str, int]:
    """Fail the first ``times`` attempts, then return the number of the attempt."""
    if args.times is not None and step.attempt > args.times:
        return {"attempt": step.attempt}
    match args.kind:
        case "abort":
            raise Abort(args.message)
        case "abort_run":
            raise Abort(args.message, run=True)
        case "exit":
            raise SystemExit(args.message)
    raise _error(args.kind, args.message)


def _error(kind: str, message: str) -> Exception:
    known = getattr(builtins, kind, None)
    if isinstance(known, type) and issubclass(known, Exception):
        # such as UnicodeDecodeError, which wants more than a message: then a namesake does
        with contextlib.suppress(TypeError):
            return known(message)
    made: Exception = type(kind, (RuntimeError,), {"__module__": __name__})(message)
    return made
