"""One shard's side of the database thread: exchange outcomes for leases, find what the watermarks hide."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.intake import claimed_of
from tributary_daemon.daemon.limits import Limits
from tributary_daemon.daemon.watermarks import MOST_LANES, Watermarks
from tributary_daemon.store.lanes import MOST_SURVEYED, limit_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.store.db import Row
    from tributary_daemon.store.finishes import Ended, Token
    from tributary_daemon.store.lanes import ClaimRequest, Lane, Survey
    from tributary_daemon.store.leases import Leases

# share of the time that looks may take, hurried or not: they pass by all that is dead in the index
_DUTY: Final = 0.05
# that of surveys, which pass by little of it, and wait for their turn at the processor more than they work
_SURVEYS_DUTY: Final = 0.2
_LOOK_EVERY: Final = 0.1
_SURVEY_EVERY: Final = 0.05
_SATURATED_EVERY: Final = 0.02
_PROMOTE_EVERY: Final = 0.5
_VAIN_LOOKS: Final = 10
_VAIN_CLAIMS: Final = 10
# no queue has such a name
_LIMITS: Final = "*"
_MOST_BORNE: Final = 1_000


class Claiming:
    """Claims for one process from one shard.

    Args:
        shard: its number.
        open_queues: queues without a bound of their own.
        bounded: queue -> slots of this process in it.
        alone: there is no other shard; otherwise it looks only where a scout for all has found work.

    Attributes:
        more: another claim is likely to find work at once.
        urgency: the best priority that the last scout has found, of queues that may be claimed from.
        freed: keys of limits under which attempts have ended, which others have to be told.
        vain: seconds spent since the last scout on claims and looks that brought nothing.
    """

    def __init__(
        self, shard: int, open_queues: Iterable[str], bounded: Iterable[str], *, alone: bool = True
    ) -> None:
        self.shard = shard
        self.more = alone
        self.urgency = 0
        self._alone = self._promising = alone
        self._open = list(open_queues)
        self._bounded = list(bounded)
        self._marks = Watermarks([*self._open, *self._bounded])
        self._limits = Limits()
        self._looks: dict[Lane, int] = {}
        self._saturated = False
        self._promoted_at = 0.0
        self.freed: set[str] = set()
        self._borne: set[str] = set()
        self.vain = 0.0
        self._look_at = 0.0
        self._hurried_at = 0.0
        self._survey_at = 0.0
        self.deferred: float | None = None

    def exchange(
        self,
        leases: Leases,
        ended: Sequence[Ended],
        want: int,
        room: Mapping[str, int],
        free: int,
        *,
        in_all: int = 0,
    ) -> tuple[list[Token], list[Row]]:
        """Write outcomes and claim up to ``want`` rows; bounded queues up to their ``room``.

        Under a limit no more is claimed than there are ``free`` slots for: it starts first.
        With what the outcomes release and this process goes on with, it may be ``in_all``.
        Sets ``more`` when another claim is likely to find work at once.
        """
        # with several shards a scout asks all of them, but not of tenants without number
        if max(want, in_all) > 0 and (self._alone or self._saturated) and time.monotonic() >= self._survey_at:
            self._survey(leases)
        limited = self._limited_requests(min(want, free), room)
        requests = [*limited, *self._requests(want, room, in_all if ended else 0)]
        began = time.monotonic()
        refused, replies = leases.exchange(self.shard, ended, requests, self.freed)
        if not (ended or any(replies)):
            self.vain += time.monotonic() - began
        self.freed.clear()
        rows: list[Row] = []
        shorts: list[ClaimRequest] = []
        for request, reply in zip(requests, replies, strict=True):
            short = len(reply) < max(request.most, request.in_all) and claimed_of(reply) < request.most
            # where a limit refuses, lanes are not come to
            come = short and request not in limited
            self._marks.took(request, reply, short=come, opened=self._limits.open)
            self._bear(reply)
            rows += reply
            if reply and request in limited:
                self._looks.clear()
            if short:
                shorts.append(request)
                self._limits.shut(request.lanes)
        if want > 0:
            # queues with bounds say nothing of what is under none
            judged = [request for request in requests if request.follows_up] or [
                request for request in requests if request not in limited
            ]
            self.more = self._saturated = bool(requests) and not any(
                request in shorts for request in judged or limited
            )
        return refused, rows

    def attempts_ended(self, leases: Iterable[Held]) -> None:
        """These attempts have ended; most share a queue and a tenant, whose limits are looked up once."""
        kinds = {(held.queue, held.tenant) for held in leases}
        self.ended(key for queue, tenant in kinds for key in limit_keys(queue, tenant))

    def ended(self, keys: Iterable[str]) -> None:
        """Attempts under these limits have ended."""
        keys = list(keys)
        # also what no survey names any more: here nothing of it is ready, elsewhere somebody may wait for it
        if held := {*self._limits.among(keys), *self._borne.intersection(keys)}:
            self._limits.freed(held)
            self.freed.update(held)

    def _bear(self, rows: Iterable[Row]) -> None:
        """Remember the limits under which something was claimed."""
        if self._limits:
            if len(self._borne) > _MOST_BORNE:
                self._borne.clear()
            self._borne.update(self._limits.among(key for row in rows for key in limit_keys(row[6], row[15])))

    def look(self, leases: Leases, want: int, room: Mapping[str, int], free: int) -> list[Row]:
        """Look for lanes and rows that the watermarks hide, and claim them, in a twentieth of the time.

        When that share is used up, `deferred` says from when on it is to be asked again; or when the rate of
        a limit allows the next attempt.
        """
        began = time.monotonic()
        self.deferred = self._look_at if began < self._look_at else None
        if self.deferred is not None or want <= 0 or not self._promising:
            return []
        self._promising = self._alone
        promoted, found = leases.promote_and_survey(self.shard)
        self._survey_at = time.monotonic() + _SURVEY_EVERY
        self._promoted_at = began
        self.more = self.more or promoted > 0
        self._note(found)
        lanes = [item for item in found.lanes if self._limits.open(item[0])]
        rows: list[Row] = []
        fitting = [
            item
            for item in lanes
            if room.get(item[0].queue, want) > 0 and (free > 0 or not self._limits.holds(item[0]))
        ]
        sweep = self._marks.sweep(fitting, want)
        if sweep is not None:
            _, replies = leases.exchange(self.shard, [], self._within(sweep, room, free))
            for reply in replies:
                self._bear(reply)
                rows += reply
            self._pass_over(leases, sweep, rows)
        else:
            self._skip_foreign(leases, [lane for lane, _ in lanes if self._vain(lane)])
        if len(found.lanes) < MOST_SURVEYED:
            self._marks.forget(dict(found.lanes))
        spent = time.monotonic() - began
        if not rows:
            self.vain += spent
        now = time.monotonic()
        rest = spent / _DUTY - spent
        self._look_at = now + max(_LOOK_EVERY if not self.more else 0.0, rest)
        self._hurried_at = now + rest
        self.deferred = self._limits.opens_at
        return rows

    def hurry(self) -> None:
        """A wake-up came: known lanes are asked first; if they do not fill the claim, look for unknown ones.

        That look waits for its share of time, but not for more: with a wake-up every few ms and an index
        full of dead entries, a thread would do nothing else. Where known lanes do fill it, the next survey
        finds a better priority as soon as under load.
        """
        self._look_at = min(self._look_at, max(time.monotonic() + 0.002, self._hurried_at))
        self._limits.doubt()

    def note(self, found: Survey) -> None:
        """A scout has found lanes here."""
        self._note(found)
        # there may be more of them than a scout names
        self._learn(found, all_of=len(found.lanes) < MOST_LANES)
        self._marks.look_back(found.lanes)
        ready = [lane.priority for lane, _ in found.lanes if self._limits.open(lane)]
        self.urgency = max(ready, default=0)
        self.more = self._promising = bool(ready)
        self.deferred = self._limits.opens_at

    def _survey(self, leases: Leases) -> None:
        """Learn of lanes that came up meanwhile: claims from known ones must not hide a better priority.

        While no claim comes back short no look is made. So twice a second all is asked for that a look sees,
        the next claims begin with what lies below the watermarks, and what is for others is passed over.
        """
        began = time.monotonic()
        thorough = self._saturated and began >= self._promoted_at + _PROMOTE_EVERY
        if thorough and self._alone:
            _, found = leases.promote_and_survey(self.shard)
            self._learn(found, all_of=len(found.lanes) < MOST_SURVEYED)
            self._marks.look_back(found.lanes)
            self._promoted_at = began + max(0.0, (time.monotonic() - began) / _DUTY - _PROMOTE_EVERY)
            spent = 0.0
        else:
            lanes, lows = self._marks.known(self._limits.holds)
            found = leases.survey(self.shard, lanes, lows)
            self._learn(found, all_of=None not in lows)
            spent = time.monotonic() - began
        self._note(found)
        if thorough:
            self._promoted_at = max(self._promoted_at, began)
            vain = self._marks.in_vain(_VAIN_CLAIMS)
            free = [lane for lane in vain if self._limits.open(lane) and not self._limits.holds(lane)]
            self._skip_foreign(leases, free)
        self._survey_at = began + max(
            _SATURATED_EVERY if self._saturated else _SURVEY_EVERY, spent / _SURVEYS_DUTY
        )

    def _learn(self, found: Survey, *, all_of: bool) -> None:
        self._marks.learn(found.lanes, all_of=all_of)
        if all_of:
            self._marks.forget(dict(found.lanes))

    def _note(self, found: Survey) -> None:
        self._limits.learn(found.openings, (lane for lane, _ in found.lanes))

    def _requests(self, want: int, room: Mapping[str, int], in_all: int) -> list[ClaimRequest]:
        """What is under no limit."""
        requests = []
        if max(want, in_all) > 0 and (lanes := self._lanes(self._open, held=False)):
            requests.append(self._marks.request(lanes, want, follows_up=True, in_all=in_all))
        requests += [
            self._marks.request(self._marks.lanes([queue]), room[queue], among=queue)
            for queue in self._bounded
            if room.get(queue, 0) > 0 and not self._holds_some(queue)
        ]
        return requests

    def _limited_requests(self, free: int, room: Mapping[str, int]) -> list[ClaimRequest]:
        """What is under a limit, or shares a bounded queue with what is."""
        if free <= 0:
            return []
        requests = []
        if lanes := self._lanes(self._open, held=True):
            requests.append(self._marks.request(lanes, free, among=_LIMITS))
        for queue in self._bounded:
            most = min(free, room.get(queue, 0))
            if most > 0 and self._holds_some(queue):
                lanes = [lane for lane in self._marks.lanes([queue]) if self._limits.open(lane)]
                requests += [self._marks.request(lanes, most, among=queue)] if lanes else []
        return requests

    def _lanes(self, queues: Iterable[str], *, held: bool) -> list[Lane]:
        """Return the known lanes that are open, and held by a limit or not."""
        return [
            lane
            for lane in self._marks.lanes(queues)
            if self._limits.holds(lane) is held and (not held or self._limits.open(lane))
        ]

    def _holds_some(self, queue: str) -> bool:
        return any(self._limits.holds(lane) for lane in self._marks.lanes([queue]))

    def _within(self, sweep: ClaimRequest, room: Mapping[str, int], free: int) -> list[ClaimRequest]:
        """Split a sweep so that bounded queues stay within their room, and limits within what is free."""
        split: dict[tuple[str, bool], list[int]] = {}
        for index, lane in enumerate(sweep.lanes):
            queue = lane.queue if lane.queue in room else ""
            held = self._holds_some(queue) if queue else self._limits.holds(lane)
            split.setdefault((queue, held), []).append(index)
        return [
            type(sweep)(
                [sweep.lanes[i] for i in at],
                [sweep.lows[i] for i in at],
                min(room.get(queue, sweep.most), free) if held else room.get(queue, sweep.most),
            )
            for (queue, held), at in split.items()
        ]

    def _pass_over(self, leases: Leases, sweep: ClaimRequest, rows: Sequence[Row]) -> None:
        """Windows that held nothing for this process (foreign names) are passed over next time."""
        gave = {(row[6], row[14], row[15]) for row in rows}
        for lane, low in zip(sweep.lanes, sweep.lows, strict=True):
            if (lane.queue, lane.priority, lane.tenant) not in gave:
                end = leases.window_end(self.shard, lane, low)
                self._marks.swept(lane, end)
                self.more = self.more or end is not None

    def _vain(self, lane: Lane) -> bool:
        """Whether what is ready in a lane seems to be foreign; one under a limit has other reasons, too."""
        if not self._limits.holds(lane):
            return self._marks.vain(lane) > 0
        self._looks[lane] = self._looks.get(lane, 0) + 1
        return self._looks[lane] > _VAIN_LOOKS

    def _skip_foreign(self, leases: Leases, found: Iterable[Lane]) -> None:
        for lane in found:
            end = leases.window_end(self.shard, lane, self._marks.low(lane))
            if end is not None:
                self._marks.skip(lane, end)
                self.more = True
