"""Runs and intents as the CLI prints them and Python returns them: ``to_json()`` is the documented JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar


def rfc3339(at: datetime | None) -> str | None:
    """Return a time as text: UTC, microseconds, ``Z``."""
    if at is None:
        return None
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDocument:
    """Why something failed.

    Attributes:
        type: class name of the exception, dotted unless built in.
        message: its text.
        attempt: the attempt that failed, 1-based; 0 when none ran.
        reason: machine-readable cause when one is known (``timeout``, ``aborted``, ``invalid_payload`` …).
        exit_code: of a shell step.
        step: id of the step, in the error of a run.
        traceback: innermost frames last.
    """

    type: str
    message: str
    attempt: int = 0
    reason: str | None = None
    exit_code: int | None = None
    step: str | None = None
    traceback: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return ``{type, message, attempt, reason, exit_code}``; ``step`` and ``traceback`` when known."""
        plain: dict[str, Any] = {
            "type": self.type,
            "message": self.message,
            "attempt": self.attempt,
            "reason": self.reason,
            "exit_code": self.exit_code,
        }
        if self.step is not None:
            plain["step"] = self.step
        if self.traceback is not None:
            plain["traceback"] = self.traceback
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any] | None, *, step: str | None = None) -> ErrorDocument | None:
        """Build it from what is stored; workers of other runtimes may have left fields out."""
        if not plain:
            return None
        return cls(
            type=str(plain.get("type") or "Error"),
            message=str(plain.get("message") or ""),
            attempt=int(plain.get("attempt") or 0),
            reason=plain.get("reason"),
            exit_code=plain.get("exit_code"),
            step=step or plain.get("step"),
            traceback=plain.get("traceback"),
        )


def _error(error: ErrorDocument | None) -> dict[str, Any] | None:
    return None if error is None else error.to_json()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDocument:
    """One step of a run.

    Attributes:
        id: as in the file.
        name: of its handler.
        attempt: of the last or running attempt; 0 before the first.
        needs: ids of the steps it needs.
        optional: ``continue_on_error``: its failure is tolerated.
        run_at: when a scheduled step is due.
        progress: details of the last heartbeat of the running attempt.
        worker: name of the process that runs it.
        hook: which hook of the run it belongs to: ``on_success``, ``on_failure``, ``on_cancel``, ``finally``.
        items: of a fan-out, how many of its items are in which state.
        child: of a sub-workflow, id of the run that it started last.
        condition: of a step whose condition did not hold, why, clause by clause.
        undone: it was undone after its run had failed or was cancelled, and runs again on any retry.
        wait: what it waits for: ``for`` (``timer``, ``signal`` or ``approval``), ``signal``, ``payload``,
            ``prompt``, ``form``, ``since``, ``until``, ``on_timeout``.
    """

    id: str
    name: str
    state: str
    attempt: int
    max_attempts: int
    result: Any
    error: ErrorDocument | None
    reason: str | None
    queue: str
    priority: int
    needs: tuple[str, ...]
    optional: bool
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    progress: Any = None
    worker: str | None = None
    hook: str | None = None
    items: dict[str, int] | None = None
    child: str | None = None
    condition: dict[str, Any] | None = None
    wait: dict[str, Any] | None = None
    undone: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the step as ``status`` shows it."""
        plain: dict[str, Any] = {
            "state": self.state,
            "name": self.name,
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "result": self.result,
            "error": _error(self.error),
            "reason": self.reason,
            "queue": self.queue,
            "priority": self.priority,
            "needs": list(self.needs),
            "optional": self.optional,
            "run_at": rfc3339(self.run_at) if self.state == "scheduled" else None,
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
        }
        if self.progress is not None:
            plain["progress"] = self.progress
        for key in ("worker", "hook", "items", "child", "condition", "wait"):
            if (value := getattr(self, key)) is not None:
                plain[key] = value
        if self.undone:
            plain["undone"] = True
        return plain


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDocument:
    """One run with its steps in order.

    Attributes:
        state: as shown: ``scheduled``, ``available`` and ``waiting`` are derived.
        result: of the ``result:`` expression; without one the results of the steps that nobody needs.
        warnings: failures that were tolerated.
        revision: id of the workflow's revision it goes on with.
        ending: what it has come to, while its hooks are still at work.
        parent: id of the run whose step started it.
        deadline: when its timeout is over.
    """

    kind: ClassVar[str] = "run"

    id: str
    name: str
    state: str
    reason: str | None
    inputs: Any
    result: Any
    error: ErrorDocument | None
    warnings: int
    labels: dict[str, str]
    priority: int
    revision: str
    idempotency_key: str | None
    tenant: str
    created_at: datetime
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    ending: str | None = None
    parent: str | None = None
    deadline: datetime | None = None
    correlation_id: str | None = None
    business_id: str | None = None
    traceparent: str | None = None
    steps: dict[str, StepDocument] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing but an explicit retry changes this run."""
        return self.state in {"completed", "failed", "cancelled"}

    def to_json(self) -> dict[str, Any]:
        """Return the run as ``status`` prints it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "inputs": self.inputs,
            "result": self.result,
            "error": _error(self.error),
            "warnings": self.warnings,
            "labels": self.labels,
            "priority": self.priority,
            "revision": self.revision,
            "idempotency_key": self.idempotency_key,
            "tenant": self.tenant,
            "correlation_id": self.correlation_id,
            "business_id": self.business_id,
            "traceparent": self.traceparent,
            "created_at": rfc3339(self.created_at),
            "run_at": rfc3339(self.run_at),
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
            **({"ending": self.ending} if self.ending else {}),
            **({"parent": self.parent} if self.parent else {}),
            **({"deadline": rfc3339(self.deadline)} if self.deadline else {}),
            "steps": {step.id: step.to_json() for step in self.steps.values()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDocument:
    """One attempt of an intent.

    Attributes:
        outcome: ``completed`` or ``running``, else what it led to: ``retry``, ``discarded``, ``crashed`` …
        worker: name of the process that ran it; None for one that completed.
    """

    attempt: int
    outcome: str
    error: ErrorDocument | None
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the attempt as ``status`` prints it."""
        return {
            "attempt": self.attempt,
            "outcome": self.outcome,
            "error": _error(self.error),
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
            "worker": self.worker,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentDocument:
    """One intent with its attempts, oldest first."""

    kind: ClassVar[str] = "intent"

    id: str
    name: str
    state: str
    reason: str | None
    payload: Any
    result: Any
    error: ErrorDocument | None
    warnings: int
    labels: dict[str, str]
    priority: int
    queue: str
    tenant: str
    attempt: int
    max_attempts: int
    created_at: datetime
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    attempts: tuple[AttemptDocument, ...] = ()
    progress: Any = None
    worker: str | None = None
    correlation_id: str | None = None
    business_id: str | None = None
    traceparent: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing but an explicit retry changes this intent."""
        return self.state in {"completed", "skipped", "cancelled", "discarded"}

    def to_json(self) -> dict[str, Any]:
        """Return the intent as ``status`` prints it."""
        plain: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "payload": self.payload,
            "result": self.result,
            "error": _error(self.error),
            "warnings": self.warnings,
            "labels": self.labels,
            "priority": self.priority,
            "queue": self.queue,
            "tenant": self.tenant,
            "correlation_id": self.correlation_id,
            "business_id": self.business_id,
            "traceparent": self.traceparent,
            "attempt": self.attempt,
            "max_attempts": self.max_attempts,
            "created_at": rfc3339(self.created_at),
            "run_at": rfc3339(self.run_at),
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }
        if self.progress is not None:
            plain["progress"] = self.progress
        if self.worker is not None:
            plain["worker"] = self.worker
        return plain


Document = RunDocument | IntentDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run or an intent in a list; ``queue`` and attempts belong to intents, step counts to runs."""

    id: str
    kind: str
    name: str
    state: str
    reason: str | None
    queue: str | None
    attempt: int | None
    max_attempts: int | None
    priority: int
    labels: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    steps_ended: int | None
    steps_total: int | None
    warnings: int
    tenant: str

    def to_json(self) -> dict[str, Any]:
        """Return the row as ``list`` prints it, without what its kind does not have."""
        plain: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "state": self.state,
            "reason": self.reason,
            "priority": self.priority,
            "labels": self.labels,
            "tenant": self.tenant,
            "created_at": rfc3339(self.created_at),
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
        }
        if self.kind == "intent":
            own = {"queue": self.queue, "attempt": self.attempt, "max_attempts": self.max_attempts}
        else:
            own = {
                "steps_ended": self.steps_ended,
                "steps_total": self.steps_total,
                "warnings": self.warnings,
            }
        return {**plain, **own}


class Jsonable(Protocol):
    """Whatever a page may hold."""

    def to_json(self) -> dict[str, Any]:
        """Return the documented JSON."""


ItemT = TypeVar("ItemT", bound=Jsonable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[ItemT]):
    """Rows of a list; ``after`` is the cursor of the next page, None when there is none yet."""

    items: tuple[ItemT, ...]
    after: str | None

    def to_json(self) -> dict[str, Any]:
        """Return ``{"items": [...], "after": cursor or null}``."""
        return {"items": [item.to_json() for item in self.items], "after": self.after}
