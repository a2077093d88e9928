"""Who works and what is offered: workers, handlers, queues."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from datetime import datetime


class WorkerRow(NamedTuple):
    """A worker beside one of its processes; what follows ``now`` is empty when it has none."""

    worker_id: int
    name: str
    host: str
    pid: int
    state: str
    alive: bool
    version: str
    protocol: int
    queues: list[str]
    names: list[str]
    concurrency: int
    started_at: datetime
    beat_at: datetime
    failures: list[Any]
    command: str | None
    commanded_at: datetime | None
    processes: int | None
    patterns: list[str]
    now: datetime
    process_id: int | None
    process_pid: int | None
    runtime: str | None
    process_name: str | None
    process_started_at: datetime | None
    process_beat_at: datetime | None
    running: int
    slots: int | None
    rss: int | None
    current: list[dict[str, Any]]
    shards: list[int] | None
    spreads: bool


class HandlerRow(NamedTuple):
    """A name of the registry; ``offered_at`` is None until a worker offered it once."""

    name: str
    runtime: str
    is_enabled: bool
    description: str | None
    options: dict[str, Any]
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    offered_at: datetime | None
    updated_at: datetime


class KnownRow(NamedTuple):
    """A handler that steps can call; ``served``: a live worker has it now."""

    name: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    served: bool


class QueueRow(NamedTuple):
    """A queue; ``available`` is counted up to 10,000 per shard.

    ``opens_in``: seconds until its rate allows the next attempt, None while it is full. From ``sampled_at``
    on the last sample of the leader, None without one; ``more`` names what is a lower bound.
    """

    name: str
    paused: bool
    paused_at: datetime | None
    running: int
    available: int
    workers: int
    concurrency: int | None
    rate: str | None
    opens_in: float | None
    sampled_at: datetime | None
    sample_age: float | None
    ready: int | None
    scheduled: int | None
    held: int | None
    waiting: int | None
    oldest_age: float | None
    ready_rate: float | None
    more: list[str] | None


class FleetRow(NamedTuple):
    """The fleet as a whole.

    ``leader`` holds the role maintenance now. Nobody ever offered ``unoffered``; what is ready under
    ``unserved`` no live worker claims. ``oldest_age``: seconds that a row of ``oldest_queue`` has been ready.
    """

    leader: str | None
    unoffered: list[str]
    unserved: list[str]
    oldest_queue: str | None
    oldest_age: float | None


class ClockRow(NamedTuple):
    """The database's time, its server's version, and the number of shards."""

    now: datetime
    server_version: str
    shards: int


def workers() -> Operation[list[WorkerRow]]:
    """Read all workers, one row for each of their processes (one row for a worker without any)."""
    rows = yield Query(query("workers"))
    return [WorkerRow(*row) for row in rows]


def command(name: str, word: str) -> Operation[tuple[str, ...]]:
    """Tell workers to pause, resume, drain or stop; return the ids of those told.

    Raises:
        InvalidInput: no such command.
        NotFound: no live worker has this name.
        NotPossible: those that have it are draining.
    """
    rows = yield Query(query("command_worker"), {"name": name, "command": word})
    return tuple(row[0] for row in rows)


def facts() -> Operation[FleetRow]:
    """Read what is true of the fleet as a whole."""
    rows = yield Query(query("fleet_facts"), {})
    return FleetRow(*rows[0])


def handlers() -> Operation[list[HandlerRow]]:
    """Read the registry by name."""
    rows = yield Query(query("handlers"))
    return [HandlerRow(*row) for row in rows]


def known() -> Operation[list[KnownRow]]:
    """Read the handlers that steps can call, by name."""
    rows = yield Query(query("known_handlers"))
    return [KnownRow(*row) for row in rows]


def queues() -> Operation[list[QueueRow]]:
    """Read the queues that were ever paused, hold ready or running work, or are served."""
    rows = yield Query(query("queues"), {})
    return [QueueRow(*row) for row in rows]


def pause(name: str) -> Operation[datetime]:
    """Stop claims from a queue; return since when it is paused."""
    rows = yield Query(query("pause_queue"), {"name": name})
    paused_at: datetime = rows[0][0]
    return paused_at


def resume(name: str) -> Operation[bool]:
    """Allow claims from a queue again; False when it was not paused."""
    rows = yield Query(query("resume_queue"), {"name": name})
    return bool(rows)


def limit(name: str, concurrency: int | None, rate: str | None) -> Operation[tuple[int | None, str | None]]:
    """Limit a queue over all workers; return its concurrency and its rate as they are then.

    Args:
        name: of the queue.
        concurrency: attempts at once; 0 for no limit, None to leave it as it is.
        rate: attempts that start, like ``100/s``; ``none`` for no limit, None to leave it as it is.

    Raises:
        InvalidInput: there is no such limit.
    """
    rows = yield Query(query("set_queue"), {"name": name, "concurrency": concurrency, "rate": rate})
    return rows[0][0], rows[0][1]


def clock() -> Operation[ClockRow]:
    """Read the database's clock."""
    rows = yield Query(query("clock"))
    return ClockRow(*rows[0])
