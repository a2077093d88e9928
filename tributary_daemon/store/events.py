"""Events: what happened to runs and intents, stored rows and derived ones alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.sight import OfTenant

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class EventRow(NamedTuple):
    """One event; ``step_id`` and ``ordinal`` are None when it is about the run."""

    work_id: UUID
    at: datetime
    type: str
    step_id: str | None
    ordinal: int | None
    attempt: int | None
    data: dict[str, Any] | None


class After(NamedTuple):
    """The last event of a page; ``ordinal`` is -1 for one about the run."""

    at: datetime
    work_id: str
    ordinal: int
    type: str


def page(work_id: str | None, after: After | None, limit: int) -> Operation[list[EventRow]]:
    """Read events, oldest first: those behind ``after``, else the newest.

    Args:
        work_id: of the run or intent; None for the newest 1,000 of each.
        after: last event of the page before.
        limit: rows.
    """
    at, last_id, ordinal, kind = after or (None, None, None, None)
    behind = {"limit": limit, "at": at, "last_id": last_id, "ordinal": ordinal, "type": kind}
    if work_id is None:
        rows = yield OfTenant(query("events_of_all"), {**behind, "tenant": None})
    else:
        rows = yield Query(query("events"), {"id": work_id, **behind})
    return [EventRow(*row) for row in rows]
