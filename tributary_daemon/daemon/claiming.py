"""One shard's side of the database thread: exchange outcomes for leases, find what the watermarks hide."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.watermarks import Watermarks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tributary_daemon.store.db import Row
    from tributary_daemon.store.leases import ClaimRequest, Ended, Lane, Leases, Token

_DUTY: Final = 0.1
_LOOK_EVERY: Final = 0.1
_SURVEY_EVERY: Final = 0.1


class Claiming:
    """Claims for one process from one shard.

    Args:
        shard: its number.
        open_queues: queues without a bound of their own.
        bounded: queue -> slots of this process in it.
    """

    def __init__(self, shard: int, open_queues: Iterable[str], bounded: Iterable[str]) -> None:
        self.shard = shard
        self.more = True
        self._open = list(open_queues)
        self._bounded = list(bounded)
        self._marks = Watermarks([*self._open, *self._bounded])
        self._look_at = 0.0
        self._survey_at = 0.0
        self.deferred: float | None = None

    def exchange(
        self, leases: Leases, ended: Sequence[Ended], want: int, room: Mapping[str, int]
    ) -> tuple[list[Token], list[Row]]:
        """Write outcomes and claim up to ``want`` rows; bounded queues up to their ``room``.

        Sets ``more`` when another claim is likely to find work at once.
        """
        if want > 0 and time.monotonic() >= self._survey_at:
            self._survey(leases)
        requests = self._requests(want, room)
        refused, replies = leases.exchange(self.shard, ended, requests)
        rows: list[Row] = []
        short = False
        for request, reply in zip(requests, replies, strict=True):
            self._marks.took(reply)
            rows += reply
            short = short or len(reply) < request.most
        self.more = bool(requests) and not short
        return refused, rows

    def look(self, leases: Leases, want: int, room: Mapping[str, int]) -> list[Row]:
        """Look for lanes and rows that the watermarks hide, and claim them in at most a tenth of the time.

        When that share is used up, `deferred` says from when on it is to be asked again.
        """
        began = time.monotonic()
        self.deferred = self._look_at if began < self._look_at else None
        if self.deferred is not None or want <= 0:
            return []
        promoted, found = leases.promote_and_find(self.shard)
        self._survey_at = time.monotonic() + _SURVEY_EVERY
        self.more = self.more or promoted > 0
        known = dict(found)
        rows: list[Row] = []
        sweep = self._marks.sweep([item for item in found if room.get(item[0].queue, want) > 0], want)
        if sweep is not None:
            _, replies = leases.exchange(self.shard, [], self._within(sweep, room))
            for reply in replies:
                rows += reply
            self._pass_over(leases, sweep, rows)
        elif found:
            self._skip_foreign(leases, known)
        self._marks.forget(known)
        spent = time.monotonic() - began
        self._look_at = time.monotonic() + max(_LOOK_EVERY if not self.more else 0.0, spent / _DUTY - spent)
        return rows

    def hurry(self) -> None:
        """A wake-up came: known lanes are asked first; if they do not fill the claim, look for unknown ones.

        That look does not wait for its share of time. Where known lanes do fill it, the next survey finds a
        better priority within its 100 ms, as under load.
        """
        self._look_at = min(self._look_at, time.monotonic() + 0.002)

    def _survey(self, leases: Leases) -> None:
        """Learn of lanes that came up meanwhile: claims from known ones must not hide a better priority."""
        began = time.monotonic()
        self._marks.learn(leases.find_lanes(self.shard))
        spent = time.monotonic() - began
        self._survey_at = began + max(_SURVEY_EVERY, spent / _DUTY)

    def _requests(self, want: int, room: Mapping[str, int]) -> list[ClaimRequest]:
        requests = []
        if want > 0 and self._open:
            requests.append(self._marks.request(self._open, want))
        requests += [
            self._marks.request([queue], room[queue]) for queue in self._bounded if room.get(queue, 0) > 0
        ]
        return requests

    def _within(self, sweep: ClaimRequest, room: Mapping[str, int]) -> list[ClaimRequest]:
        """Split a sweep so that bounded queues stay within their room."""
        split: dict[str, list[int]] = {}
        for index, lane in enumerate(sweep.lanes):
            split.setdefault(lane.queue if lane.queue in room else "", []).append(index)
        return [
            type(sweep)(
                [sweep.lanes[i] for i in at], [sweep.lows[i] for i in at], room.get(queue, sweep.most)
            )
            for queue, at in split.items()
        ]

    def _pass_over(self, leases: Leases, sweep: ClaimRequest, rows: Sequence[Row]) -> None:
        """Windows that held nothing for this process (foreign names) are passed over next time."""
        gave = {(row[6], row[14], row[15]) for row in rows}
        for lane, low in zip(sweep.lanes, sweep.lows, strict=True):
            if (lane.queue, lane.priority, lane.tenant) not in gave:
                end = leases.window_end(self.shard, lane, low)
                self._marks.swept(lane, end)
                self.more = self.more or end is not None

    def _skip_foreign(self, leases: Leases, found: Mapping[Lane, int]) -> None:
        for lane in found:
            end = leases.window_end(self.shard, lane, self._marks.low(lane))
            if end is not None:
                self._marks.skip(lane, end)
                self.more = True
