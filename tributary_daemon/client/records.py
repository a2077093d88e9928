"""Dead letters, events, workers, handlers and queues as the CLI prints them and Python returns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tributary_daemon.client.documents import ErrorDocument, rfc3339

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterDocument:
    """Discarded work that nobody tolerated.

    Attributes:
        ref: its address: the intent's id, or ``RUN/STEP``.
        id: of the run or intent.
        step: id of the step; None for an intent.
        payload: what it was given; None in pages.
    """

    ref: str
    id: str
    step: str | None
    kind: str
    name: str
    queue: str
    attempt: int
    reason: str
    error: ErrorDocument | None
    created_at: datetime
    payload: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return the dead letter as ``dlq`` prints it."""
        plain: dict[str, Any] = {
            "ref": self.ref,
            "id": self.id,
            "step": self.step,
            "kind": self.kind,
            "name": self.name,
            "queue": self.queue,
            "attempt": self.attempt,
            "reason": self.reason,
            "error": None if self.error is None else self.error.to_json(),
            "created_at": rfc3339(self.created_at),
        }
        return plain if self.payload is None else {**plain, "payload": self.payload}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDocument:
    """Something that happened to a run, to one of its steps (``step``), or to an intent."""

    id: str
    at: datetime
    type: str
    step: str | None
    attempt: int | None
    data: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the event as ``events`` prints it."""
        return {
            "at": rfc3339(self.at),
            "id": self.id,
            "type": self.type,
            "step": self.step,
            "attempt": self.attempt,
            "data": self.data,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerDocument:
    """A handler's name as its workers registered it; ``offered_at`` is None until one did."""

    name: str
    runtime: str
    is_enabled: bool
    description: str | None
    options: dict[str, Any]
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    offered_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return the handler as ``handlers`` prints it."""
        return {
            "name": self.name,
            "runtime": self.runtime,
            "is_enabled": self.is_enabled,
            "description": self.description,
            "options": self.options,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
            "offered_at": rfc3339(self.offered_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDocument:
    """A queue; ``available`` is counted up to 10,000 per shard, ``workers`` are live ones that serve it."""

    name: str
    paused: bool
    paused_at: datetime | None
    available: int
    running: int
    workers: int

    def to_json(self) -> dict[str, Any]:
        """Return the queue as ``queue list`` prints it."""
        return {
            "name": self.name,
            "paused": self.paused,
            "paused_at": rfc3339(self.paused_at),
            "available": self.available,
            "running": self.running,
            "workers": self.workers,
        }
