"""What happens to attempts, as typed events for subscribers; made only where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tributary_daemon.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEvent(Event):
    """Base of what is said of one attempt; the engine's own steps are not told of.

    Attributes:
        run_id: of the run; of an intent, its id.
        step: id of the step in its workflow; of an intent, its name.
        name: of the handler.
        kind: ``step`` or ``intent``.
        queue: where it was claimed.
        attempt: its number, from 1.
        tenant: whose work it is; None for nobody's in particular.
        correlation_id: that the work carries; None where it carries none.
        business_id: likewise.
        trace_id: of the trace that it belongs to.
    """

    level: ClassVar[str] = "debug"
    run_id: str
    step: str
    name: str
    kind: str
    queue: str
    attempt: int
    tenant: str | None = None
    correlation_id: str | None = None
    business_id: str | None = None
    trace_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(AttemptEvent):
    """An attempt begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCompleted(AttemptEvent):
    """An attempt returned its result; ``seconds`` it took."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptCached(AttemptEvent):
    """The result of a step was in the step cache: its handler was not called."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed(AttemptEvent):
    """An attempt failed.

    Attributes:
        seconds: it took.
        type: of the error.
        message: of the error.
        reason: machine-readable, where there is one.
        last: whether no attempt follows: the step is discarded.
        delay: seconds until the next one; None when there is none, or the database decides.
    """

    seconds: float
    type: str
    message: str
    reason: str | None
    last: bool
    delay: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSnoozed(AttemptEvent):
    """A handler put its step off by ``delay`` seconds, without using up an attempt."""

    seconds: float
    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSuspended(AttemptEvent):
    """A workflow function waits for what it has asked for; it goes on in another attempt."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSkipped(AttemptEvent):
    """The condition of a step did not hold: its handler was not called."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReleased(AttemptEvent):
    """An attempt was given up without an outcome of its own: cancelled, its lease lost, or drained."""

    seconds: float
    reason: str
