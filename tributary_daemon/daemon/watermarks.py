"""Which lanes a process claims from, and from which seq on: so that no claim walks over what is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tributary_daemon.store.lanes import ClaimRequest, Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from tributary_daemon.store.db import Row

MOST_LANES: Final = 64
# rows of a claim that only has to tell large lanes from small ones
_TASTE: Final = 16
# so many of them in a row: beside a thousand large lanes a process would do little else
_TASTES: Final = 64


@dataclass(slots=True)
class _Mark:
    low: int = 0
    cursor: int = 0
    # where the next claim that comes to this lane is to begin, if that is not the watermark
    back: int | None = None
    # how many claims in a row have come to it and found nothing
    vain: int = 0
    # by claims of `among`
    served: int = 0
    among: str = ""
    # how many rows its last claim brought: the guess at what the next one will
    size: int | None = None


class Watermarks:
    """Per lane the seq below which everything is taken (``low``), as far as this process knows.

    Rows below it (a transaction that committed late) are found by `sweep` and `look_back`, from what
    `Leases.promote_and_survey` reports.
    A lane is (queue, priority, tenant); every queue's lane of priority 0 is always asked. Among equal
    priorities that lane comes first which would have been given least after its next claim, if that brings
    as much as its last: fair queueing by finish times. So tenants with much work, however many, delay one
    with little by no more than a claim; and a lane that had nothing for a while has no claim to what it did
    not use, but for one claim. A stream of ever new lanes comes before all others.

    Where the last claim was filled by a lane unknown so far, and others are unknown that hold something (a
    process has begun just now), the next ones take little, so that each is known soon.
    """

    def __init__(self, queues: Iterable[str]) -> None:
        self._base = [Lane(queue, 0, "") for queue in queues]
        self._marks: dict[Lane, _Mark] = {lane: _Mark() for lane in self._base}
        self._turn = 0
        self._ready: frozenset[Lane] = frozenset()
        # by kind of claim and priority: no lane that waits has been given less
        self._level: dict[tuple[str, int], int] = {}
        # the last claim was filled by one lane, from which nothing had been claimed before
        self._filled = False
        self._tastes = 0

    def lanes(self, queues: Iterable[str]) -> list[Lane]:
        """Return the known lanes of these queues."""
        wanted = frozenset(queues)
        return [lane for lane in self._marks if lane.queue in wanted]

    def request(
        self, lanes: Iterable[Lane], most: int, *, follows_up: bool = False, in_all: int = 0, among: str = ""
    ) -> ClaimRequest:
        """Return a claim over lanes that `lanes` has named, best priority first."""
        lanes = self._ordered(lanes, most, among)
        if follows_up and self._filled and self._unknown(lanes) > 1:
            self._tastes += 1
            if self._tastes <= _TASTES:
                most = min(most, _TASTE)
        elif follows_up:
            self._tastes = 0
        return ClaimRequest(lanes, [self._begin(lane) for lane in lanes], most, follows_up, in_all, among)

    def known(self, matters: Callable[[Lane], bool]) -> tuple[list[Lane], list[int | None]]:
        """Return all known lanes, for a survey, and the watermarks of those that it is to look into.

        Args:
            matters: whether that is so of a lane. Where a claim cannot ask all that are known it is of each.
        """
        many = len(self._marks) > MOST_LANES
        return list(self._marks), [
            mark.low if many or matters(lane) else None for lane, mark in self._marks.items()
        ]

    def took(
        self,
        request: ClaimRequest,
        rows: Sequence[Row],
        *,
        short: bool,
        opened: Callable[[Lane], bool] = lambda _: True,
    ) -> None:
        """Move the watermarks up to the lowest seq that a claim brought per lane.

        What became ready by the exchange itself says nothing of what waits: others may have been before it.

        Args:
            request: what was asked for.
            rows: what came.
            short: there was room for more, so each of its lanes was come to.
            opened: whether a lane might give anything, as far as is known; no pause or limit forbids it.
        """
        lowest: dict[tuple[str, int, str], int] = {}
        counts: dict[tuple[str, int, str], int] = {}
        for row in rows:
            place = (row[6], row[14], row[15])
            seq = row[2]
            counts[place] = counts.get(place, 0) + 1
            if not row[19] and seq < lowest.get(place, seq + 1):
                lowest[place] = seq
        reached = self._reached(request.lanes, rows, lowest, short=short)
        for lane in reached:
            # of what came up only now a claim may have missed it, too
            vain = lane in self._ready and lane not in lowest and opened(lane)
            self._marks[lane].vain = self._marks[lane].vain + 1 if vain else 0
        largest: dict[int, int] = {}
        for lane in request.lanes:
            if lane in counts or lane in self._ready:
                size = min(self._marks[lane].size or 0, request.most)
                largest[lane.priority] = max(size, largest.get(lane.priority, 0))
        levels: dict[int, int] = {}
        if request.follows_up:
            self._filled = len(counts) == 1
        among = request.among
        for place, count in counts.items():
            lane = Lane(*place)
            mark = self._marks.setdefault(lane, _Mark())
            self._filled = self._filled and mark.size is None
            mark.low = max(mark.low, lowest.get(place, mark.low))
            levels[lane.priority] = max(self._finish(lane, request.most, among), levels.get(lane.priority, 0))
            mark.served, mark.among = self._given(lane, among) + count, among
            mark.size = count
        for priority, finish in levels.items():
            # who waits comes after who was served, and is behind by no more than what one claim brings;
            # but what was handed on came in no order of turns
            waiting = [lane for lane in request.lanes[len(reached) :] if lane in self._ready]
            starts = [self._given(lane, among) for lane in waiting if lane.priority == priority]
            level = min([finish - largest.get(priority, 0), *starts])
            self._level[among, priority] = max(self._level.get((among, priority), 0), level)

    def learn(self, found: Iterable[tuple[Lane, int]], *, all_of: bool = True) -> None:
        """Take note of which lanes hold rows, and of those unknown so far with their lowest seq.

        Args:
            found: lanes with available rows and their lowest seq, from a survey.
            all_of: no other lane holds any; or else that is not known of others (`known`).
        """
        found = list(found)
        ready = frozenset(lane for lane, _ in found)
        self._ready = ready if all_of else self._ready | ready
        for lane, first in found:
            if lane not in self._marks:
                self._marks[lane] = _Mark(low=first)

    def look_back(self, found: Iterable[tuple[Lane, int]]) -> None:
        """Let the next claim that comes to a lane begin at its lowest seq, where that is below the watermark.

        Args:
            found: lanes with available rows and their lowest seq, from a survey of all.
        """
        for lane, first in found:
            mark = self._marks.get(lane)
            if mark is not None and first < mark.low:
                mark.back = max(first, mark.cursor)

    def sweep(self, found: Sequence[tuple[Lane, int]], most: int) -> ClaimRequest | None:
        """Return a claim for what lies below the watermarks or in lanes unknown so far; None if nothing does.

        Args:
            found: lanes with available rows and their lowest seq, from `Leases.promote_and_survey`.
            most: rows to claim.
        """
        behind: dict[Lane, int] = {}
        self._ready = frozenset(lane for lane, _ in found)
        for lane, first in found:
            mark = self._marks.get(lane)
            if mark is None:
                self._marks[lane] = _Mark(low=first)
                behind[lane] = first
            elif first < mark.low:
                behind[lane] = max(first, mark.cursor)
        if not behind:
            return None
        lanes = self._ordered(behind, most, "")
        return ClaimRequest(lanes, [behind[lane] for lane in lanes], most)

    def swept(self, lane: Lane, end: int | None) -> None:
        """A window below the watermark held nothing for this process; the next one starts at ``end``."""
        self._marks[lane].cursor = end or 0

    def skip(self, lane: Lane, end: int) -> None:
        """The window from the watermark on held nothing for this process; go on behind it."""
        if mark := self._marks.get(lane):
            mark.low = max(mark.low, end)

    def low(self, lane: Lane) -> int:
        """Return the watermark of a lane."""
        mark = self._marks.get(lane)
        return mark.low if mark else 0

    def forget(self, found: Mapping[Lane, int]) -> None:
        """Drop lanes that hold nothing, so that hundreds of priorities once used do not stay for ever."""
        if len(self._marks) > MOST_LANES:
            keep = {*self._base, *found}
            self._marks = {lane: mark for lane, mark in self._marks.items() if lane in keep}

    def vain(self, lane: Lane) -> int:
        """Return how many claims in a row have come to a lane and found nothing."""
        mark = self._marks.get(lane)
        return mark.vain if mark else 0

    def in_vain(self, claims: int) -> list[Lane]:
        """Return lanes that seem to hold rows, of which more claims in a row than these got none."""
        return [lane for lane in self._ready if self.vain(lane) > claims]

    def _begin(self, lane: Lane) -> int:
        mark = self._marks[lane]
        return mark.low if mark.back is None else min(mark.low, mark.back)

    def _reached(
        self,
        lanes: Sequence[Lane],
        rows: Sequence[Row],
        gave: Collection[tuple[str, int, str]],
        *,
        short: bool,
    ) -> Sequence[Lane]:
        """Return which lanes a claim has come to, and has so looked back in.

        All if it was short, else those up to the last that gave rows.
        """
        last = max((index for index, lane in enumerate(lanes) if lane in gave), default=-1)
        reached = lanes if short else lanes[: last + 1]
        for index, lane in enumerate(reached):
            mark = self._marks[lane]
            if mark.back is not None:
                mark.back = self._rest(lane, rows) if index == last and not short else None
        return reached

    def _rest(self, lane: Lane, rows: Sequence[Row]) -> int | None:
        """Return where more may lie below the watermark than was asked for; None if a claim came so far."""
        highest = max(row[2] for row in rows if not row[19] and (row[6], row[14], row[15]) == lane)
        return highest + 1 if highest < self._marks[lane].low else None

    def _given(self, lane: Lane, among: str) -> int:
        """How much a lane has been given; one that had nothing for a while counts from where others are."""
        mark = self._marks.get(lane)
        served = mark.served if mark and mark.among == among else 0
        return max(served, self._level.get((among, lane.priority), 0))

    def _finish(self, lane: Lane, most: int, among: str) -> int:
        """How much a lane will have been given after its next claim, if that brings as much as its last."""
        mark = self._marks.get(lane)
        return self._given(lane, among) + min((mark.size if mark else None) or 0, most)

    def _unknown(self, lanes: Sequence[Lane]) -> int:
        """How many lanes of the best priority with work nothing has been claimed from yet."""
        ready = [lane for lane in lanes if lane in self._ready]
        return sum(lane.priority == ready[0].priority and self._marks[lane].size is None for lane in ready)

    def _ordered(self, lanes: Iterable[Lane], most: int, among: str) -> list[Lane]:
        # equals take turns: no queue and no tenant comes first for ever
        self._turn += 1
        grouped: dict[int, list[Lane]] = {}
        for lane in lanes:
            grouped.setdefault(lane.priority, []).append(lane)
        ordered: list[Lane] = []
        for priority in sorted(grouped, reverse=True):
            group = grouped[priority]
            start = self._turn % len(group)
            group = group[start:] + group[:start]
            if len(group) > MOST_LANES:
                # not all are asked: those that held nothing a moment ago come last
                group.sort(key=lambda lane: (lane not in self._ready, self._finish(lane, most, among)))
            elif len(group) > 1:
                group.sort(key=lambda lane: self._finish(lane, most, among))
            ordered += group
        return ordered[:MOST_LANES]
