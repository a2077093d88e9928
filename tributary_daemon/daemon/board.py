"""What runs in a process at this moment, in memory that it shares with its supervisor.

A process that crashed cannot say any more what it was doing; its board still does. Writing an entry costs
about a microsecond; a message or a row for each start would cost far more.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon import measures
from tributary_daemon.daemon.measures import Measures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.store.finishes import Token

# what it is, flags, attempt, shard, ordinal, seq, run id, name; monotonic seconds: claimed, started, due;
# the seconds that its limit allowed; the process group that belongs to it; the number of its queue
_ENTRY: Final = struct.Struct("=BBhhiq36s64sddddiH")
_FLAGS_AT: Final = 1
_ALLOWED_AT: Final = struct.calcsize("=BBhhiq36s64sddd")
_GROUP_AT: Final = struct.calcsize("=BBhhiq36s64sdddd")
_SIZE: Final = 192
_COUNTS: Final = struct.Struct("=QQ")
_TICK: Final = struct.Struct("=d")
_TICK_AT: Final = _COUNTS.size
_PARTING_AT: Final = _TICK_AT + _TICK.size
_RUN_ID: Final = 36
_HEADER_SIZE: Final = 64

_EMPTY, _RUNNING, _ENDED = 0, 1, 2
_ISOLATED, _TIMED_OUT, _HEARTBEAT, _FINAL, _LAST = 1, 2, 4, 8, 16


@dataclass(frozen=True, slots=True)
class Entry:
    """An attempt as the board of its process has it.

    Attributes:
        token: fence of the attempt.
        shard: where its row lives.
        name: the handler's, at most 64 bytes of it.
        attempt: its number.
        running: user code runs; otherwise it was the last to run in its place, and has ended.
        isolated: it runs in a process of its own, below the process whose board this is.
        timed_out: it exceeded a limit and did not end by itself.
        silent: the limit was that of its heartbeat.
        final: a timeout of it is not tried again.
        claimed_at: monotonic seconds.
        started_at: monotonic seconds.
        deadline: monotonic seconds; infinite without a timeout.
        allowed: seconds of the limit that ``deadline`` or ``timed_out`` speak of.
        group: process group of the operating system that ends with it; 0 for none.
        queue: from which it was claimed, if that is counted apart.
        last: its failure uses up the attempts that its step has.
    """

    token: Token
    shard: int
    name: str
    attempt: int
    running: bool
    isolated: bool
    timed_out: bool
    silent: bool
    final: bool
    claimed_at: float
    started_at: float
    deadline: float
    allowed: float
    group: int
    queue: str
    last: bool

    @property
    def elapsed(self) -> float:
        """Seconds from the claim's reply to the start."""
        return max(0.0, self.started_at - self.claimed_at)


def places(slots: int) -> int:
    """Return how many places a process of so many slots needs: its threads and its loop have their own."""
    return 2 * slots


class Board:
    """Places of a process, each with the attempt that runs there.

    Monotonic seconds are those of the machine: they compare between processes.

    Args:
        places: how many attempts may run at once, threads and loop together.
        fd: of a file that both sides map (`anonymous`); without it the board is this process's alone.
        queues: from which the process claims.

    Attributes:
        measures: what the process counts of its work.
    """

    def __init__(self, places: int, *, fd: int | None = None, queues: Sequence[str] = ()) -> None:
        self.places = places
        self._memory = mmap.mmap(-1 if fd is None else fd, size_of(places, queues))
        self.measures = Measures(memoryview(self._memory)[_HEADER_SIZE + places * _SIZE :], queues, places)
        self._queue_numbers = {queue: at for at, queue in enumerate(self.measures.queues)}
        self._finished = self._failed = 0

    # --- the process's side -----------------------------------------------------------------------

    def begin(self, place: int, held: Held, *, limited: bool = True) -> None:
        """User code is about to run for this lease.

        Args:
            place: that is free.
            held: the lease.
            limited: its timeout counts from its start; False while its own process comes up.
        """
        assert held.started_at is not None
        limit = held.timeout if limited else None
        at = _HEADER_SIZE + place * _SIZE
        flags = (_ISOLATED if held.isolated else 0) | (_LAST if held.last else 0)
        # the supervisor may look, and this process may be killed, at any moment: what the entry is comes last
        self._memory[at] = _EMPTY
        _ENTRY.pack_into(
            self._memory, at,
            _EMPTY, flags, held.attempt, held.shard, held.ordinal, held.seq,
            held.run_id.encode(), held.name.encode(), held.claimed_at, held.started_at,
            math.inf if limit is None else held.started_at + limit, limit or 0.0, 0,
            self._queue_numbers.get(held.queue, 0),
        )  # fmt: skip
        self._memory[at] = _RUNNING
        if held.place is None:
            # an isolated attempt begins again once its own process is up
            self.measures.began(place)
        held.place = place

    def tick(self) -> None:
        """A thread of this process has had its turn: nothing holds the interpreter."""
        _TICK.pack_into(self._memory, _TICK_AT, time.monotonic())

    def end(self, held: Held) -> None:
        """User code has ended for this lease; its entry stays until the place is used again."""
        place, held.place = held.place, None
        held.ended_at = time.monotonic()
        if place is not None:
            self._memory[_HEADER_SIZE + place * _SIZE] = _ENDED

    def own_group(self, held: Held, group: int) -> None:
        """Note a process group that has to end with this attempt, whatever becomes of this process."""
        place = held.place
        if place is not None:
            struct.pack_into("=i", self._memory, _HEADER_SIZE + place * _SIZE + _GROUP_AT, group)

    def overdue(self, held: Held, seconds: float, *, silent: bool, final: bool) -> None:
        """This lease ignored a limit of ``seconds``: whoever ends this process records that."""
        place = held.place
        if place is None:
            return
        at = _HEADER_SIZE + place * _SIZE
        if _ENTRY.unpack_from(self._memory, at)[5] != held.seq:
            # it has ended in this moment, and another attempt has its place
            return
        struct.pack_into("=d", self._memory, at + _ALLOWED_AT, seconds)
        self._memory[at + _FLAGS_AT] |= _TIMED_OUT | (_HEARTBEAT if silent else 0) | (_FINAL if final else 0)

    def count(self, finished: int, failed: int) -> None:
        """Add to the counts of finished attempts."""
        self._finished += finished
        self._failed += failed
        _COUNTS.pack_into(self._memory, 0, self._finished, self._failed)

    def part(self, code: int) -> None:
        """This process is about to end with this exit code, on purpose: nothing of a handler's did it."""
        self._memory[_PARTING_AT] = code + 1

    # --- the supervisor's side --------------------------------------------------------------------

    @property
    def counts(self) -> tuple[int, int]:
        """Attempts that have ended so far, and how many of them not well."""
        finished, failed = _COUNTS.unpack_from(self._memory, 0)
        return finished, failed

    @property
    def ticked_at(self) -> float:
        """Monotonic seconds of the last `tick`; 0 before the first."""
        at: float = _TICK.unpack_from(self._memory, _TICK_AT)[0]
        return at

    @property
    def parting(self) -> int | None:
        """The exit code that the process meant to end with; None when it did not mean to."""
        return self._memory[_PARTING_AT] - 1 if self._memory[_PARTING_AT] else None

    @property
    def busy(self) -> int:
        """How many attempts have user code that runs."""
        ends = range(_HEADER_SIZE, _HEADER_SIZE + self.places * _SIZE, _SIZE)
        return sum(self._memory[at] == _RUNNING for at in ends)

    def running(self) -> list[Entry]:
        """Return the attempts whose user code runs."""
        return list(self._entries(frozenset({_RUNNING})))

    def entries(self) -> Iterator[Entry]:
        """Yield what the places hold."""
        return self._entries(frozenset({_RUNNING, _ENDED}))

    def _entries(self, wanted: frozenset[int]) -> Iterator[Entry]:
        for place in range(self.places):
            at = _HEADER_SIZE + place * _SIZE
            if self._memory[at] not in wanted:
                continue
            (
                what, flags, attempt, shard, ordinal, seq, run_id, name, claimed_at, started_at, deadline,
                allowed, group, queue,
            ) = _ENTRY.unpack_from(self._memory, at)  # fmt: skip
            run_id = run_id.rstrip(b"\0")
            if len(run_id) != _RUN_ID:
                # killed while it was written
                continue
            yield Entry(
                (run_id.decode("ascii", "replace"), ordinal, seq), shard,
                name.rstrip(b"\0").decode("utf-8", "ignore"), attempt, what == _RUNNING,
                bool(flags & _ISOLATED), bool(flags & _TIMED_OUT), bool(flags & _HEARTBEAT),
                bool(flags & _FINAL), claimed_at, started_at, deadline, allowed, group,
                self.measures.queues[min(queue, len(self.measures.queues) - 1)], bool(flags & _LAST),
            )  # fmt: skip

    def close(self) -> None:
        """Let go of the memory."""
        self.measures.close()
        self._memory.close()


def size_of(places: int, queues: Sequence[str] = ()) -> int:
    """Return the bytes that a board takes of so many places, of a process that claims from these queues."""
    return _HEADER_SIZE + places * _SIZE + measures.size_of(queues, places)


def anonymous(size: int) -> int:
    """Return the number of a new file without a name; whoever asked closes it."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("trib-board", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd
