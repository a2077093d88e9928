"""What an attempt led to: a closed union, matched once where outcomes are written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as stored and shown: ``{type, message, attempt, reason, exit_code}`` plus the traceback.

    Attributes:
        type: class name of the exception, dotted unless built in.
        message: its text, at most 8 KiB.
        attempt: number of the attempt that failed, 1-based; 0 when no attempt ran.
        reason: machine-readable cause when Tributary knows one: ``timeout``, ``interrupted``, ``aborted``,
            ``invalid_payload``, ``invalid_result``, ``heartbeat_timeout``, ``crashed`` …
        exit_code: of a shell step, or of a process that died; minus the number of the signal that ended it.
        traceback: at most 16 KiB, innermost frames last.
    """

    type: str
    message: str
    attempt: int = 0
    reason: str | None = None
    exit_code: int | None = None
    traceback: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the record as stored."""
        value: dict[str, Any] = {
            "type": self.type,
            "message": self.message,
            "attempt": self.attempt,
            "reason": self.reason,
            "exit_code": self.exit_code,
        }
        if self.traceback:
            value["traceback"] = self.traceback
        return value


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; ``result`` is JSON text."""

    result: str


@dataclass(frozen=True, slots=True)
class Cached:
    """The result of another attempt was there already; ``result`` is its JSON text, no user code ran."""

    result: str


@dataclass(frozen=True, slots=True)
class CacheWait:
    """Another attempt makes the result: looked at again after ``delay`` seconds, no attempt counted."""

    delay: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed and may be tried again.

    ``delay``: seconds until the next attempt; None leaves it to the row's default policy in SQL.
    """

    error: ErrorRecord
    delay: float | None


@dataclass(frozen=True, slots=True)
class Discarded:
    """The step failed for good; with ``abort_run`` the rest of its run ends too."""

    error: ErrorRecord
    abort_run: bool = False


@dataclass(frozen=True, slots=True)
class Snoozed:
    """Not now: again after ``delay`` seconds, no attempt counted; ``error``: why it could not start."""

    delay: float
    error: ErrorRecord | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """Given back untouched (drain, recycled process): available at once, no attempt counted."""

    reason: str = "released"


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process died in which the attempt ran alone: no other can have been the cause."""

    error: ErrorRecord


@dataclass(frozen=True, slots=True)
class Skipped:
    """The step's condition was false; ``trace`` says clause by clause why."""

    trace: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expanded:
    """A fan-out has its items; ``fan`` is the JSON text that ``expand_step`` takes."""

    fan: str


@dataclass(frozen=True, slots=True)
class Started:
    """A sub-workflow is to start; ``child`` is the JSON text that ``start_child`` takes."""

    child: str


@dataclass(frozen=True, slots=True)
class Decided:
    """The options of a step are known; ``options`` is the JSON text that ``decide_step`` takes."""

    options: str


@dataclass(frozen=True, slots=True)
class Waits:
    """A step begins to wait for a time, a signal or an answer.

    ``terms`` is the JSON text that ``begin_wait`` takes.
    """

    terms: str


@dataclass(frozen=True, slots=True)
class Suspended:
    """A workflow function waits, and holds no process; ``terms``: JSON text that ``suspend_steps`` takes."""

    terms: str


@dataclass(frozen=True, slots=True)
class Continued:
    """A workflow function begins anew; ``terms`` is the JSON text that ``continue_run`` takes."""

    terms: str


@dataclass(frozen=True, slots=True)
class Parked:
    """The code of a workflow function does not fit its history: again later, when there may be other code."""

    error: ErrorRecord


@dataclass(frozen=True, slots=True)
class Part:
    """What one activation of a workflow function adds to its history.

    Attributes:
        number: of the part.
        events: JSON text: an array of events (`model.history`).
        status: JSON text of what it says of itself; None for nothing new.
        left: ordinals of steps that it leaves behind.
    """

    number: int
    events: str
    status: str | None = None
    left: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """An outcome of a workflow function, with what is recorded before it in the same transaction."""

    outcome: Completed | Discarded | Suspended | Continued
    part: Part


Outcome = (
    Completed
    | Cached
    | CacheWait
    | Failed
    | Discarded
    | Snoozed
    | Released
    | Crashed
    | Skipped
    | Expanded
    | Started
    | Decided
    | Waits
    | Suspended
    | Continued
    | Parked
    | Recorded
)
