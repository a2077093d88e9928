"""Schedules: what starts by itself, and what became of each slot; one statement for each call."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.store.db import Operation, Query, Row, query
from tributary_daemon.store.sight import OfTenant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from tributary_daemon.spec.workflow import WorkflowSpec


class DueRow(NamedTuple):
    """A schedule that a leader has something to do for.

    ``next_slot`` is None until it has been computed; ``next_at``: when it was to be looked at. ``queued``:
    the first slot that waits and may start now. ``now`` is the database's time.
    """

    name: str
    version: int
    kind: str
    target: str
    cron: str
    timezone: str
    overlap: str
    catchup: float
    jitter: float
    payload: Any
    labels: dict[str, str]
    since: datetime
    next_slot: datetime | None
    next_at: datetime
    queued: datetime | None
    now: datetime
    tenant_id: str


class ScheduleRow(NamedTuple):
    """A schedule as it is read; ``workflow`` is None where it was added by hand."""

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
    tenant_id: str
    since: datetime
    next_slot: datetime | None
    next_at: datetime
    last_slot: datetime | None
    last_run_id: UUID | None
    fired: int
    missed: int
    queued: int
    created_at: datetime
    updated_at: datetime
    now: datetime


class FireRow(NamedTuple):
    """What became of a slot; of ``missed`` slots up to ``until`` where none was there to fire them."""

    slot: datetime
    at: datetime
    cause: str
    outcome: str
    run_id: UUID | None
    missed: int
    until: datetime | None
    state: str | None


class Wanted(NamedTuple):
    """A schedule that is to be kept; spans are seconds."""

    name: str
    tenant: str
    kind: str
    target: str
    cron: str
    timezone: str
    payload: str
    options: Mapping[str, Any]
    labels: Mapping[str, str]
    overlap: str
    catchup: float
    jitter: float
    paused: bool


class Work(NamedTuple):
    """What a run of a schedule is made of, after all checks; nothing for an intent.

    ``demands`` is the workflow with what has to be asked of each slot: preconditions, the name of its
    concurrency group, which goes into ``group`` where an expression gives it.
    """

    revision: UUID | None = None
    inputs: str | None = None
    group: str | None = None
    demands: WorkflowSpec | None = None


class Fired(NamedTuple):
    """What became of a slot: ``fired``, ``skipped``, ``queued``, ``full`` or (backfills) ``known``."""

    outcome: str
    run_id: UUID | None


def due(but: Sequence[str], limit: int) -> Operation[list[DueRow]]:
    """Read the schedules that a leader has something to do for, those of these names excepted."""
    rows = yield Query(query("due_schedules"), {"but": list(but), "limit": limit})
    return [DueRow(*_in_utc(row)) for row in rows]


def fire(
    row: DueRow, slot: datetime, work: Work, following: datetime, following_at: datetime, *, late: bool
) -> Operation[Fired | None]:
    """Fire a slot and move on, in one transaction; None when it is not due here any more.

    Args:
        row: the schedule as it was read.
        slot: to fire.
        work: what a run is made of.
        following: the slot after it.
        following_at: when that one is due.
        late: several are due at once, so it may wait for earlier work even where it would be skipped.

    Raises:
        InvalidInput: the target or what it is given is refused.
        NotFound: there is no such workflow.
    """
    rows = yield Query(
        query("fire_schedule"),
        {
            "name": row.name,
            "version": row.version,
            "slot": slot,
            "late": late,
            **_parameters(work),
            "next_slot": following,
            "next_at": following_at,
        },
    )
    return Fired(*rows[0]) if rows else None


def fire_queued(row: DueRow, work: Work) -> Operation[tuple[datetime, UUID] | None]:
    """Start the first slot that waits, unless earlier work goes on; return it with its work."""
    rows = yield Query(query("fire_queued"), {"name": row.name, "version": row.version, **_parameters(work)})
    return (rows[0][0], rows[0][1]) if rows else None


def plan(
    row: DueRow,
    following: datetime,
    following_at: datetime,
    *,
    missed: int = 0,
    until: datetime | None = None,
) -> Operation[bool]:
    """Set the next slot, with so many missed before it; False when the schedule has changed."""
    rows = yield Query(
        query("plan_schedule"),
        {
            "name": row.name,
            "version": row.version,
            "slot": row.next_slot,
            "next_slot": following,
            "next_at": following_at,
            "missed": missed,
            "until": until,
        },
    )
    return bool(rows[0][0])


def replan() -> Operation[None]:
    """Have the next slots computed anew, after a change of the database's clock."""
    yield Query(query("replan_schedules"), {})


def disable(row: DueRow, error: str) -> Operation[bool]:
    """Take a schedule out of the way, with the reason; False when it has changed meanwhile."""
    rows = yield Query(query("disable_schedule"), {"name": row.name, "version": row.version, "error": error})
    return bool(rows[0][0])


def keep(wanted: Wanted) -> Operation[str]:
    """Add a schedule or change it; return ``created``, ``changed`` or ``unchanged``.

    Raises:
        InvalidInput: a value is refused.
        NotPossible: the name belongs to a workflow's own schedule, or to another tenant's.
    """
    given = {
        **wanted._asdict(), "options": json.dumps(wanted.options), "labels": json.dumps(wanted.labels)
    }  # fmt: skip
    rows = yield Query(query("keep_schedule"), given)
    return str(rows[0][0])


def remove(name: str) -> Operation[bool]:
    """Remove a schedule; False when there is none of that name."""
    rows = yield Query(query("unschedule"), {"name": name})
    return bool(rows[0][0])


def pause(name: str) -> Operation[str]:
    """Stop a schedule; return the state it was in.

    Raises:
        NotFound: there is none of that name; so do the next two.
    """
    rows = yield Query(query("pause_schedule"), {"name": name})
    return str(rows[0][0])


def resume(name: str, *, catch_up: bool) -> Operation[str]:
    """Let a schedule go on, with the slots of the pause or without; return the state it was in."""
    rows = yield Query(query("resume_schedule"), {"name": name, "catch_up": catch_up})
    return str(rows[0][0])


def trigger(name: str, work: Work) -> Operation[UUID]:
    """Start what a schedule is for, now; return the id."""
    rows = yield Query(query("trigger_schedule"), {"name": name, **_parameters(work)})
    found: UUID = rows[0][0]
    return found


def backfill(name: str, slot: datetime, work: Work) -> Operation[Fired]:
    """Fire one slot of the past, or have it wait for its turn."""
    rows = yield Query(query("backfill_slot"), {"name": name, "slot": slot, **_parameters(work)})
    return Fired(*rows[0])


def schedules(name: str | None, tenant: str | None) -> Operation[list[ScheduleRow]]:
    """Read the schedules by name: all, or the one of that name; of a tenant, or of all that are seen."""
    rows = yield OfTenant(query("schedules"), {"name": name, "tenant": tenant})
    return [ScheduleRow(*_in_utc(row)) for row in rows]


def fires(name: str, limit: int) -> Operation[list[FireRow]]:
    """Read what became of the newest slots, newest first."""
    rows = yield Query(query("schedule_fires"), {"name": name, "limit": limit})
    return [FireRow(*_in_utc(row)) for row in rows]


def _in_utc(row: Row) -> Row:
    # rows come in the session's zone, where spans are added to, and times compared by, what a wall shows
    return tuple(value.astimezone(UTC) if isinstance(value, datetime) else value for value in row)


def _parameters(work: Work) -> dict[str, Any]:
    return {"revision": work.revision, "inputs": work.inputs, "group": work.group or ""}
