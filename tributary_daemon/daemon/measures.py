"""What a process counts of its work: numbers in memory that it shares with its supervisor.

Each cell is a signed 64-bit integer with one writer, the database thread (for starts the thread that has the
place), so it needs no lock; times are whole microseconds. A process that is killed leaves its counts behind.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.store.db import Row
    from tributary_daemon.store.finishes import Ended, Token

OTHER: Final = "other"
"""The queue of what has no row of its own."""
MOST_QUEUES: Final = 199
"""Queues of a process that are counted apart, beside `OTHER`."""

SLOW: Final = (
    1_000, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000, 300_000_000, 1_800_000_000, 7_200_000_000,
)  # fmt: skip
"""Upper bounds of buckets, in microseconds, for what lasts as long as work does."""
FAST: Final = (
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
)  # fmt: skip
"""Upper bounds of buckets, in microseconds, for what the daemon itself takes."""

OUTCOMES: Final = (
    "completed", "retry", "discarded", "aborted", "snoozed", "released", "returned", "crashed_alone",
    "skipped", "expanded", "started", "decided", "waits", "suspended", "continued", "parked", "cached",
    "cache_wait", "lost",
)  # fmt: skip
"""Words of `store.finishes.Ended`, and ``lost``: the token did not stand any more."""

LOOKS: Final = ("hit", "miss", "wait", "error")
"""What the step cache answered, for each of `SCOPES`; ``error``: nothing, or nothing of use."""
SCOPES: Final = ("run", "global")

_NOT_FAILED: Final = frozenset(
    {
        *("completed", "cached", "skipped", "released", "returned", "snoozed", "cache_wait"),
        *("suspended", "continued"),
    }
)
_NOT_FINISHED: Final = frozenset({"released", "returned"})

# of the process: the server's clock minus the monotonic one, leases held, connections opened, outages begun
_CLOCK, _HELD, _OPENED, _OUTAGES = 0, 1, 2, 3
_FIRST_START: Final = 4
_START_SUM: Final = _FIRST_START + len(FAST) + 1
_FIRST_TRIP: Final = _START_SUM + 1
_TRIP_SUM: Final = _FIRST_TRIP + len(FAST) + 1
_FIRST_LOOK: Final = _TRIP_SUM + 1
_PROCESS: Final = _FIRST_LOOK + len(SCOPES) * len(LOOKS)
_LOOK: Final = {
    (scope, answer): len(LOOKS) * row + at
    for row, scope in enumerate(SCOPES)
    for at, answer in enumerate(LOOKS)
}

# of each queue, from its first cell on: claims, outcomes, buckets and sum of waits, of executions
_OUTCOME: Final = {word: 1 + at for at, word in enumerate(OUTCOMES)}
_COMPLETED: Final = _OUTCOME["completed"]
_FIRST_WAIT: Final = 1 + len(OUTCOMES)
_WAIT_SUM: Final = _FIRST_WAIT + len(SLOW) + 1
_FIRST_RUN: Final = _WAIT_SUM + 1
_RUN_SUM: Final = _FIRST_RUN + len(SLOW) + 1
_QUEUE: Final = _RUN_SUM + 1
_CELL: Final = 8


def counted_apart(queues: Sequence[str]) -> tuple[str, ...]:
    """Return the queues that have rows of their own, in order, `OTHER` first."""
    return (OTHER, *[queue for queue in dict.fromkeys(queues) if queue != OTHER][:MOST_QUEUES])


def size_of(queues: Sequence[str], places: int) -> int:
    """Return the bytes that the measures of a process take."""
    return _CELL * (_PROCESS + _QUEUE * len(counted_apart(queues)) + places)


class Measures:
    """The counts of one process, on either side of the shared memory.

    Args:
        memory: of `size_of` bytes, at an address that 8 divides; released by `close`.
        queues: from which the process claims.
        places: where attempts run.

    Attributes:
        queues: that are counted apart.
    """

    def __init__(self, memory: memoryview, queues: Sequence[str], places: int) -> None:
        self.queues = counted_apart(queues)
        self._memory = memory
        # written and read as whole machine words, which `struct` does not do: nobody sees half a number
        self._cells = memory[: size_of(queues, places)].cast("q")
        # an element of a list is counted up in a third of the time that one of the memory takes
        self._counts = [0] * len(self._cells)
        self._starts = len(self._cells) - places
        self._rows = {queue: _PROCESS + _QUEUE * at for at, queue in enumerate(self.queues)}

    def began(self, place: int) -> None:
        """Count a start; called by the thread that has the place."""
        self._cells[self._starts + place] += 1

    # --- the database thread's side: counted in a list, written once per batch ----------------------

    def claimed(self, rows: Sequence[Row]) -> None:
        """Count a claim's rows, and how long each was ready, if the server's clock is known."""
        if not rows:
            return
        counts = self._counts
        ahead = self._cells[_CLOCK]
        now = ahead + int(time.monotonic() * 1e6)
        # seq is the microsecond at which a row became ready
        queues: defaultdict[str, list[int]] = defaultdict(list)
        for row in rows:
            queues[row[6]].append(row[2])
        for queue, seqs in queues.items():
            at = self._rows.get(queue, _PROCESS)
            counts[at] += len(seqs)
            if ahead:
                for seq in seqs:
                    waited = now - seq if seq < now else 0
                    counts[at + _FIRST_WAIT + bisect_left(SLOW, waited)] += 1
                    counts[at + _WAIT_SUM] += waited
            self._write(at, at + _QUEUE)

    def ended(self, mine: Sequence[tuple[Held, Ended]], refused: Sequence[Token]) -> tuple[int, int]:
        """Count outcomes that are written, or refused.

        Returns:
            how many attempts have finished, and how many have not ended well.
        """
        lost = frozenset(refused)
        finished, failed = -len(lost), 0
        queues: defaultdict[str, list[Held]] = defaultdict(list)
        for held, item in mine:
            outcome = item.outcome
            finished += outcome not in _NOT_FINISHED
            failed += outcome not in _NOT_FAILED
            queues[held.queue].append(held)
            if lost and item[:3] in lost:
                outcome = "lost"
            elif outcome == "retry" and held.last:
                # the statement that writes it finds that no attempt is left
                outcome = "discarded"
            self._counts[self._rows.get(held.queue, _PROCESS) + _OUTCOME[outcome]] += 1
        for queue, leases in queues.items():
            self._ran(queue, leases)
        return finished, failed

    def settled(self, held: Held) -> None:
        """Count an attempt that has completed on a connection of its own."""
        self._counts[self._rows.get(held.queue, _PROCESS) + _COMPLETED] += 1
        self._ran(held.queue, [held])

    def exchanged(self, began: float, outcomes: int) -> None:
        """Count a round trip, begun at this monotonic time in seconds, if it wrote any outcomes."""
        if outcomes:
            took = int((time.monotonic() - began) * 1e6)
            self._counts[_FIRST_TRIP + bisect_left(FAST, took)] += 1
            self._counts[_TRIP_SUM] += took
            self._write(_FIRST_TRIP, _TRIP_SUM + 1)

    def holds(self, leases: int, opened: int, outages: int) -> None:
        """Tell how many leases are held now, how many connections were opened, outages begun so far."""
        cells = self._cells
        cells[_HELD], cells[_OPENED], cells[_OUTAGES] = leases, opened, outages

    def _looked(self, held: Held, answer: str) -> None:
        """Count what the step cache answered an attempt."""
        scope = "global" if held.cache_key is None else held.cache_key.scope
        at = _FIRST_LOOK + _LOOK[scope, answer]
        self._counts[at] += 1
        self._write(at, at + 1)

    def _ran(self, queue: str, leases: Iterable[Held]) -> None:
        """Count how long attempts of a queue waited for their start, and how long they ran; write all of it.

        A loop rather than a call for each: this is done for every attempt.
        """
        counts, at = self._counts, self._rows.get(queue, _PROCESS)
        for held in leases:
            if held.looked is not None:
                self._looked(held, held.looked)
            started_at = held.started_at
            if started_at is None:
                continue
            waited = int((started_at - held.claimed_at) * 1e6)
            # whoever ignored its limit has not ended yet
            ran = int(((held.ended_at or time.monotonic()) - started_at) * 1e6)
            counts[_FIRST_START + bisect_left(FAST, waited)] += 1
            counts[_START_SUM] += waited
            counts[at + _FIRST_RUN + bisect_left(SLOW, ran)] += 1
            counts[at + _RUN_SUM] += ran
        self._write(at, at + _QUEUE)
        self._write(_FIRST_START, _START_SUM + 1)

    def _write(self, start: int, end: int) -> None:
        self._cells[start:end] = array("q", self._counts[start:end])

    # --- the supervisor's side ---------------------------------------------------------------------

    def date(self, ahead: int) -> None:
        """Tell by how many microseconds the server's clock is ahead of the machine's monotonic one."""
        self._cells[_CLOCK] = ahead

    @property
    def held(self) -> int:
        """Leases that the process holds."""
        return self._cells[_HELD]

    def add_to(self, sums: Sums) -> None:
        """Add these counts."""
        cells = self._cells
        sums.started += sum(cells[self._starts :].tolist())
        _add(sums.process, cells[_OPENED:_PROCESS].tolist())
        for queue, at in self._rows.items():
            counts = cells[at : at + _QUEUE].tolist()
            if queue != OTHER or any(counts):
                full = queue not in sums.queues and len(sums.queues.keys() - {OTHER}) >= MOST_QUEUES
                _add(sums.queues.setdefault(OTHER if full else queue, [0] * _QUEUE), counts)

    def close(self) -> None:
        """Let go of the memory."""
        self._cells.release()
        self._memory.release()


@dataclass(frozen=True, slots=True)
class Distribution:
    """How long something took.

    Attributes:
        bounds: upper ends of the buckets, in microseconds, included; one bucket more has no end.
        counts: of each bucket.
        total: microseconds of all together.
    """

    bounds: tuple[int, ...]
    counts: tuple[int, ...]
    total: int


class Sums:
    """Counts of several processes, added up.

    Attributes:
        process: cells that are not of one queue.
        queues: cells of each queue.
        started: attempts whose code was begun.
    """

    def __init__(self) -> None:
        self.started = 0
        self.process = [0] * (_PROCESS - _OPENED)
        self.queues: dict[str, list[int]] = {}

    def copy(self) -> Sums:
        """Return sums that can be added to without changing these."""
        new = Sums()
        new.started, new.process = self.started, list(self.process)
        new.queues = {queue: list(cells) for queue, cells in self.queues.items()}
        return new

    @property
    def opened(self) -> int:
        """Connections that database threads have opened."""
        return self.process[0]

    @property
    def outages(self) -> int:
        """Outages that database threads have met."""
        return self.process[_OUTAGES - _OPENED]

    @property
    def starts(self) -> Distribution:
        """From claim to start."""
        return _distribution(FAST, self.process, _FIRST_START - _OPENED)

    @property
    def trips(self) -> Distribution:
        """Round trips that wrote outcomes."""
        return _distribution(FAST, self.process, _FIRST_TRIP - _OPENED)

    def looks(self) -> dict[tuple[str, ...], int]:
        """Return how often the step cache gave which answer, by scope."""
        return {key: self.process[_FIRST_LOOK - _OPENED + at] for key, at in _LOOK.items()}

    def claimed(self, queue: str) -> int:
        """Return how many attempts were claimed from a queue."""
        return self.queues[queue][0]

    def outcomes(self, queue: str) -> dict[str, int]:
        """Return how many attempts of a queue had which outcome."""
        return {word: self.queues[queue][at] for word, at in _OUTCOME.items()}

    def waits(self, queue: str) -> Distribution:
        """Return how long what was claimed from a queue had been ready."""
        return _distribution(SLOW, self.queues[queue], _FIRST_WAIT)

    def runs(self, queue: str) -> Distribution:
        """Return how long attempts of a queue ran."""
        return _distribution(SLOW, self.queues[queue], _FIRST_RUN)


def _distribution(bounds: tuple[int, ...], cells: Sequence[int], at: int) -> Distribution:
    end = at + len(bounds) + 1
    return Distribution(bounds, tuple(cells[at:end]), cells[end])


def _add(sums: list[int], more: Sequence[int]) -> None:
    for at, count in enumerate(more):
        sums[at] += count
