"""Workers and processes in the database: join, beat, rescue, leave. One statement each."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.store import fleet
from tributary_daemon.store.db import query, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tributary_daemon.store.db import Connection

PROTOCOL: Final = 1
"""The protocol that this code speaks; a schema whose min_protocol is higher refuses it."""

SAMPLED: Final = 100_000
"""How many ready rows a sample of all queues counts."""

_AT_ONCE: Final = 1_000
_SWEPT_AT_ONCE: Final = 500
_RESCUED_AT_ONCE: Final = 500
_MOST_RESCUES: Final = 20


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the one statement of an idle supervisor brings back.

    Attributes:
        alive: False when the worker's row is gone: it was fenced.
        beaten: how many processes were beaten.
        ready: served queues that hold available rows.
        due_in: seconds until the next scheduled row is due; None without one.
        paused: served queues that are paused.
        command: what an operator wants of the worker: pause, drain, stop; None for nothing.
        now: the database's time.
        shards: that the worker serves; None: it was not asked.
    """

    alive: bool
    beaten: int
    ready: frozenset[str]
    due_in: float | None
    paused: frozenset[str]
    command: str | None
    now: datetime
    shards: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Vitals:
    """What one process says of itself in a beat; None: nothing new.

    Attributes:
        process_id: of its row.
        slots: how many attempts it may run at once.
        rss: resident memory in bytes.
        current: at most 20 of what it runs, as the column ``processes.current`` holds them.
    """

    process_id: int
    slots: int | None = None
    rss: int | None = None
    current: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Chores:
    """What the leader finds to do.

    Attributes:
        dead: a process that does not beat any more holds attempts.
        due: a scheduled row is due and nobody has promoted it yet.
        waiting: work waits for a name that is offered by now.
        abandoned: rows of workers long silent, or what a dead `trib run` has left.
        schedule_in: seconds until the next slot of a schedule is due; None: there is none.
        queued: slots of schedules wait for earlier work.
        deadline_in: seconds until the first run is past its timeout; None: no run has one.
    """

    dead: bool
    due: bool
    waiting: bool
    abandoned: bool
    schedule_in: float | None = None
    queued: bool = False
    deadline_in: float | None = None


def register_worker(
    connection: Connection, *, name: str, host: str, pid: int, version: str, queues: Sequence[str],
    names: Sequence[str], concurrency: int, failures: Sequence[Mapping[str, Any]],
    patterns: Sequence[str] = (), shards: Sequence[int] | None = None, spreads: bool = False,
) -> int:  # fmt: skip
    """Add the row of a supervisor and return its id.

    ``patterns``: of the names that it was told to claim. ``shards``: that it was told to serve, None for all.
    ``spreads``: it shares them with others that serve the same.
    """
    row = connection.execute(
        "select tributary.register_worker(%s, %s, %s, %s, %s, %s::text[], %s::text[], %s, %s::jsonb)",
        (
            name,
            host,
            pid,
            version,
            PROTOCOL,
            list(queues),
            list(names),
            concurrency,
            json.dumps(list(failures)),
        ),
    ).fetchone()
    assert row is not None
    if patterns or shards is not None or spreads:
        connection.execute(
            "update tributary.workers set patterns = %s::text[], shards = %s::smallint[], spreads = %s"
            " where worker_id = %s",
            (list(patterns), None if shards is None else list(shards), spreads, row[0]),
        )
    return int(row[0])


def register_process(connection: Connection, *, name: str, pid: int, worker_id: int | None) -> int:
    """Add the row of a process and return its boot-unique id."""
    row = connection.execute(
        "select tributary.register_process(%s, 'python', '{}', %s, %s)", (name, pid, worker_id)
    ).fetchone()
    assert row is not None
    return int(row[0])


def register_handlers(connection: Connection, handlers: Sequence[Mapping[str, Any]]) -> list[str]:
    """Publish handlers; return the names that nobody had offered before."""
    row = connection.execute(
        "select tributary.register_handlers('python', %s::jsonb)", (json.dumps(list(handlers)),)
    ).fetchone()
    assert row is not None
    return list(row[0])


def release_waiting(connection: Connection, shards: int, *, within: float = math.inf) -> int:
    """Release work whose name is offered by now, in batches, for some seconds; return how many rows moved.

    Each shard gets a batch at least: after a call that was not given the time it takes, one that moves
    nothing has found all.
    """
    moved, until = 0, time.monotonic() + within
    for shard in range(shards):
        batch = -1
        while batch and (batch < 0 or time.monotonic() < until):
            row = connection.execute(
                "select tributary.release_waiting(%s::smallint, 1000)", (shard,)
            ).fetchone()
            assert row is not None
            batch = row[0]
            moved += batch
            if batch:
                # the limit of their runs may have kept others back for steps that nobody could run
                connection.execute("select tributary.fill_waiting(%s::smallint, 1000)", (shard,))
    return moved


def release_unread(connection: Connection, shards: int, within: float) -> int:
    """Make steps available at once that a missing key has put off by so many seconds; return how many."""
    moved = 0
    for shard in range(shards):
        found = _AT_ONCE
        while found == _AT_ONCE:
            row = connection.execute(
                "select tributary.release_unread(%s::smallint, %s, %s)", (shard, within, _AT_ONCE)
            ).fetchone()
            assert row is not None
            found = row[0]
            moved += found
    return moved


def beat_worker(
    connection: Connection, worker_id: int, processes: Sequence[Vitals], queues: Sequence[str], *,
    wants_wake: bool, state: str, wanted: int, shares: bool = False,
) -> Pulse:  # fmt: skip
    """Beat for the worker and its processes, keep what these say of themselves, and look for work.

    With ``shares`` it also brings which shards the worker serves now.
    """
    row = connection.execute(
        "select alive, beaten, ready, due_in, paused, command, now,"
        " case when alive and %s then tributary.served_shards(%s) end from tributary.beat_worker("
        "%s, %s, %s, %s, %s::text[], %s::bigint[], %s::integer[], %s::bigint[], %s::text[]::jsonb[])",
        (
            shares,
            worker_id,
            worker_id,
            state,
            wanted,
            wants_wake,
            list(queues),
            [process.process_id for process in processes],
            [process.slots for process in processes],
            [process.rss for process in processes],
            [_json_or_none(process.current) for process in processes],
        ),
    ).fetchone()
    assert row is not None
    shards = None if row[7] is None else tuple(row[7])
    return Pulse(row[0], row[1], frozenset(row[2]), row[3], frozenset(row[4]), row[5], row[6], shards)


def server_time(connection: Connection) -> datetime:
    """Return the database's time."""
    return run(connection, fleet.clock()).now


def count_waiting(connection: Connection, queues: Sequence[str]) -> int:
    """Return how many workers of these queues wait for notifications."""
    row = connection.execute(
        "select count(*) from tributary.workers"
        " where wants_wake and queues && %s::text[] and beat_at > tributary.clock() - interval '10 seconds'",
        (list(queues),),
    ).fetchone()
    return int(row[0]) if row else 0


def inherit_command(connection: Connection, worker_id: int, former: int, known: str | None) -> None:
    """Take over what an operator wanted of a worker that registers anew; ``known`` if its row is gone."""
    connection.execute("select tributary.inherit_command(%s, %s, %s)", (worker_id, former, known))


def _json_or_none(value: Sequence[Mapping[str, Any]] | None) -> str | None:
    return None if value is None else json.dumps(list(value))


def rescue(connection: Connection, shards: int, lease: float, expected: datetime | None = None) -> int:
    """Take the attempts of dead processes away from them, in batches; return how many.

    Args:
        connection: in autocommit mode.
        shards: number of shards.
        lease: seconds that a lease outlives the last beat.
        expected: what the database's time should be now; a clock that has jumped makes nobody look dead.
    """
    rescued = 0
    for shard in range(shards):
        for _ in range(_MOST_RESCUES):
            row = connection.execute(
                "select tributary.rescue_dead(%s::smallint, make_interval(secs => %s), %s, %s::timestamptz)",
                (shard, lease, _RESCUED_AT_ONCE, expected),
            ).fetchone()
            found = int(row[0]) if row else 0
            rescued += found
            if found < _RESCUED_AT_ONCE:
                break
    return rescued


def promote(connection: Connection, shards: int) -> int:
    """End due waits, make due rows available, settle concurrency groups; return how many that were in all."""
    return sum(
        connection.execute(f"select tributary.{name}(%s::smallint, 500)", (shard,)).fetchall()[0][0]
        for shard in range(shards)
        for name in ("fire_waits", "promote", "promote_groups")
    )


def sweep_groups(connection: Connection, after: Sequence[str] | None) -> list[str] | None:
    """Free the slots of members that have ended without leaving; return where to go on, None at the end."""
    row = connection.execute(
        "select tributary.sweep_groups(%s, %s::text[])",
        (_SWEPT_AT_ONCE, None if after is None else list(after)),
    ).fetchone()
    return row[0] if row else None


def attend(
    connection: Connection, worker_id: int, seconds: float, *, lease: float, expected: datetime | None,
    silent: float | None,
) -> Chores | None:  # fmt: skip
    """Take or renew the lease of the maintenance; return what there is to do, None if another worker leads.

    Args:
        connection: in autocommit mode.
        worker_id: who asks.
        seconds: that it leads for.
        lease: see `rescue`.
        expected: see `rescue`.
        silent: see `tidy`; None to be told of the dead alone.
    """
    row = connection.execute(
        "select leads, dead, due, waiting, abandoned, schedule_in, queued, deadline_in"
        " from tributary.attend_work("
        "%s, %s, make_interval(secs => %s), %s::timestamptz, make_interval(secs => %s))",
        (worker_id, seconds, lease, expected, silent),
    ).fetchone()
    return Chores(*row[1:]) if row is not None and row[0] else None


def sample_queues(connection: Connection) -> int:
    """Keep the depth of all queues as it is now; return how many there are."""
    row = connection.execute("select tributary.sample_queues(%s)", (SAMPLED,)).fetchone()
    return int(row[0]) if row else 0


def prune_cache(connection: Connection) -> int:
    """Remove what has expired from the step cache, 500 of a shard at a time; return how many."""
    row = connection.execute(query("prune_cache")).fetchone()
    return int(row[0]) if row else 0


def tidy(connection: Connection, shards: int, silent: float) -> int:
    """Forget workers long silent, end runs of dead runners and those past their timeout; return how many."""
    row = connection.execute("select tributary.tidy_fleet(make_interval(secs => %s))", (silent,)).fetchone()
    # in a transaction of its own: both lock runs, each in its own order
    return (int(row[0]) if row else 0) + expire_runs(connection, shards)


def expire_runs(connection: Connection, shards: int) -> int:
    """Fail runs that are past their timeout, 100 of a shard at a time; return how many."""
    return sum(
        connection.execute("select tributary.expire_runs(%s::smallint, 100)", (shard,)).fetchall()[0][0]
        for shard in range(shards)
    )


def leave(connection: Connection, worker_id: int | None, process_ids: Sequence[int]) -> None:
    """Remove the rows of a worker (None: only of processes)."""
    connection.execute("select tributary.leave(%s, %s::bigint[])", (worker_id, list(process_ids)))


def shard_count(connection: Connection) -> int:
    """Return into how many shards the database is split."""
    row = connection.execute("select tributary.shard_count()").fetchone()
    return int(row[0]) if row else 1
