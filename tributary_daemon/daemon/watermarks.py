"""Which lanes a process claims from, and from which seq on: so that no claim walks over what is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tributary_daemon.store.leases import ClaimRequest, Lane

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tributary_daemon.store.db import Row

MOST_LANES: Final = 64


@dataclass(slots=True)
class _Mark:
    low: int = 0
    cursor: int = 0


class Watermarks:
    """Per lane the seq below which everything is taken (``low``), as far as this process knows.

    Rows below it (a transaction that committed late) are found by `sweep`, from what `Leases.survey` reports.
    A lane is (queue, priority, tenant); every queue's lane of priority 0 is always asked.
    """

    def __init__(self, queues: Iterable[str]) -> None:
        self._base = [Lane(queue, 0, "") for queue in queues]
        self._marks: dict[Lane, _Mark] = {lane: _Mark() for lane in self._base}
        self._turn = 0

    def request(self, queues: Iterable[str], most: int) -> ClaimRequest:
        """Return a claim over the lanes of these queues, best priority first."""
        wanted = frozenset(queues)
        lanes = self._ordered(lane for lane in self._marks if lane.queue in wanted)
        return ClaimRequest(lanes, [self._marks[lane].low for lane in lanes], most)

    def took(self, rows: Sequence[Row]) -> None:
        """Move the watermarks up to the lowest seq that a claim brought per lane."""
        lowest: dict[Lane, int] = {}
        for row in rows:
            lane = Lane(row[6], row[14], row[15])
            seq = row[2]
            if seq < lowest.get(lane, seq + 1):
                lowest[lane] = seq
        for lane, seq in lowest.items():
            mark = self._marks.setdefault(lane, _Mark())
            mark.low = max(mark.low, seq)

    def learn(self, found: Iterable[tuple[Lane, int]]) -> None:
        """Take note of lanes unknown so far, with their lowest seq."""
        for lane, first in found:
            if lane not in self._marks:
                self._marks[lane] = _Mark(low=first)

    def sweep(self, found: Sequence[tuple[Lane, int]], most: int) -> ClaimRequest | None:
        """Return a claim for what lies below the watermarks or in lanes unknown so far; None if nothing does.

        Args:
            found: lanes with available rows and their lowest seq, from `Leases.survey`.
            most: rows to claim.
        """
        behind: dict[Lane, int] = {}
        for lane, first in found:
            mark = self._marks.get(lane)
            if mark is None:
                self._marks[lane] = _Mark(low=first)
                behind[lane] = first
            elif first < mark.low:
                behind[lane] = max(first, mark.cursor)
        if not behind:
            return None
        lanes = self._ordered(behind)
        return ClaimRequest(lanes, [behind[lane] for lane in lanes], most)

    def swept(self, lane: Lane, end: int | None) -> None:
        """A window below the watermark held nothing for this process; the next one starts at ``end``."""
        self._marks[lane].cursor = end or 0

    def skip(self, lane: Lane, end: int) -> None:
        """The window from the watermark on held nothing for this process; go on behind it."""
        self._marks[lane].low = max(self._marks[lane].low, end)

    def low(self, lane: Lane) -> int:
        """Return the watermark of a lane."""
        mark = self._marks.get(lane)
        return mark.low if mark else 0

    def forget(self, found: Mapping[Lane, int]) -> None:
        """Drop lanes that hold nothing, so that hundreds of priorities once used do not stay for ever."""
        if len(self._marks) > MOST_LANES:
            keep = {*self._base, *found}
            self._marks = {lane: mark for lane, mark in self._marks.items() if lane in keep}

    def _ordered(self, lanes: Iterable[Lane]) -> list[Lane]:
        # equal priorities take turns: no queue and no tenant comes first for ever
        self._turn += 1
        grouped: dict[int, list[Lane]] = {}
        for lane in lanes:
            grouped.setdefault(lane.priority, []).append(lane)
        ordered: list[Lane] = []
        for priority in sorted(grouped, reverse=True):
            group = grouped[priority]
            start = self._turn % len(group)
            ordered += group[start:] + group[:start]
        return ordered[:MOST_LANES]
