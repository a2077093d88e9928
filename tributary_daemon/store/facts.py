"""What tells why a step is where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from datetime import datetime


class StepFacts(NamedTuple):
    """One step or intent with what surrounds it.

    ``servers`` are the names of running workers that serve its queue, ``resting`` those of paused ones;
    ``paused`` is about its queue;
    ``offered``, ``enabled`` and ``runtime`` are about its handler's name; ``lone_crashes`` as in the table.
    ``concurrency`` and ``rate`` are the limits of its queue; ``opens_in`` seconds until these let an attempt
    start, 0 for now, None while as many run as may. ``claimed``: one of ``servers`` has its handler.
    ``wait``: what it waits for: ``{for, signal, payload, prompt, form, since, until, on_timeout}``.
    """

    ordinal: int
    step_id: str | None
    kind: str
    name: str
    state: str
    reason: str | None
    queue: str
    attempt: int
    max_attempts: int
    run_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    error: dict[str, Any] | None
    worker: str | None
    pid: int | None
    paused: bool
    paused_at: datetime | None
    offered: bool
    enabled: bool
    runtime: str
    servers: list[str]
    resting: list[str]
    any_worker: bool
    lone_crashes: int | None
    flags: int
    item_key: str | None
    now: datetime
    concurrency: int | None = None
    rate: str | None = None
    opens_in: float | None = 0.0
    claimed: bool = True
    wait: dict[str, Any] | None = None


def facts(work_id: str, step: str | None, key: str | None = None) -> Operation[list[StepFacts]]:
    """Read the facts of one step, or of the item ``key`` of it.

    Without a step those of the intent, or of the first 200 steps that have not completed.
    """
    rows = yield Query(query("why"), {"id": work_id, "step": step, "key": key})
    return [StepFacts(*row) for row in rows]
