"""What the processes of a worker have counted, added up; those that are gone included."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tributary_daemon.daemon.measures import Sums

if TYPE_CHECKING:
    from tributary_daemon.daemon.board import Board
    from tributary_daemon.daemon.member import Member
    from tributary_daemon.daemon.settlement import Death


@dataclass(frozen=True, slots=True)
class Counts:
    """What a worker has done so far, and what it does now.

    Attributes:
        sums: of all its processes.
        interrupted: (queue, outcome) -> attempts whose end their supervisor had to write.
        slots: of the processes that are alive.
        busy: slots in which code runs.
        held: leases.
    """

    sums: Sums
    interrupted: dict[tuple[str, str], int]
    slots: int
    busy: int
    held: int


class Tally:
    """Adds up boards: nothing that was counted once is lost, so no sum ever falls.

    The supervisor adds and removes boards, whoever scrapes reads them; only these two meet at its lock.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._members: dict[Board, int] = {}
        self._gone = Sums()
        self._interrupted: Counter[tuple[str, str]] = Counter()
        self._ahead = 0

    def begins(self, member: Member) -> None:
        """A process was spawned."""
        with self._lock:
            self._members[member.board] = member.setup.slots
            member.board.measures.date(self._ahead)

    def ends(self, board: Board, death: Death) -> None:
        """A process has ended; its board is about to be closed."""
        with self._lock:
            if self._members.pop(board, None) is not None:
                board.measures.add_to(self._gone)
            entries = {entry.token: entry for entry in death.entries}
            for _, ended in death.outcomes() if death.process_id else ():
                entry = entries[ended[:3]]
                outcome = "discarded" if ended.outcome == "retry" and entry.last else ended.outcome
                self._interrupted[entry.queue, outcome] += 1

    def date(self, ahead: int) -> None:
        """Tell all processes by how many microseconds the server's clock is ahead of the monotonic one."""
        self._ahead = ahead
        for board in self._members:
            board.measures.date(ahead)

    def counts(self) -> Counts:
        """Return what has been counted so far. For any thread."""
        with self._lock:
            sums = self._gone.copy()
            for board in self._members:
                board.measures.add_to(sums)
            return Counts(
                sums,
                dict(self._interrupted),
                sum(self._members.values()),
                sum(board.busy for board in self._members),
                sum(board.measures.held for board in self._members),
            )
