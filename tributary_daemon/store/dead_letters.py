"""Dead letters: discarded work that nobody tolerated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class DeadLetterRow(NamedTuple):
    """A dead letter; ``item_key`` of an item of a fan-out, ``payload`` is None in pages."""

    run_id: UUID
    ordinal: int
    step_id: str | None
    kind: str
    name: str
    queue: str
    attempt: int
    reason: str
    error: dict[str, Any]
    created_at: datetime
    item_key: str | None = None
    payload: Any = None

    @property
    def step(self) -> str | None:
        """``STEP``, or ``STEP[KEY]`` of an item; None of an intent."""
        return self.step_id if self.item_key is None else f"{self.step_id}[{self.item_key}]"


class After(NamedTuple):
    """The last row of a page."""

    created_at: datetime
    run_id: str
    ordinal: int


def page(limit: int, after: After | None, tenant: str | None) -> Operation[list[DeadLetterRow]]:
    """Read one page, newest first."""
    at, run_id, ordinal = after or (None, None, None)
    rows = yield Query(
        query("dead_letters"),
        {"limit": limit, "at": at, "id": run_id, "ordinal": ordinal, "tenant": tenant},
    )
    return [DeadLetterRow(*row) for row in rows]


def of(work_id: str, step: str | None) -> Operation[list[DeadLetterRow]]:
    """Read the dead letters of a run (or of one step of it) or of an intent."""
    rows = yield Query(query("dead_letter"), {"id": work_id, "step": step})
    return [DeadLetterRow(*row) for row in rows]


def drop(work_id: str, ordinal: int) -> Operation[bool]:
    """Forget a dead letter; False when it was gone already."""
    rows = yield Query(query("drop_dead_letter"), {"id": work_id, "ordinal": ordinal})
    return bool(rows[0][0])
