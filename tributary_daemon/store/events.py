"""Events: what happened to runs and intents, stored rows and derived ones alike."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.store import fleet
from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.sight import OfTenant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

_ENDS: Final = ("run_completed", "run_failed")
_LAST: Final = 2**31 - 1
_FIRST_LOOK: Final = 10.0
_WIDER: Final = 6
_WIDEST: Final = 6 * 366 * 86_400.0


class EventRow(NamedTuple):
    """One event; ``step_id`` and ``ordinal`` are None when it is about the run."""

    work_id: UUID
    at: datetime
    type: str
    step_id: str | None
    ordinal: int | None
    attempt: int | None
    data: dict[str, Any] | None
    correlation_id: str | None = None
    business_id: str | None = None

    @property
    def place(self) -> After:
        """Where it stands in the order of all."""
        # a run ends in the very moment in which its last step does, and after it
        of_run = _LAST if self.type in _ENDS else -1
        return After(self.at, str(self.work_id), of_run if self.ordinal is None else self.ordinal, self.type)


class After(NamedTuple):
    """The last event of a page; ``ordinal`` is -1 for one about the run, more than any for its end."""

    at: datetime
    work_id: str
    ordinal: int
    type: str


class Wanted(NamedTuple):
    """Which events are read.

    Attributes:
        work_id: of the run or intent; None for all.
        types: of these; None for any.
    """

    work_id: str | None = None
    types: Sequence[str] | None = None


def page(
    wanted: Wanted, after: After | None, limit: int, since: datetime | None = None
) -> Operation[list[EventRow]]:
    """Read events, oldest first: those behind ``after``, else the newest.

    Args:
        wanted: which.
        after: last event of the page before.
        limit: rows.
        since: none that happened before; None for any time.
    """
    if wanted.work_id is None and after is None and since is None:
        return (yield from _newest(wanted, limit))
    return (yield from _read(wanted, after, limit, since))


def _read(
    wanted: Wanted, after: After | None, limit: int, since: datetime | None
) -> Operation[list[EventRow]]:
    at, last_id, ordinal, kind = after or (since, None, None, None)
    given = {
        "since": at,
        "last_id": last_id,
        "ordinal": ordinal,
        "type": kind,
        "types": None if wanted.types is None else list(wanted.types),
        "limit": limit,
    }
    if wanted.work_id is None:
        rows = yield OfTenant(query("events_of_all"), {**given, "tenant": None})
    else:
        rows = yield Query(query("events"), {**given, "id": wanted.work_id})
    return [EventRow(*row) for row in rows]


def _newest(wanted: Wanted, limit: int) -> Operation[list[EventRow]]:
    """Read the newest events of all work, looking further and further back until there are enough."""
    now = (yield from fleet.clock()).now
    span = _FIRST_LOOK
    while span < _WIDEST:
        rows = yield from _read(wanted, None, limit, now - timedelta(seconds=span))
        if len(rows) >= limit:
            return rows
        span *= _WIDER
    return (yield from _read(wanted, None, limit, None))
