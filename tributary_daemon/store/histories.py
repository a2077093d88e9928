"""Histories of workflow functions: read for a replay, added to with what is finished."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tributary_daemon.model.history import FIRST, Ending, History
from tributary_daemon.sealing.envelope import Field
from tributary_daemon.store import places
from tributary_daemon.store.arrays import numbers, plain, quoted
from tributary_daemon.store.db import Query, query
from tributary_daemon.store.opener import Opener, Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tributary_daemon.errors import EncryptionError
    from tributary_daemon.model.outcome import Part
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Connection, Operation, Row
    from tributary_daemon.store.places import Rule

KEEP_HISTORY: Final = """
    select run_id::text, ordinal, seq
    from tributary.keep_history(%s::smallint, %s::uuid[], %s::int[], %s::bigint[], %s::int[], %s::text[],
                                %s::text[], %s::text[], %s::uuid[])
"""
_CLOCK: Final = "select tributary.clock()"
SAVE_HISTORY: Final = """
    select tributary.save_history(%s::smallint, %s::uuid, %s, %s, %s, %s, %s)
"""
_EVENTS: Final = """
    select h.run_id::text, h.number, h.events, r.next_ordinal
    from unnest(%s::uuid[]) as u(run_id)
    cross join lateral (
        select * from tributary.history k where k.shard = %s::smallint and k.run_id = u.run_id offset 0
    ) as h
    cross join lateral (
        select k.next_ordinal from tributary.runs k where k.shard = h.shard and k.run_id = h.run_id offset 0
    ) as r
    order by h.run_id, h.number
"""
_ENDINGS: Final = """
    select s.run_id::text, s.ordinal, s.state::text, s.finished_at, s.result, a.error, s.step_id
    from unnest(%s::uuid[]) as u(run_id)
    cross join lateral (
        select * from tributary.steps k
        where k.shard = %s::smallint and k.run_id = u.run_id and k.ordinal >= 3 offset 0
    ) as s
    left join lateral (
        select t.error from tributary.attempts t
        where s.state <> 'completed' and t.shard = s.shard and t.run_id = s.run_id and t.ordinal = s.ordinal
          and t.error is not null
        order by t.seq desc limit 1
    ) as a on true
    where s.state >= 'completed' and tributary.is_asked(s.flags)
"""


class Recordable(Protocol):
    """An outcome that may come with a part of a history."""

    @property
    def run_id(self) -> str: ...
    @property
    def ordinal(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def in_run(self) -> bool: ...
    @property
    def part(self) -> Part | None: ...


def history_params(shard: int, ended: Sequence[Recordable]) -> tuple[Any, ...] | None:
    """Return the parameters of `KEEP_HISTORY` for those outcomes that add to a history; None for none."""
    found = sorted(
        ((item.run_id, item.ordinal, item.seq, item.part) for item in ended if item.part is not None),
        key=lambda entry: entry[:3],
    )
    if not found:
        return None
    run_ids, ordinals, seqs, parts = zip(*found, strict=True)
    return (
        shard,
        plain(run_ids),
        numbers(ordinals),
        numbers(seqs),
        numbers(part.number for part in parts),
        quoted(part.events for part in parts),
        quoted(part.status for part in parts),
        quoted(json.dumps(part.left) if part.left else None for part in parts),
        # the finish of the same transaction locks these: at once, or two batches would wait for each other
        plain(dict.fromkeys(item.run_id for item in ended if item.in_run)),
    )


def load(
    connection: Connection, shard: int, run_ids: Sequence[str], keys: Ring | None = None
) -> tuple[dict[str, History | EncryptionError], datetime]:
    """Return the histories of these runs, with how the steps in them have ended, and the database's time.

    Of one that cannot be opened: why.
    """
    ids = list(run_ids)
    with connection.pipeline():
        events = connection.execute(_EVENTS, (ids, shard)) if ids else None
        endings = connection.execute(_ENDINGS, (ids, shard)) if ids else None
        clock = connection.execute(_CLOCK)
    at = clock.fetchall()[0][0].astimezone(UTC)
    if events is None or endings is None:
        return {}, at
    return _readable(connection, shard, ids, events.fetchall(), endings.fetchall(), Opener(keys)), at


def _readable(  # noqa: PLR0917 - what `load` has at hand
    connection: Connection, shard: int, ids: list[str], events: list[Row], endings: list[Row], opener: Opener
) -> dict[str, History | EncryptionError]:
    refused: dict[str, EncryptionError] = {}

    def open_(run: str, value: Any, rule: Rule) -> Any:
        found = opener.open(connection, shard, run, value, rule)
        if type(found) is Unreadable:
            refused[run] = found.error
        return found

    recorded = [
        (*row[:2], open_(row[0], row[2], places.of_run(row[0], Field.HISTORY, Field.UNDO)), row[3])
        for row in events
    ]
    ended = [
        (
            *row[:4],
            open_(row[0], row[4], places.result(row[0], row[6])),
            open_(row[0], row[5], places.error(row[0], str(row[1]))),
        )
        for row in endings
    ]
    whole = [run for run in ids if run not in refused]
    kept = set(whole)
    found = _histories(
        whole, [row for row in recorded if row[0] in kept], [row for row in ended if row[0] in kept]
    )
    return {**found, **refused}


class FunctionRun(NamedTuple):
    """A run as its workflow function sees it; ``status`` is what it says of itself."""

    name: str
    handler: str
    is_function: bool
    inputs: Any
    status: Any


def read(run_id: str) -> Operation[History]:
    """Read the history of one run; empty where there is none."""
    events = yield Query(query("history"), {"id": run_id})
    endings = yield Query(query("history_endings"), {"id": run_id})
    return _histories([run_id], events, endings)[run_id]


def function(run_id: str) -> Operation[FunctionRun | None]:
    """Read what a run is of; None for no run."""
    rows = yield Query(query("function_run"), {"id": run_id})
    return FunctionRun(*rows[0]) if rows else None


def _histories(run_ids: Sequence[str], events: Sequence[Row], endings: Sequence[Row]) -> dict[str, History]:
    recorded: dict[str, list[Any]] = {run_id: [] for run_id in run_ids}
    last = dict.fromkeys(run_ids, (0, FIRST))
    for run_id, number, part, made in events:
        recorded[run_id] += part
        last[run_id] = number, made
    ended: dict[str, dict[int, Ending]] = {run_id: {} for run_id in run_ids}
    for run_id, ordinal, state, at, result, error, *_ in endings:
        ended[run_id][ordinal] = Ending(state, at.astimezone(UTC).isoformat(), result, error)
    return {
        run_id: History(recorded[run_id], ended[run_id], last[run_id][0] + 1, last[run_id][1])
        for run_id in run_ids
    }


def save_params(shard: int, token: tuple[str, int, int], part: Part) -> tuple[Any, ...]:
    """Return the parameters of `SAVE_HISTORY`."""
    return (shard, *token, part.number, part.events, part.status)
