"""Runs as they are read: one row of the run, its steps, its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class RunRow(NamedTuple):
    """A run; ``state`` and ``started_at`` are derived from its steps."""

    run_id: UUID
    name: str
    state: str
    reason: str | None
    priority: int
    warnings: int
    labels: dict[str, str]
    created_at: datetime
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    result: Any
    error: dict[str, Any] | None
    inputs: Any
    revision_id: UUID
    has_result: bool
    idempotency_key: str | None
    tenant_id: str
    phase: str
    ending: str | None
    parent_id: str | None
    deadline: datetime | None
    is_function: bool
    correlation_id: str | None = None
    business_id: str | None = None
    traceparent: str | None = None


class StepRow(NamedTuple):
    """A step of a run; ``error`` is that of its last bad attempt, None once it completed."""

    ordinal: int
    step_id: str
    name: str
    state: str
    attempt: int
    max_attempts: int
    result: Any
    reason: str | None
    queue: str
    priority: int
    flags: int
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None
    progress: Any
    worker: str | None
    items: dict[str, int] | None
    child: str | None
    wait: dict[str, Any] | None


class ItemRow(NamedTuple):
    """An item of a fan-out; ``payload`` is ``{"item" | "matrix", "index"}``."""

    ordinal: int
    key: str
    state: str
    reason: str | None
    attempt: int
    result: Any
    payload: dict[str, Any]
    error: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None
    child: str | None


class PlanRow(NamedTuple):
    """The revision that a run goes on with."""

    name: str
    revision_id: UUID
    hash: str
    source: str
    plan: dict[str, Any]


class PayloadRow(NamedTuple):
    """What a step was given; ordinal 0 is the run's inputs or the intent's payload."""

    ordinal: int
    payload: Any
    options: dict[str, Any] | None


class StateRow(NamedTuple):
    """The stored state of a run or intent."""

    state: str
    kind: str
    name: str


def run(run_id: str) -> Operation[RunRow | None]:
    """Read a run; None when there is none of that id."""
    rows = yield Query(query("run"), {"id": run_id})
    return RunRow(*rows[0]) if rows else None


def steps(run_id: str) -> Operation[list[StepRow]]:
    """Read the steps of a run in order; closing steps are not shown."""
    rows = yield Query(query("run_steps"), {"id": run_id})
    return [StepRow(*row) for row in rows]


def items(run_id: str, step_id: str) -> Operation[list[ItemRow]]:
    """Read the items of a fan-out in order; none before they exist."""
    rows = yield Query(query("run_items"), {"id": run_id, "step": step_id})
    found = [ItemRow(*row) for row in rows]
    return [
        row
        if isinstance(row.payload, dict)
        else row._replace(payload={"item": row.payload, "index": place})  # it is encrypted
        for place, row in enumerate(found)
    ]


def traces(run_id: str) -> Operation[dict[int, dict[str, Any]]]:
    """Read the conditions that kept steps from running, by ordinal."""
    rows = yield Query(query("run_traces"), {"id": run_id})
    # what is encrypted tells nothing to who has not the key
    return {row[0]: row[1] for row in rows if isinstance(row[1], dict)}


def edges(run_id: str) -> Operation[list[tuple[int, int]]]:
    """Read who needs whom in a run: (ordinal of the parent, ordinal of the child)."""
    rows = yield Query(query("run_edges"), {"id": run_id})
    return [(row[0], row[1]) for row in rows]


def plan(run_id: str) -> Operation[PlanRow | None]:
    """Read the revision that a run goes on with."""
    rows = yield Query(query("run_plan"), {"id": run_id})
    return PlanRow(*rows[0]) if rows else None


def payloads(run_id: str) -> Operation[list[PayloadRow]]:
    """Read what the steps of a run, or an intent, were given."""
    rows = yield Query(query("step_payloads"), {"id": run_id})
    return [PayloadRow(*row) for row in rows]


def state(work_id: str) -> Operation[StateRow | None]:
    """Read the stored state of a run or an intent; None when there is neither."""
    rows = yield Query(query("work_state"), {"id": work_id})
    return StateRow(*rows[0]) if rows else None
