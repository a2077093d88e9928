"""Cancel, pause, resume, retry, signal, approve, change and requeue: one call of the protocol each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.errors import InvalidInput
from tributary_daemon.sealing.envelope import Field, Origin
from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.sealed import place_of, ring

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


def retry_only(work_id: str, steps: Sequence[str]) -> Operation[str]:
    """Run steps (``STEP`` or ``STEP[KEY]``) of an ended run once more; return its new state.

    Raises:
        NotFound: there is no such run, step or item.
        NotPossible: it has not ended, or what they need did not end well.
    """
    rows = yield Query(query("retry_only"), {"id": work_id, "steps": list(steps)})
    return str(rows[0][0])


class Again(NamedTuple):
    """A step of a run, and whether a retry would run it again; ``item`` is the key of one item of it.

    An intent is one row without a ``step``.
    """

    step: str | None
    item: str | None
    state: str
    again: bool


def retry_preview(
    work_id: str, steps: Sequence[str] | None, only: Sequence[str] | None
) -> Operation[list[Again]]:
    """Read what a retry would run again.

    Raises:
        NotFound: as the retry.
        NotPossible: as the retry.
    """
    given = {"from": None if steps is None else list(steps), "only": None if only is None else list(only)}
    rows = yield Query(query("retry_preview"), {"id": work_id, **given})
    return [Again(*row) for row in rows]


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


def signal(run_id: str, name: str, payload: str, key: str | None, sender: str | None) -> Operation[int]:
    """Send a signal to a run and return its number in the run; ``payload`` is JSON text.

    Raises:
        InvalidInput: name, key or payload is refused.
        KeyConflict: the key belongs to a signal of another name.
        NotFound: there is no run of that id.
        NotPossible: it has ended, or is an intent.
    """
    if (keys := (yield from ring())) is not None:
        tenant, _ = yield from place_of(run_id, None)
        if keys.key_for(tenant) is not None:
            sealed = keys.seal_value(json.loads(payload), Origin(tenant, run_id, name, Field.SIGNAL))
            # by these a wait finds it that asks for a payload
            facts = keys.facts(json.loads(payload), tenant, run_id, all_keys=True)
            payload = json.dumps({**sealed, **facts})
    given = {"id": run_id, "name": name, "payload": payload, "key": key, "sender": sender}
    rows = yield Query(query("signal"), given)
    return int(rows[0][0])


def sent(run_id: str, number: int) -> Operation[bool]:
    """Read whether a signal has been taken by a step."""
    rows = yield Query(query("sent"), {"id": run_id, "number": number})
    return bool(rows and rows[0][0])


def asked(run_id: str, step: str) -> Operation[dict[str, Any] | None]:
    """Read the form of a step (``STEP`` or ``STEP[KEY]``) that asks for an answer; None if it does not."""
    rows = yield Query(query("asked"), {"id": run_id, "step": step})
    return (rows[0][0] or {}) if rows else None


def approve(run_id: str, step: str, answer: str | None, sender: str | None) -> Operation[str]:
    """Approve what a step asks for and return the step's state; ``answer`` is JSON text.

    Raises:
        InvalidInput: the form refuses the answer.
        NotFound: there is no such run or step.
        NotPossible: the step asks for no answer.
    """
    if answer is not None and (keys := (yield from ring())) is not None:
        tenant, _ = yield from place_of(run_id, None)
        answer = keys.seal(answer, Origin(tenant, run_id, step, Field.ANSWER))
    rows = yield Query(query("approve"), {"id": run_id, "step": step, "answer": answer, "sender": sender})
    return str(rows[0][0])


def reject(run_id: str, step: str, reason: str | None, sender: str | None) -> Operation[str]:
    """Reject what a step asks for and return the step's state.

    Raises:
        NotFound: there is no such run or step.
        NotPossible: the step asks for no answer.
    """
    if reason is not None and (keys := (yield from ring())) is not None:
        tenant, _ = yield from place_of(run_id, None)
        reason = keys.seal_text(reason, Origin(tenant, run_id, step, Field.ANSWER))
    rows = yield Query(query("reject"), {"id": run_id, "step": step, "reason": reason, "sender": sender})
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
    if payload is not None and (keys := (yield from ring())) is not None:
        tenant, ordinal = yield from place_of(work_id, step)
        if keys.key_for(tenant) is not None and ordinal is not None:
            if step is not None and "${{" in payload:
                raise InvalidInput(
                    "an encrypted payload of a step cannot hold ${{",
                    hint="a payload is taken as it is, without expressions",
                )
            payload = keys.seal(payload, Origin(tenant, work_id, str(ordinal), Field.PAYLOAD))
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


def requeue(work_id: str, steps: Sequence[str]) -> Operation[str]:
    """Put dead letters of a run's steps, or that of an intent (no step), back to work; return the new state.

    Raises:
        NotFound: there is no such dead letter.
    """
    rows = yield Query(query("requeue"), {"id": work_id, "steps": list(steps)})
    return str(rows[0][0])
