"""Schedules: read and steer them; sans-I/O operations, and quick to import."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tributary_daemon.client.schedule_records import FireDocument, ScheduleDocument
from tributary_daemon.errors import InvalidInput, NotFound
from tributary_daemon.model import cron as crons
from tributary_daemon.model.slots import due_at
from tributary_daemon.store import schedules

if TYPE_CHECKING:
    from datetime import datetime

    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.schedules import ScheduleRow

SHOWN: Final = 5
OVERDUE: Final = 10.0
"""Seconds after which a slot that nobody fires is overdue."""

_FIRES: Final = 20


def listed(tenant: str | None, upcoming: int = SHOWN) -> Operation[tuple[ScheduleDocument, ...]]:
    """Read the schedules by name, with their next slots."""
    rows = yield from schedules.schedules(None, tenant)
    return tuple(_document(row, upcoming) for row in rows)


def one(
    name: str, upcoming: int = SHOWN, fires: int = _FIRES, warnings: tuple[str, ...] = ()
) -> Operation[ScheduleDocument]:
    """Read one schedule with what became of its newest slots.

    Raises:
        NotFound: there is none of that name.
    """
    row = yield from row_of(name)
    found = yield from schedules.fires(name, fires)
    return replace(_document(row, upcoming, found), warnings=warnings)


def remove(name: str) -> Operation[None]:
    """Remove a schedule; what it has started goes on.

    Raises:
        NotFound: there is none of that name.
    """
    yield from row_of(name)
    if not (yield from schedules.remove(name)):
        raise (yield from _missing(name))


def pause(name: str) -> Operation[str]:
    """Stop a schedule; return the state it was in.

    Raises:
        NotFound: there is none of that name.
    """
    yield from row_of(name)
    return (yield from schedules.pause(name))


def resume(name: str, *, catch_up: bool) -> Operation[str]:
    """Let a schedule go on; return the state it was in.

    Raises:
        NotFound: there is none of that name.
        InvalidInput: its times cannot be read, so it would be disabled at once.
    """
    row = yield from row_of(name)
    crons.parse(row.cron, row.timezone)
    return (yield from schedules.resume(name, catch_up=catch_up))


def row_of(name: str) -> Operation[ScheduleRow]:
    """Read the row of a schedule.

    Raises:
        NotFound: there is none of that name; the nearest one is named.
    """
    rows = yield from schedules.schedules(name, None)
    if not rows:
        raise (yield from _missing(name))
    return rows[0]


def _missing(name: str) -> Operation[NotFound]:
    known = [row.name for row in (yield from schedules.schedules(None, None))]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else "`trib schedule list` shows them"
    return NotFound(f"there is no schedule named '{name}'", hint=hint)


def _document(
    row: ScheduleRow, upcoming: int, fires: list[schedules.FireRow] | None = None
) -> ScheduleDocument:
    slots: list[datetime] = []
    error = row.error
    late = 0.0
    if row.state == "active":
        try:
            cron = crons.parse(row.cron, row.timezone)
            slots = cron.upcoming(row.now, upcoming)
            due = row.next_at
            if row.next_slot is None and (first := cron.after(row.since)) is not None:
                # no leader has computed it yet
                due = due_at(row.name, first, row.jitter)
            late = (row.now - due).total_seconds()
        except InvalidInput as fault:
            # no worker has looked at it yet
            error = f"{fault.message}; {fault.hint}" if fault.hint else fault.message
    return ScheduleDocument(
        name=row.name,
        kind=row.kind,
        target=row.target,
        cron=row.cron,
        timezone=row.timezone,
        overlap=row.overlap,
        catchup=row.catchup,
        jitter=row.jitter,
        state=row.state,
        error=error,
        workflow=row.workflow,
        payload=row.payload,
        options=row.options,
        labels=row.labels,
        tenant=row.tenant_id,
        next=tuple(slots),
        overdue=late if late > OVERDUE else 0.0,
        last_slot=row.last_slot,
        last_id=None if row.last_run_id is None else str(row.last_run_id),
        fired=row.fired,
        missed=row.missed,
        queued=row.queued,
        created_at=row.created_at,
        updated_at=row.updated_at,
        fires=tuple(_fire(fire) for fire in fires or ()),
    )


def _fire(row: schedules.FireRow) -> FireDocument:
    return FireDocument(
        slot=row.slot,
        at=row.at,
        cause=row.cause,
        outcome=row.outcome,
        id=None if row.run_id is None else str(row.run_id),
        state=row.state,
        missed=row.missed,
        until=row.until,
    )
