"""What `why` answers: reasons for the state of a run, a step or an intent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason.

    Attributes:
        step: id of the step it is about; None for the intent or the whole run.
        state: of that step, intent or run.
        code: machine-readable: ``needs``, ``upstream``, ``scheduled``, ``retry``, ``queue_paused``,
            ``queue_full``, ``queue_rate``, ``group``,
            ``disabled``, ``runtime``, ``no_handler``, ``no_worker``, ``worker_paused``, ``ready``,
            ``running``, ``suspect``, ``paused``, ``completed``, ``discarded``, ``cancelled``, ``aborted``,
            ``condition``, ``result``, ``hook``, ``items``, ``max_parallel``, ``child``, ``timer``,
            ``signal``, ``approval``, ``timeout``, ``fail_fast``, ``steps``, ``nondeterminism``,
            ``cached``, ``cache_wait``, ``no_key``.
        message: one sentence.
        hint: what to do; None when nothing has to be done.
    """

    step: str | None
    state: str
    code: str
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the reason as ``why`` prints it."""
        return {
            "step": self.step,
            "state": self.state,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """All reasons for the state of a run, one step, or an intent."""

    id: str
    kind: str
    name: str
    state: str
    reasons: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the answer of ``why``."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "reasons": [reason.to_json() for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class Need:
    """A step that another one needs."""

    id: str
    state: str
    reason: str | None
    optional: bool

    @property
    def decided_well(self) -> bool:
        """Whether it lets what needs it start."""
        if self.state == "completed" or (self.state == "discarded" and self.optional):
            return True
        return self.state == "skipped" and self.reason == "condition"


def completed(attempt: int, reason: str | None) -> tuple[str, str]:
    """Return code and message for a step that has completed."""
    if reason == "cached":
        return "cached", "its result was in the cache: nothing was executed"
    return "completed", f"attempt {attempt} completed"


def put_off(reason: str | None, at: str | None, left: str) -> tuple[str, str]:
    """Return code and message for a step whose time is still to come.

    Args:
        reason: that is stored with it.
        at: its time.
        left: how long that is from now, to be written behind it.
    """
    match reason:
        case "snoozed":
            return "scheduled", f"its handler put it off until {at}{left}"
        case "cache_wait":
            message = "another attempt makes the result that it would take from the cache"
            return "cache_wait", f"{message}; it looks again at {at}{left}"
    return "scheduled", f"due at {at}{left}"
