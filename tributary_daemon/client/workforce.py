"""Workers and their processes, put together from the rows of the store; what they are told."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.client.fleet_records import (
    CurrentDocument,
    FleetDocument,
    ProcessDocument,
    WorkerDocument,
)
from tributary_daemon.errors import InvalidInput
from tributary_daemon.store import fleet

if TYPE_CHECKING:
    from tributary_daemon.store.db import Operation

COMMANDS: Final = ("pause", "resume", "drain", "stop")


def workers() -> Operation[tuple[WorkerDocument, ...]]:
    """Read the workers that have not left, oldest first."""
    rows = yield from fleet.workers()
    found = []
    for _, group in groupby(rows, key=lambda row: row.worker_id):
        mine = list(group)
        found.append(_worker(mine[0], tuple(_process(row) for row in mine if row.process_id is not None)))
    return tuple(found)


def command(name: str, word: str) -> Operation[tuple[str, ...]]:
    """Tell workers to pause, resume, drain or stop; return the ids of those told.

    Raises:
        InvalidInput: no such command.
        NotFound: no live worker fits.
        NotPossible: those that fit are draining.
    """
    if word not in COMMANDS:
        raise InvalidInput(f"{word!r} is no command for a worker", hint=", ".join(COMMANDS))
    return (yield from fleet.command(name, word))


def facts() -> Operation[FleetDocument]:
    """Read what is true of all workers together."""
    row = yield from fleet.facts()
    return FleetDocument(
        leader=row.leader,
        unoffered=tuple(row.unoffered),
        unserved=tuple(row.unserved),
        oldest_queue=row.oldest_queue,
        oldest_age=row.oldest_age,
    )


def _worker(row: fleet.WorkerRow, processes: tuple[ProcessDocument, ...]) -> WorkerDocument:
    return WorkerDocument(
        id=str(row.worker_id),
        name=row.name,
        host=row.host,
        pid=row.pid,
        state=row.state if row.alive else "gone",
        alive=row.alive,
        command=row.command,
        commanded_at=row.commanded_at,
        version=row.version,
        protocol=row.protocol,
        queues=tuple(row.queues),
        names=tuple(row.names),
        patterns=tuple(row.patterns),
        shards=None if row.shards is None else tuple(row.shards),
        spreads=row.spreads,
        concurrency=row.concurrency,
        wanted=row.processes,
        started_at=row.started_at,
        beat_at=row.beat_at,
        beat_age=_age(row.beat_at, row.now),
        failures=tuple(row.failures),
        processes=processes,
    )


def _process(row: fleet.WorkerRow) -> ProcessDocument:
    # the left join brings them all or none
    started_at: Any = row.process_started_at
    beat_at: Any = row.process_beat_at
    return ProcessDocument(
        id=str(row.process_id),
        pid=row.process_pid,
        name=row.process_name or "",
        runtime=row.runtime or "",
        running=row.running,
        slots=row.slots,
        rss=row.rss,
        current=tuple(
            CurrentDocument(
                id=item["id"],
                ordinal=item["ordinal"],
                name=item["name"],
                since=datetime.fromisoformat(item["since"]),
            )
            for item in row.current
        ),
        started_at=started_at,
        beat_at=beat_at,
        beat_age=_age(beat_at, row.now),
    )


def _age(beat_at: datetime, now: datetime) -> float:
    return round(max(0.0, (now - beat_at).total_seconds()), 3)
