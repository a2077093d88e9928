"""How many leases a process takes at once, and how many of them may be new work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tributary_daemon.daemon.holdings import Holdings
    from tributary_daemon.daemon.pace import Pace
    from tributary_daemon.store.db import Row

NOT_ALL: Final = 2
"""Last column of rows that were handed on: there was no room for all that became ready."""

_SHRINK: Final = 0.5
_GROWTH: Final = 0.03
# the bound rises by at most a 64th of what the process holds: what was let in releases its steps later
_STEPS: Final = 64
# fans have come to their ends when so many exchanges in a row had nothing to hand on
_QUIET: Final = 8
# of what was claimed, from one exchange to the next: steps of runs that widen late count for a dozen of them
_KEPT: Final = 0.8


def claimed_of(rows: Iterable[Row]) -> int:
    """Return how many of the rows that an exchange has brought were claimed rather than handed on."""
    return [row[19] for row in rows].count(0)


class Intake:
    """What there is room for, and a bound for claims while steps release more than that.

    What a process has no room for is written as available, to be claimed by itself: a row version and a lock
    more. Sources of fans that fill a process end together, and have released many times as much. Claimed a
    few at a time, each finds room for what it releases. The bound falls by half whenever more was released
    than there was room for, and rises slowly with each exchange that has left room, as what is claimed now
    releases its steps two exchanges later; it is gone once eight in a row had nothing to hand on. Free slots
    are filled whatever it says: it holds back only what would be fetched ahead.

    Args:
        slots: of the process.
        pace: of the process.
        holdings: of the process.
    """

    def __init__(self, slots: int, pace: Pace, holdings: Holdings) -> None:
        self._slots = slots
        self._pace = pace
        self._holdings = holdings
        self._most: float | None = None
        self._quiet = 0
        # how many were claimed in the last exchanges
        self._lately = 0.0

    def want(self) -> int:
        """Return for how many leases there is room; 0 while a larger batch is worth the wait."""
        target = self._pace.target()
        held = len(self._holdings.held)
        want = target - held + len(self._holdings.ended)
        return want if want >= target // 4 or held < self._slots else 0

    def claims(self, want: int) -> int:
        """Return how many of ``want`` leases may be claimed; the rest is room for what is handed on."""
        if self._most is None or want <= 0:
            return want
        return min(want, max(self._holdings.free, int(self._most) - self._holdings.claimed))

    def in_all(self, want: int, ended: int) -> int:
        """Return how many leases may come with the outcomes of ``ended`` attempts, if any are wanted.

        A chain goes on with as many steps as have ended, though the process would hold fewer by now.
        """
        return max(want, ended) if want > 0 else 0

    def exchanged(self, rows: Sequence[Row], want: int, ended: int) -> None:
        """Learn from what an exchange has brought.

        Args:
            rows: their last column is that of `leases.Leases.exchange`.
            want: leases that there was room for.
            ended: attempts that were written.
        """
        target, ways = self._pace.target(), [row[19] for row in rows]
        claimed = ways.count(0)
        self._lately = _KEPT * self._lately + claimed
        if NOT_ALL in ways:
            self._quiet = 0
            # what few have released no bound would have made less
            if self._lately > self._slots:
                self._most = _SHRINK * min(self._most or target, target)
        elif self._most is not None:
            if ended:
                self._quiet = 0 if claimed < len(rows) else self._quiet + 1
            if len(rows) < want:
                self._most += min(_GROWTH * self._most + 1, target / _STEPS)
            if self._most > target or self._quiet >= _QUIET:
                self._most = None
