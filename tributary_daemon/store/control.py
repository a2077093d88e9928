"""Cancel, pause, resume, retry, change and requeue: one call of the protocol each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


def cancel(work_id: str, reason: str | None) -> Operation[str]:
    """Cancel a run or an intent and return the state it was in.

    Raises:
        NotFound: there is none of that id.
        NotPossible: it has ended already.
    """
    rows = yield Query(query("cancel"), {"id": work_id, "reason": reason})
    return str(rows[0][0])


def retry(work_id: str, steps: Sequence[str] | None) -> Operation[str]:
    """Put a run (from its bad steps, or from ``steps``) or an intent back to work; return its new state.

    Raises:
        NotFound: there is no such run, intent or step.
        NotPossible: it has not ended, or nothing in it ended badly.
    """
    rows = yield Query(query("retry"), {"id": work_id, "steps": None if steps is None else list(steps)})
    return str(rows[0][0])


def pause(run_id: str) -> Operation[str]:
    """Pause a run and return the state it was in.

    Raises:
        NotFound: there is none of that id.
        NotPossible: it has ended, or is paused.
    """
    rows = yield Query(query("pause_run"), {"id": run_id})
    return str(rows[0][0])


def resume(run_id: str) -> Operation[str]:
    """Let a paused run go on and return the state it was in.

    Raises:
        NotFound: there is none of that id.
        NotPossible: it is not paused.
    """
    rows = yield Query(query("resume_run"), {"id": run_id})
    return str(rows[0][0])


def change(
    work_id: str,
    *,
    priority: int | None,
    queue: str | None,
    run_at: datetime | None,
    delay: float | None,
    payload: str | None,
    step: str | None,
) -> Operation[str]:
    """Change work that waits and return its new state; None leaves as it is, ``payload`` is JSON text.

    Raises:
        InvalidInput: a value is refused.
        NotFound: there is no such run, intent or step.
        NotPossible: it runs or has ended.
    """
    rows = yield Query(
        query("change"),
        {
            "id": work_id,
            "priority": priority,
            "queue": queue,
            "run_at": run_at,
            "delay": delay,
            "payload": payload,
            "step": step,
        },
    )
    return str(rows[0][0])


def requeue(work_id: str, step: str | None) -> Operation[str]:
    """Put a dead letter back to work and return the new state.

    Raises:
        NotFound: there is no such dead letter.
    """
    rows = yield Query(query("requeue"), {"id": work_id, "step": step})
    return str(rows[0][0])
