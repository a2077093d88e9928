"""The processes of one worker: spawned, watched, replaced, drained, killed."""

from __future__ import annotations

import selectors
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.daemon.core import Exit
from tributary_daemon.store import membership

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tributary_daemon.daemon.member import Member
    from tributary_daemon.store.db import Connection

_CALM: Final = 60.0
_LONGEST_PAUSE: Final = 10.0
_STARTUP_LIMIT: Final = 120.0


class Family:
    """Keeps ``size`` members alive.

    Args:
        size: how many.
        spawn: makes the member of a number.
        selector: their control sockets are registered here.
        silence_limit: seconds without a sign of life after which a member is killed.
    """

    def __init__(
        self,
        size: int,
        spawn: Callable[[int], Member],
        selector: selectors.BaseSelector,
        silence_limit: float,
    ) -> None:
        self._size = size
        self._spawn = spawn
        self._selector = selector
        self._silence_limit = silence_limit
        self._members: dict[int, Member] = {}
        self._not_before = dict.fromkeys(range(size), 0.0)
        self._failures = dict.fromkeys(range(size), 0)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    @property
    def started(self) -> list[Member]:
        """Members that claim."""
        return [member for member in self._members.values() if member.process_id]

    @property
    def empty(self) -> bool:
        """Whether none is alive."""
        return not self._members

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
        members = self.started
        return bool(members) and all(member.saturated for member in members)

    def fill(self) -> None:
        """Spawn whoever is missing, unless its predecessors died too fast."""
        now = time.monotonic()
        for number in range(self._size):
            if number not in self._members and now >= self._not_before[number]:
                member = self._spawn(number)
                self._members[number] = member
                self._selector.register(member.fileno(), selectors.EVENT_READ, member)

    def send(self, do: str) -> None:
        """Tell every started member something; a drain and an exit reach the others too."""
        for member in self._members.values():
            if member.process_id or do in ("drain", "exit"):
                member.send(do)

    def by_process(self, process_id: int) -> Member | None:
        """Return the member that owns a process id."""
        return next((member for member in self._members.values() if member.process_id == process_id), None)

    def bury(self) -> list[tuple[Member, int]]:
        """Reap members that have ended, kill those that are stuck; return each with its exit code."""
        now = time.monotonic()
        dead: list[tuple[Member, int]] = []
        for member in list(self._members.values()):
            code = member.exit_code()
            limit = self._silence_limit if member.process_id else max(self._silence_limit, _STARTUP_LIMIT)
            if code is None and now - member.signed_at > limit:
                events.emit(
                    events.ProcessStuck(
                        process=member.setup.label, pid=member.pid, silent=now - member.signed_at
                    )
                )
                member.kill()
                code = -9
            if code is not None:
                self._remove(member, code)
                dead.append((member, code))
        return dead

    def kill(self) -> list[Member]:
        """Kill and reap all; return them."""
        members = list(self._members.values())
        for member in members:
            member.kill()
            self._remove(member, Exit.RETIRED)
        return members

    def _remove(self, member: Member, code: int) -> None:
        del self._members[member.number]
        self._selector.unregister(member.fileno())
        member.close()
        calm = time.monotonic() - member.started_at > _CALM
        expected = code in (Exit.DRAINED, Exit.RETIRED, Exit.FENCED)
        failures = 0 if calm or expected else self._failures[member.number] + 1
        self._failures[member.number] = failures
        # the first replacement comes at once; a process that dies at its start must not be spawned in a storm
        self._not_before[member.number] = time.monotonic() + (
            0.0 if failures <= 1 else min(_LONGEST_PAUSE, 0.5 * 2.0 ** (failures - 2))
        )


def settle(connection: Connection, member: Member, code: int, shards: int, lease: float) -> None:
    """A member has ended: give back what it held, then forget its process.

    What a crash took down counts an attempt; what a drain or a replacement left is released uncounted.
    """
    if not member.process_id:
        return
    if code in (Exit.DRAINED, Exit.RETIRED, Exit.FENCED, Exit.ORPHANED):
        release(connection, [member.process_id], shards)
    membership.leave(connection, None, [member.process_id])
    membership.rescue(connection, shards, lease)


def release(connection: Connection, process_ids: Sequence[int], shards: int) -> None:
    """Release all that these processes own, uncounted."""
    for process_id in process_ids:
        for shard in range(shards):
            connection.execute(
                "select from tributary.reconcile(%s::smallint, %s, '{}', '{}', '{}')",
                (shard, process_id),
            )
