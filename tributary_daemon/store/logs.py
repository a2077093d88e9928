"""What attempts said: chunks written by workers, pages of them read by clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.store.arrays import numbers, plain
from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from tributary_daemon.store.db import Connection, Row

_WRITE: Final = """
    select tributary.write_logs(%s::smallint, %s::uuid[], %s::int[], %s::bigint[], %s::smallint[], %s::int[],
                                %s::bigint[], %s::bigint[], %s::int[], %s::int[], %s::text[], %s::int[],
                                %s::int[])
"""


class ChunkToWrite(NamedTuple):
    """One chunk as a row; ``drop_from`` to ``drop_to`` are the parts whose place it takes, None for none."""

    run_id: str
    ordinal: int
    seq: int
    attempt: int
    part: int
    lines_before: int
    bytes_before: int
    lines: int
    bytes: int
    entries: str
    drop_from: int | None
    drop_to: int | None


class ChunkRow(NamedTuple):
    """One stored chunk; ``step_id`` is None for an intent, ``item_key`` but for an item of a fan-out."""

    at: datetime
    ordinal: int
    seq: int
    part: int
    attempt: int
    lines_before: int
    bytes_before: int
    lines: int
    bytes: int
    entries: list[list[Any]]
    step_id: str | None
    item_key: str | None


class Wanted(NamedTuple):
    """Whose chunks to read.

    Attributes:
        work_id: of the run or intent.
        step_id: of one step of it; None for all.
        item_key: of one item of that step; None for all.
        attempt: number of one attempt; None for all.
        since: seconds before now; None for all.
    """

    work_id: UUID | str
    step_id: str | None = None
    item_key: str | None = None
    attempt: int | None = None
    since: float | None = None


class Place(NamedTuple):
    """A chunk in the order of their writing."""

    at: datetime
    ordinal: int
    seq: int
    part: int


def write(connection: Connection, shard: int, chunks: Sequence[ChunkToWrite]) -> None:
    """Store chunks in one statement; those that are there already stay as they are."""
    columns = list(zip(*chunks, strict=True))
    gone = {
        (*chunk[:3], part)
        for chunk in chunks
        if chunk.drop_from is not None and chunk.drop_to is not None
        for part in range(chunk.drop_from, chunk.drop_to + 1)
    }
    # what waited for long may have been replaced by what waited with it; its own drop still counts
    kept = [
        None if (*chunk[:3], chunk.part) in gone else text
        for chunk, text in zip(chunks, columns[9], strict=True)
    ]
    connection.execute(
        _WRITE,
        (
            shard, plain(columns[0]), *map(numbers, columns[1:9]), kept, list(columns[10]), list(columns[11]),
        ),
    )  # fmt: skip


def behind(wanted: Wanted, place: Place | None, limit: int) -> Operation[list[ChunkRow]]:
    """Read a page of chunks in the order of their writing: those behind a place, or the first ones."""
    rows = yield Query(query("logs"), _parameters(wanted, place, limit))
    return [_chunk(row) for row in rows]


def before(wanted: Wanted, place: Place | None, limit: int) -> Operation[list[ChunkRow]]:
    """Read a page of chunks in the opposite order: those before a place, or the newest ones."""
    rows = yield Query(query("logs_before"), _parameters(wanted, place, limit))
    return [_chunk(row) for row in rows]


def _chunk(row: Row) -> ChunkRow:
    found = ChunkRow(*row)
    told: Any = found.entries
    # of what is encrypted it is seen that something was said
    return found._replace(entries=[[0, "log", str(told), None, None]]) if isinstance(told, str) else found


def steps(wanted: Wanted) -> Operation[dict[str | None, bool | None]]:
    """Read the ids of 200 steps of a run, the wanted one among them, and whether each has the wanted item.

    None is the id of an intent, and said of a step without items, or none yet; empty when there is neither.
    """
    rows = yield Query(
        query("log_steps"), {"id": wanted.work_id, "step": wanted.step_id, "item": wanted.item_key}
    )
    return {row[0]: row[1] for row in rows}


def _parameters(wanted: Wanted, place: Place | None, limit: int) -> dict[str, Any]:
    at, ordinal, seq, part = place or (None, None, None, None)
    return {
        "id": wanted.work_id,
        "step": wanted.step_id,
        "item": wanted.item_key,
        "attempt": wanted.attempt,
        "since": wanted.since,
        "at": at,
        "ordinal": ordinal,
        "seq": seq,
        "part": part,
        "limit": limit,
    }
