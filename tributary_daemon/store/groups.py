"""Concurrency groups: who waits, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tributary_daemon.store.db import Connection
    from tributary_daemon.store.finishes import Token

_ENTER: Final = "select tributary.group_step(%s::smallint, %s, %s::uuid, %s, %s, %s, %s, %s)"
_LEAVE: Final = "select tributary.leave_ended(%s::smallint, %s::uuid[], %s::int[])"

WHOLE_RUN: Final = -1
"""The ordinal under which a run is a member, apart from its steps."""


class Standing(NamedTuple):
    """A member of a group that waits.

    ``holders`` are at most 20 of those with a slot, longest first: ``id``, ``step`` (None for a whole run),
    ``name``, ``since``. ``before`` counts who gets one earlier. An ``ousted`` one is about to be cancelled.
    """

    ordinal: int
    group: str
    slots: int | None
    ousted: bool
    before: int
    holders: list[dict[str, Any]]
    entered_at: datetime


def standing(work_id: str) -> Operation[list[Standing]]:
    """Read where a run and its steps stand in the groups that they wait for; by ordinal, the run first."""
    rows = yield Query(query("standing"), {"id": work_id})
    return [Standing(*row) for row in rows]


def enter(
    connection: Connection, shard: int, process_id: int, token: Token, group: tuple[str, int, str]
) -> str:
    """Ask for the slot of a claimed step; ``group`` is name, limit and what to do at the limit.

    Returns:
        ``held``, ``queued`` (the lease is gone), ``rejected`` or ``lost``.
    """
    row = connection.execute(_ENTER, (shard, process_id, *token, *group)).fetchone()
    return str(row[0]) if row is not None else "lost"


def leave(connection: Connection, shard: int, steps: Sequence[tuple[str, int]]) -> None:
    """Give back the slots of those steps (run id, ordinal) that have ended."""
    connection.execute(_LEAVE, (shard, [run_id for run_id, _ in steps], [ordinal for _, ordinal in steps]))
