"""Concurrency groups: who waits, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from datetime import datetime

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
