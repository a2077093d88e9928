"""Schedules as the CLI prints them and Python returns them: ``to_json()`` is the documented JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tributary_daemon.client.documents import rfc3339

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FireDocument:
    """What became of a slot.

    Attributes:
        slot: the time that it stands for.
        at: when that was decided.
        cause: ``slot``, ``trigger`` or ``backfill``.
        outcome: ``fired``, ``queued`` (it waits for earlier work), ``skipped`` (earlier work went on) or
            ``missed`` (no worker was there, or a precondition did not hold).
        id: of the run or intent; None where nothing was started.
        state: of that work; None when it was pruned.
        missed: how many slots were missed, from ``slot`` to ``until``; counted up to 1,000.
        until: see ``missed``.
    """

    slot: datetime
    at: datetime
    cause: str
    outcome: str
    id: str | None = None
    state: str | None = None
    missed: int = 0
    until: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as ``schedule show`` prints it; ``missed`` and ``until`` only where there are any."""
        plain: dict[str, Any] = {
            "slot": rfc3339(self.slot),
            "at": rfc3339(self.at),
            "cause": self.cause,
            "outcome": self.outcome,
            "id": self.id,
            "state": self.state,
        }
        return {**plain, "missed": self.missed, "until": rfc3339(self.until)} if self.missed else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDocument:
    """A schedule.

    Attributes:
        kind: of what it starts: ``run`` or ``intent``.
        target: name of the workflow, or of the intent.
        overlap: what becomes of a slot while earlier work goes on: ``skip``, ``queue``, ``allow``.
        catchup: seconds; so old a slot may be after an outage and still be fired.
        jitter: seconds by which a slot is late at most.
        state: ``active``, ``paused`` or ``disabled``.
        error: why it is disabled, or will be as soon as a worker looks at it.
        workflow: the workflow whose registration made it; None where it was added by hand.
        payload: of the intent, or inputs of the run.
        next: the next slots.
        overdue: seconds that a slot has been due and nobody has fired it; 0 for none.
        last_slot: the last one that was fired.
        last_id: what was started last, also by a trigger or a backfill.
        fired: how often something was started.
        missed: how many slots came while no worker was there and were too old afterwards.
        queued: slots that wait for earlier work.
        fires: what became of the newest slots, newest first; empty in lists.
        warnings: sentences for the person who added it.
    """

    name: str
    kind: str
    target: str
    cron: str
    timezone: str
    overlap: str
    catchup: float
    jitter: float
    state: str
    error: str | None
    workflow: str | None
    payload: Any
    options: dict[str, Any]
    labels: dict[str, str]
    tenant: str
    next: tuple[datetime, ...]
    overdue: float
    last_slot: datetime | None
    last_id: str | None
    fired: int
    missed: int
    queued: int
    created_at: datetime
    updated_at: datetime
    fires: tuple[FireDocument, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the schedule as ``schedule list`` prints it; with ``fires`` as ``schedule show`` does."""
        plain: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "target": self.target,
            "cron": self.cron,
            "timezone": self.timezone,
            "overlap": self.overlap,
            "catchup": self.catchup,
            "jitter": self.jitter,
            "state": self.state,
            "error": self.error,
            "workflow": self.workflow,
            "inputs" if self.kind == "run" else "payload": self.payload,
            "options": self.options,
            "labels": self.labels,
            "next": [rfc3339(at) for at in self.next],
            "overdue": self.overdue,
            "last_slot": rfc3339(self.last_slot),
            "last_id": self.last_id,
            "fired": self.fired,
            "missed": self.missed,
            "queued": self.queued,
            "created_at": rfc3339(self.created_at),
            "updated_at": rfc3339(self.updated_at),
        }
        return {**plain, "fires": [fire.to_json() for fire in self.fires]} if self.fires else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfilledSlot:
    """What a backfill did with a slot.

    Attributes:
        slot: of the past.
        outcome: ``fired``, ``queued`` (it waits for its turn), ``known`` (it was fired before), or
            ``planned`` in a dry run.
        id: of its work; None while it waits.
    """

    slot: datetime
    outcome: str
    id: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as ``schedule backfill`` prints it."""
        return {"slot": rfc3339(self.slot), "outcome": self.outcome, "id": self.id}
