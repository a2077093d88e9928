"""The processes of one worker: spawned, watched, replaced, drained, killed."""

from __future__ import annotations

import selectors
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.daemon.core import NEIGHBOURS
from tributary_daemon.daemon.deadlines import GRACE, LOOP_GRACE
from tributary_daemon.daemon.endings import Exit
from tributary_daemon.daemon.settlement import KILLED, Death, end_groups
from tributary_daemon.daemon.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tributary_daemon.daemon.board import Entry
    from tributary_daemon.daemon.member import Member
    from tributary_daemon.daemon.recycling import Recycling
    from tributary_daemon.store.finishes import Token

_CALM: Final = 60.0
_LONGEST_PAUSE: Final = 10.0
_STARTUP_LIMIT: Final = 120.0
_LOOK_EVERY: Final = 0.25
_QUIET: Final = 4.0
# what a process does itself about an attempt past its deadline, and a little more
_SELF_HELP: Final = LOOP_GRACE + NEIGHBOURS + 5.0


class Family:
    """Keeps ``size`` members alive.

    A member that has done enough is replaced without a dip: its successor claims before it is drained.

    Args:
        size: how many.
        spawn: makes the member of a number.
        selector: their control sockets are registered here.
        silence_limit: seconds without a sign of life after which a member is killed.
        recycling: when a member has done enough.

    Attributes:
        tally: of what its members count, those that are gone included.
    """

    def __init__(
        self,
        size: int,
        spawn: Callable[[int], Member],
        selector: selectors.BaseSelector,
        silence_limit: float,
        recycling: Recycling,
    ) -> None:
        self._size = size
        self._spawn = spawn
        self._selector = selector
        self._silence_limit = silence_limit
        self._recycling = recycling
        self.tally = Tally()
        self._members: dict[int, Member] = {}
        self._woken = 0
        self._successors: dict[int, Member] = {}
        self._leaving: list[Member] = []
        self._deaf: set[Member] = set()
        self._dying: list[Member] = []
        self._look_at = 0.0
        # attempts past their deadline at the last look
        self._late: dict[Member, frozenset[Token]] = {}
        self._finished = 0
        self._not_before = dict.fromkeys(range(size), 0.0)
        self._failures = dict.fromkeys(range(size), 0)

    def __iter__(self) -> Iterator[Member]:
        return iter([*self._members.values(), *self._successors.values(), *self._leaving])

    @property
    def started(self) -> list[Member]:
        """Members that have a row, and are beaten for."""
        return [member for member in self if member.process_id]

    @property
    def claiming(self) -> list[Member]:
        """Members that claim."""
        return [member for member in self if member.ready and not member.draining]

    @property
    def empty(self) -> bool:
        """Whether none is alive."""
        return not (self._members or self._successors or self._leaving)

    @property
    def resting(self) -> dict[int, tuple[int, float]]:
        """Places whose member died too fast -> (deaths in a row, monotonic seconds until the next one)."""
        now = time.monotonic()
        return {
            number: (self._failures[number], until)
            for number, until in self._not_before.items()
            if number not in self._members and until > now
        }

    @property
    def saturated(self) -> bool:
        """Whether every member found as much work as it could take."""
        members = self.claiming
        return bool(members) and all(member.saturated for member in members)

    @property
    def finished(self) -> int:
        """Attempts that have ended in members of this family, those that are gone included."""
        return self._finished + sum(member.board.counts[0] for member in self)

    def holds_bounded(self, member: Member) -> bool:
        """Whether the one that a member replaces still claims from queues with slots."""
        number = member.number
        return self._successors.get(number) is member or any(old.number == number for old in self._leaving)

    def fill(self) -> None:
        """Spawn whoever is missing, unless its predecessors died too fast."""
        now = time.monotonic()
        for number in range(self._size):
            if number not in self._members and number in self._successors:
                self._succeed(number)
            elif number not in self._members and now >= self._not_before[number]:
                self._start(number, self._members)

    def renew(self) -> None:
        """Begin to replace one member that has done enough."""
        for number in list(self._successors):
            member = self._members.get(number)
            if member is not None and not member.draining and self._recycling.is_urgent(member):
                # bounded memory comes before an undisturbed service
                member.send("drain")
                self.retires(member)
        if self._successors:
            return
        now = time.monotonic()
        for number, member in self._members.items():
            if not member.ready or member.draining or now < self._not_before[number]:
                continue
            reason = self._recycling.reason(member, now)
            if reason is not None:
                events.emit(events.ProcessRecycled(process=member.setup.label, pid=member.pid, reason=reason))
                self._start(number, self._successors)
                return

    def claims(self, member: Member) -> None:
        """A member has begun to claim: if it is a successor, its predecessor drains now."""
        member.ready = True
        if self._successors.get(member.number) is member:
            old = self._members.pop(member.number, None)
            self._succeed(member.number)
            if old is not None:
                old.send("drain")
                self._leaving.append(old)

    def retires(self, member: Member) -> None:
        """A member finishes what runs and then ends: its place is free for another one at once."""
        member.draining = True
        if self._members.get(member.number) is member:
            del self._members[member.number]
            self._leaving.append(member)

    def hang_up(self, member: Member) -> None:
        """Nothing can be heard from a member any more: it is not listened to, and has to end."""
        if member not in self._deaf:
            self._deaf.add(member)
            self._selector.unregister(member.fileno())

    def send(self, do: str) -> None:
        """Tell every started member something; a drain and an exit reach the others too."""
        for member in self:
            if member.process_id or do in ("drain", "exit"):
                member.send(do)

    def wake_next(self) -> bool:
        """Wake one started member, a different one each time; False when there are no others."""
        members = [member for member in self if member.process_id and not member.draining]
        if members:
            self._woken = (self._woken + 1) % len(members)
            members[self._woken].send("wake")
        return len(members) > 1

    def by_process(self, process_id: int) -> Member | None:
        """Return the member that owns a process id."""
        return next((member for member in self if member.process_id == process_id), None)

    def bury(self) -> list[Death]:
        """Reap members that have ended, kill those that are stuck."""
        now = time.monotonic()
        looks = now >= self._look_at
        if looks:
            self._look_at = now + _LOOK_EVERY
        dead: list[Death] = []
        self._dying = [member for member in self._dying if member.exit_code() is None]
        for member in self:
            code = member.exit_code()
            if code is not None:
                entries = tuple(member.board.entries())
                planned = member.board.parting == code
                dead.append(self._remove(member, code, planned=planned, entries=entries))
            elif looks and (why := self._stuck(member, now)) is not None:
                events.emit(events.ProcessStuck(process=member.setup.label, pid=member.pid, reason=why))
                member.ask()
                member.kill()
                entries = tuple(_overdue(entry, now) for entry in member.board.entries())
                # one that could still speak has only failed to end who is late; one that could not is held
                # by whoever ran in it
                alone = any(entry.timed_out for entry in entries) and not _quiet(member, now)
                dead.append(self._remove(member, KILLED, planned=alone, entries=entries, why=why))
        return dead

    def kill(self) -> list[Death]:
        """Kill and reap all."""
        dead = []
        for member in self:
            member.kill()
            entries = tuple(member.board.entries())
            dead.append(self._remove(member, KILLED, planned=True, entries=entries))
        return dead

    def _stuck(self, member: Member, now: float) -> str | None:
        """Return why a member cannot be left to itself any more."""
        silent = now - member.signed_at
        limit = self._silence_limit if member.process_id else max(self._silence_limit, _STARTUP_LIMIT)
        if silent > limit:
            return f"no sign of life for {silent:.0f} s"
        if member in self._deaf and silent > _QUIET:
            return "its connection to the supervisor is closed"
        patience = _QUIET if _quiet(member, now) else _SELF_HELP
        before = self._late.get(member, frozenset())
        running = {entry.token: entry for entry in member.board.running() if now > entry.deadline + patience}
        self._late[member] = frozenset(running)
        # seen twice: an entry may be read while it is written
        late = [entry for token, entry in running.items() if token in before]
        if late:
            return (
                f"{late[0].name} ran {now - late[0].started_at:.0f} s, its timeout is {late[0].allowed:g} s"
            )
        return None

    def _start(self, number: int, places: dict[int, Member]) -> None:
        try:
            member = self._spawn(number)
        except OSError as error:
            # no memory, no process number, no file number: whoever works goes on, and it is tried again
            events.emit(events.SpawnFailed(place=number + 1, error=error.strerror or str(error)))
            self._pause(number, failed=True)
            return
        self._selector.register(member.fileno(), selectors.EVENT_READ, member)
        self.tally.begins(member)
        places[number] = member

    def _pause(self, number: int, *, failed: bool) -> None:
        """The first replacement comes at once; what dies at its start must not be spawned in a storm."""
        failures = self._failures[number] + 1 if failed else 0
        self._failures[number] = failures
        self._not_before[number] = time.monotonic() + (
            0.0 if failures <= 1 else min(_LONGEST_PAUSE, 0.5 * 2.0 ** (failures - 2))
        )

    def _succeed(self, number: int) -> None:
        self._members[number] = self._successors.pop(number)

    def _remove(
        self, member: Member, code: int, *, planned: bool, entries: tuple[Entry, ...], why: str | None = None
    ) -> Death:
        end_groups(entries)
        finished = member.board.counts[0]
        # it died of its work, which runs apart from the others next, and not of its start
        worked = bool(entries) or finished > 0
        self._finished += finished
        self._late.pop(member, None)
        if member in self._deaf:
            self._deaf.discard(member)
        else:
            self._selector.unregister(member.fileno())
        if member.exit_code() is None:
            self._dying.append(member)
        death = Death(member.setup.label, member.pid, member.process_id, code, planned, entries, why)
        self.tally.ends(member.board, death)
        member.close()
        number = member.number
        if member in self._leaving:
            self._leaving.remove(member)
            if number in self._members and not self.holds_bounded(self._members[number]):
                self._members[number].send("unhold")
            return death
        successor = self._successors.get(number) is member
        if successor:
            del self._successors[number]
        else:
            del self._members[number]
        calm = worked or time.monotonic() - member.started_at > _CALM
        expected = planned and code != Exit.FAILED
        self._pause(number, failed=not (calm or expected))
        if not successor and number in self._successors:
            self._successors[number].send("unhold")
        return death


def _quiet(member: Member, now: float) -> bool:
    """Whether no thread of a member has had a turn lately: something holds its interpreter."""
    return now - max(member.signed_at, member.board.ticked_at) > _QUIET


def _overdue(entry: Entry, now: float) -> Entry:
    """Return the entry as its own process would have marked it, had it been able to."""
    late = entry.running and not entry.timed_out and now > entry.deadline + GRACE
    return replace(entry, timed_out=True) if late else entry
