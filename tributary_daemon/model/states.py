"""States of runs and steps, and the one table of legal transitions (drawn in docs/state-machine.md)."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a row of ``tributary.steps`` is."""

    STEP = "step"
    INTENT = "intent"
    CLOSING = "closing"


class StepState(StrEnum):
    """State of a step or intent, as stored."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"

    @property
    def ended(self) -> bool:
        """Whether nothing but an explicit retry changes this state."""
        return self in STEP_ENDED


class RunState(StrEnum):
    """State of a run as shown; ``scheduled``, ``available`` and ``waiting`` are derived when read."""

    SCHEDULED = "scheduled"
    AVAILABLE = "available"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing but an explicit retry changes this state."""
        return self in RUN_ENDED


STEP_ENDED: Final = frozenset(
    {StepState.COMPLETED, StepState.SKIPPED, StepState.CANCELLED, StepState.DISCARDED}
)
RUN_ENDED: Final = frozenset({RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED})

_B, _S, _A, _R, _W = (
    StepState.BLOCKED,
    StepState.SCHEDULED,
    StepState.AVAILABLE,
    StepState.RUNNING,
    StepState.WAITING,
)
_DONE, _SKIP, _CANCEL, _DISCARD = (
    StepState.COMPLETED,
    StepState.SKIPPED,
    StepState.CANCELLED,
    StepState.DISCARDED,
)

STEP_TRANSITIONS: Final[dict[StepState, dict[StepState, str]]] = {
    _B: {
        _A: "the last need ended well",
        _R: "the last need ended well, and whose process ended it goes on",
        _S: "the last need ended well, run_after lies ahead",
        _W: "the last need ended well, no worker offers the name",
        _SKIP: "a need ended badly, or the run was aborted",
        _CANCEL: "cancel",
    },
    _S: {_A: "due", _W: "due, no worker offers the name", _SKIP: "the run was aborted", _CANCEL: "cancel"},
    _W: {
        _A: "what it waited for has come",
        _S: "what it waited for has come, run_after lies ahead",
        _DONE: "its child run completed, its time or signal came, or it was approved",
        _DISCARD: "its child run failed or was cancelled, it was rejected, or nothing came in time",
        _SKIP: "the run was aborted",
        _CANCEL: "cancel",
    },
    _A: {
        _R: "claim",
        _W: "the run was paused",
        _S: "postponed",
        _SKIP: "the run was aborted",
        _CANCEL: "cancel",
    },
    _R: {
        _DONE: "finish",
        _S: "retry or snooze later",
        _A: "retry at once, release, rescue, or its options are decided",
        _W: "suspended, or released while its run is paused",
        _SKIP: "its condition was false",
        _DISCARD: "attempts used up, Abort, or interrupted at most once",
        _CANCEL: "cancel",
    },
    _DONE: {_A: "explicit retry", _B: "explicit retry of a step it needs", _W: "explicit retry"},
    _SKIP: {_A: "explicit retry", _B: "explicit retry of a step it needs", _W: "explicit retry"},
    _CANCEL: {_A: "explicit retry", _B: "explicit retry of a step it needs", _W: "explicit retry"},
    _DISCARD: {_A: "explicit retry", _B: "explicit retry of a step it needs", _W: "explicit retry"},
}
"""from state -> to state -> cause."""
