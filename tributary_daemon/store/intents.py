"""Intents as they are read, with their attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class IntentRow(NamedTuple):
    """An intent; ``started_at`` is that of its attempt, while it runs and once it has ended."""

    intent_id: UUID
    name: str
    state: str
    reason: str | None
    queue: str
    priority: int
    attempt: int
    max_attempts: int
    created_at: datetime
    run_at: datetime | None
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    result: Any
    payload: Any
    options: dict[str, Any] | None
    progress: Any
    worker: str | None
    tenant_id: str
    correlation_id: str | None = None
    business_id: str | None = None
    traceparent: str | None = None


class AttemptRow(NamedTuple):
    """An attempt that did not end well."""

    attempt: int
    outcome: str
    error: dict[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None


def intent(intent_id: str) -> Operation[IntentRow | None]:
    """Read an intent; None when there is none of that id."""
    rows = yield Query(query("intent"), {"id": intent_id})
    return IntentRow(*rows[0]) if rows else None


def attempts(work_id: str, ordinal: int = 0) -> Operation[list[AttemptRow]]:
    """Read the bad attempts of an intent, or of the step of that ordinal, oldest first."""
    rows = yield Query(query("attempts"), {"id": work_id, "ordinal": ordinal})
    return [AttemptRow(*row) for row in rows]
