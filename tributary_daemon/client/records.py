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
        ref: its address: the intent's id, ``RUN/STEP``, or ``RUN/STEP[KEY]`` of an item of a fan-out.
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
    correlation_id: str | None = None
    business_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the event as ``events`` prints it."""
        return {
            "at": rfc3339(self.at),
            "id": self.id,
            "type": self.type,
            "step": self.step,
            "attempt": self.attempt,
            "data": self.data,
            "correlation_id": self.correlation_id,
            "business_id": self.business_id,
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
class QueueSample:
    """The depth of a queue when the leader last looked, every ten seconds.

    Attributes:
        at: when that was.
        age: seconds since then, by the database's clock.
        ready: what a worker may claim.
        oldest_age: seconds that the oldest of it had been ready then; None without any.
        scheduled: what waits for its time.
        running: what was running.
        waiting: what waits for its handler's first offer or for a concurrency group.
        ready_rate: change of ``ready`` per second since the sample before; None where nobody knows.
        more: names of those of these numbers that are lower bounds.
    """

    at: datetime
    age: float
    ready: int
    oldest_age: float | None
    scheduled: int
    running: int
    waiting: int
    ready_rate: float | None
    more: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the sample as ``queue list`` prints it."""
        return {
            "at": rfc3339(self.at),
            "age": self.age,
            "ready": self.ready,
            "oldest_age": self.oldest_age,
            "scheduled": self.scheduled,
            "running": self.running,
            "waiting": self.waiting,
            "ready_rate": self.ready_rate,
            "more": list(self.more),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDocument:
    """A queue; ``available`` is counted up to 10,000 per shard, ``workers`` are live ones that serve it.

    Attributes:
        concurrency: how many of its attempts run at once over all workers; None for any number.
        rate: how many of its attempts start, like ``100/s``; None for any number.
        opens_in: 0 if its limits let an attempt start now, else seconds until its rate does; None while as
            many run as may.
        sample: its depth when the leader last looked; None when nobody has.
    """

    name: str
    paused: bool
    paused_at: datetime | None
    available: int
    running: int
    workers: int
    concurrency: int | None = None
    rate: str | None = None
    opens_in: float | None = 0.0
    sample: QueueSample | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the queue as ``queue list`` prints it."""
        return {
            "name": self.name,
            "paused": self.paused,
            "paused_at": rfc3339(self.paused_at),
            "available": self.available,
            "running": self.running,
            "workers": self.workers,
            "concurrency": self.concurrency,
            "rate": self.rate,
            "opens_in": self.opens_in,
            "sample": None if self.sample is None else self.sample.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsDocument:
    """The limits of a queue over all workers; None for none."""

    name: str
    concurrency: int | None
    rate: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the limits as ``queue set`` prints them."""
        return {"name": self.name, "concurrency": self.concurrency, "rate": self.rate}
