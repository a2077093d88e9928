"""What a client waits for, and when it has to look: bookkeeping without threads, loops or a database."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tributary_daemon.errors import TributaryError

FIRST_POLL: Final = 0.02
SLOWEST_POLL: Final = 0.5
GROWTH: Final = 1.5
BACKSTOP: Final = 2.0
"""Seconds between looks for what notifications should have told."""
AFTER_REGISTERING: Final = (0.02, 0.1)
"""Seconds to the next looks after the first one that followed a registration.

An end whose statement looked for waiters before the registration, and whose commit came after that first
look, is told to nobody.
"""
RENEWAL: Final = 15.0
"""Seconds between signs of life; the row of a waiter stands for 60."""
LINGER: Final = 30.0
"""Seconds for which a client goes on listening when it waits for nothing more."""
_LEAVING: Final = 0.5
_SLACK: Final = 0.01
_SHORT: Final = 0.2
_LOOKS_PER_SECOND: Final = 2_000.0  # a hundredth of a core of the server


def _tick(now: float, pause: float) -> float:
    """Return when to look after a pause of about this length: long ones end together, whenever they began."""
    if pause < _SHORT or pause == math.inf:
        return now + pause
    return math.ceil(now / pause + 0.5) * pause


class Flag(Protocol):
    """`threading.Event` or `asyncio.Event`."""

    def set(self) -> None: ...


F = TypeVar("F", bound=Flag)


class Ticket(Generic[F]):
    """One wait.

    Attributes:
        work_id: canonical text of the id.
        flag: set when its owner has to look.
        slowest: between polls, in seconds; infinite if its owner polls itself.
        error: that looking for it has failed with.
        over: nobody looks for it any more; its owner joins anew.
    """

    __slots__ = ("error", "flag", "over", "slowest", "work_id")

    def __init__(self, work_id: str, flag: F, slowest: float | None = None) -> None:
        self.work_id = str(UUID(work_id))
        self.flag = flag
        self.slowest = slowest
        self.error: TributaryError | None = None
        self.over = False


class Round(NamedTuple):
    """What has to be asked of the database now.

    Attributes:
        registers: whether to register: ``new`` and ``done``, or only that the client still waits.
        look: ids to look for, after that.
    """

    registers: bool
    new: list[str]
    done: list[str]
    look: list[str]


class _Watched:
    __slots__ = ("due", "looks", "tickets")

    def __init__(self) -> None:
        self.tickets: list[Ticket[Any]] = []
        self.looks = 0
        self.due = math.inf


class Book:
    """The waits of one client.

    While notifications arrive (`turn`) ids are registered, looked for at once and twice more soon after, then
    rarely. Otherwise they are polled: quickly first, then slower. In both cases one statement looks for all
    that are due.

    Args:
        now: monotonic time.
    """

    def __init__(self, now: float) -> None:
        self.listening = False
        self._watched: dict[str, _Watched] = {}
        self._due: list[tuple[float, str]] = []
        self._fresh: set[str] = set()
        self._registered: set[str] = set()
        self._gone: set[str] = set()
        self._gone_at = math.inf
        self._renew_at = math.inf
        self._again_at = math.inf
        self._idle_at = now + LINGER

    def __len__(self) -> int:
        return len(self._watched)

    def join(self, ticket: Ticket[Any], now: float) -> None:
        """Wait for the work of a ticket, whose owner has just seen that it has not ended."""
        work_id = ticket.work_id
        watched = self._watched.get(work_id)
        if watched is None:
            watched = self._watched[work_id] = _Watched()
            if work_id in self._registered:
                self._gone.discard(work_id)
            else:
                self._fresh.add(work_id)
        watched.tickets.append(ticket)
        watched.looks = 0
        # what others were told of before is not told again
        self._at(work_id, watched, now if self.listening else now + self._pause(watched))
        self._idle_at = math.inf

    def leave(self, ticket: Ticket[Any], now: float) -> None:
        """Wait no more for the work of a ticket; harmless twice."""
        watched = self._watched.get(ticket.work_id)
        if watched is None or ticket not in watched.tickets:
            return
        watched.tickets.remove(ticket)
        if watched.tickets:
            return
        del self._watched[ticket.work_id]
        self._fresh.discard(ticket.work_id)
        if ticket.work_id in self._registered:
            if not self._gone:
                self._gone_at = now + _LEAVING
            self._gone.add(ticket.work_id)
        if not self._watched:
            self._idle_at = now + LINGER

    def turn(self, *, listening: bool, now: float) -> None:
        """Notifications arrive from now on, or do no more: either way some may have been missed."""
        self.listening = listening
        self._renew_at = now if listening else math.inf
        self._again_at = math.inf
        for work_id, watched in self._watched.items():
            watched.looks = 0
            self._at(work_id, watched, now if listening else now + self._pause(watched))

    def heard(self, ids: Iterable[str]) -> None:
        """These have ended: their owners look."""
        for work_id in ids:
            watched = self._watched.get(work_id)
            for ticket in watched.tickets if watched is not None else ():
                ticket.flag.set()

    def pause(self, now: float) -> float:
        """Return in how many seconds there is something to do; 0 for now."""
        while self._due and self._is_void(*self._due[0]):
            heapq.heappop(self._due)
        at = self._due[0][0] if self._due else math.inf
        if self.listening:
            at = min(
                at,
                self._renew_at,
                self._gone_at if self._gone else math.inf,
                now if self._fresh else math.inf,
            )
        return max(0.0, min(at, self._again_at, self._idle_at) - now)

    def is_idle(self, now: float) -> bool:
        """Return whether nobody has waited for so long that it is time to stop."""
        return now >= self._idle_at

    def take(self, now: float) -> Round:
        """Return what is due. `looked`, `failed` or `refused` says what came of it."""
        if now >= self._again_at:
            self.turn(listening=True, now=now)
        look = []
        while self._due and self._due[0][0] <= now + _SLACK:
            due, work_id = heapq.heappop(self._due)
            if not self._is_void(due, work_id):
                self._watched[work_id].due = math.inf
                look.append(work_id)
        registers = self.listening and bool(
            self._fresh or now >= self._renew_at or (self._gone and now >= self._gone_at)
        )
        if not registers:
            return Round(registers=False, new=[], done=[], look=look)
        taken = Round(registers=True, new=list(self._fresh), done=list(self._gone), look=look)
        self._renew_at = now + RENEWAL
        self._registered -= self._gone
        self._registered |= self._fresh
        self._fresh, self._gone, self._gone_at = set(), set(), math.inf
        return taken

    def unknown(self, taken: Round, now: float) -> None:
        """The client's row was gone, and with it what it had registered before this round."""
        lost = (self._registered - set(taken.new)) & self._watched.keys()
        self._registered &= set(taken.new)
        self._gone &= self._registered
        self._fresh |= lost
        for work_id in lost:
            self._watched[work_id].looks = 0
            self._at(work_id, self._watched[work_id], now)

    def looked(self, taken: Round, ended: Collection[str], now: float) -> None:
        """Wake the owners of what has ended; look for the rest later."""
        self.heard(ended)
        for work_id in taken.look:
            if (watched := self._watched.get(work_id)) is not None:
                watched.looks += 1
                self._at(work_id, watched, _tick(now, self._pause(watched)))

    def unregistered(self, taken: Round, now: float) -> None:
        """The database answers, but took no registration: poll, and try that again later."""
        self._undo(taken, now)
        self.turn(listening=False, now=now)
        self._again_at = now + RENEWAL

    def failed(self, taken: Round, now: float) -> None:
        """The database could not be asked: do it all again a little later."""
        if taken.registers:
            self._renew_at = now
        self._undo(taken, now)
        for work_id in taken.look:
            if (watched := self._watched.get(work_id)) is not None:
                self._at(work_id, watched, now)

    def refused(self, taken: Round, error: TributaryError) -> None:
        """Looking is not possible: the owners of what was looked for learn why."""
        for work_id in taken.look:
            watched = self._watched.get(work_id)
            for ticket in watched.tickets if watched is not None else ():
                ticket.error = error
                ticket.flag.set()

    def end(self) -> None:
        """Nobody looks any more: all owners look themselves, and join anew elsewhere."""
        for watched in self._watched.values():
            for ticket in watched.tickets:
                ticket.over = True
                ticket.flag.set()
        self._watched.clear()

    def _undo(self, taken: Round, now: float) -> None:
        """Nobody knows what of a registration was written: it is all done again."""
        for work_id in taken.new:
            self._registered.discard(work_id)
            if work_id in self._watched:
                self._fresh.add(work_id)
        self._gone.update(set(taken.done) - self._registered - self._fresh)
        if self._gone:
            self._registered |= self._gone
            self._gone_at = now

    def _pause(self, watched: _Watched) -> float:
        slowest = min(
            (ticket.slowest for ticket in watched.tickets if ticket.slowest is not None),
            default=BACKSTOP if self.listening else SLOWEST_POLL,
        )
        if self.listening:
            if watched.looks <= len(AFTER_REGISTERING):
                return AFTER_REGISTERING[max(watched.looks, 1) - 1]
            pause = slowest if slowest < math.inf else BACKSTOP
        elif slowest == math.inf:
            return math.inf
        else:
            # not above 60 quick ones: powers overflow
            pause = min(FIRST_POLL * GROWTH ** min(watched.looks, 60), slowest)
        return max(pause, len(self._watched) / _LOOKS_PER_SECOND) if watched.looks else pause

    def _at(self, work_id: str, watched: _Watched, due: float) -> None:
        watched.due = due
        if due < math.inf:
            heapq.heappush(self._due, (due, work_id))

    def _is_void(self, due: float, work_id: str) -> bool:
        watched = self._watched.get(work_id)
        return watched is None or watched.due != due
