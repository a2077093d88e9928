"""What a process holds between claim and finish: what waits, what was handed over, what has ended."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.outcomes import ended

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.finishes import Ended, Token

_WAITS: Final = 0.06
_LOOKS_AGAIN: Final = 0.015
_SOON: Final = 0.075
_PATIENCE: Final = 10.0


class Holdings:
    """The leases of one process; used by its database thread alone.

    Attributes:
        held: by run id and ordinal.
        once: leases whose start has to be recorded before they are handed over.
        ready: leases that are handed over next.
        ended: outcomes that are not written yet.
        handed: how many the crew has, running or waiting for a slot.
        alone: a suspect that runs with nothing beside it in this process; None at most times.

    Args:
        slots: steps that run at once.
        keys: with which outcomes are sealed; None for none.
    """

    def __init__(self, slots: int, keys: Ring | None = None) -> None:
        self._slots = slots
        self._keys = keys
        self.held: dict[tuple[str, int], Held] = {}
        self.once: deque[Held] = deque()
        self.ready: list[Held] = []
        self.ended: list[tuple[Held, Ended]] = []
        self.handed = 0
        self.alone: Held | None = None
        self._handed_loop = 0
        self._handed_ever = 0
        # in the order in which they were handed over; started ones leave at the head
        self._waiting: deque[Held] = deque()
        self._seen: tuple[float, int] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is left to wait for."""
        return not self.ended and all(held.given_up for held in self.held.values())

    @property
    def free(self) -> int:
        """Slots that nothing waits for or runs in."""
        return max(0, self._slots - len(self.held) + len(self.ended))

    @property
    def claimed(self) -> int:
        """Leases that were claimed rather than handed on, and have not ended."""
        return sum(not (held.handed_on or held.reported) for held in self.held.values())

    def by_shard(self, shards: int) -> dict[int, list[Token]]:
        """Return the tokens that are held of each shard."""
        found: dict[int, list[Token]] = {shard: [] for shard in range(shards)}
        for held in self.held.values():
            found[held.shard].append(held.token)
        return found

    def handed_over(self) -> list[Held]:
        """Return what the crew has got and has not reported yet."""
        here = {id(held) for held in (*self.once, *self.ready)}
        return [held for held in self.held.values() if not held.reported and id(held) not in here]

    def room(self, bounded: Mapping[str, int]) -> dict[str, int]:
        """Return how many more leases each bounded queue may have."""
        room = dict(bounded)
        if room:
            done = {held.token for held, _ in self.ended}
            for held in self.held.values():
                if held.queue in room and held.token not in done:
                    room[held.queue] -= 1
        return room

    def add(self, held: Held, refused: Outcome | None = None) -> None:
        """A claim brought it; with an outcome already, it does not start."""
        self.held[held.run_id, held.ordinal] = held
        if refused is not None:
            self.end(held, refused)
        elif (held.max_attempts == 1 and not held.control) or held.lone_crashes is not None:
            self.once.append(held)
        else:
            self.ready.append(held)

    def reported(self, held: Held, outcome: Outcome | None) -> bool:
        """The crew is done with it; None when there is nothing to write.

        Returns:
            whether the attempt has finished itself, on its own connection.
        """
        if held.reported:
            return False
        held.reported = True
        self._took(held)
        if held.dropped or held.recalled:
            return False
        if outcome is None:
            self.forget([held])
            return True
        self.ended.append((held, ended(held, outcome, self._keys)))
        return False

    def end(self, held: Held, outcome: Outcome) -> None:
        """Note an outcome that is to be written."""
        self.ended.append((held, ended(held, outcome, self._keys)))

    def written(self, items: Iterable[tuple[Held, Ended]]) -> None:
        """These outcomes are in the table, or were refused."""
        self.forget([held for held, _ in items])
        self.ended = [item for item in self.ended if not item[0].dropped]

    def forget(self, leases: Iterable[Held]) -> None:
        """They are nobody's any more; what their runners still return is dropped."""
        mine = self.held
        for held in leases:
            held.dropped = True
            key = held.run_id, held.ordinal
            # after an explicit retry this process may hold the same step anew
            if mine.get(key) is held:
                del mine[key]

    def lose(self, held: Held) -> None:
        """Its token no longer stands: no outcome of it is to be written."""
        self.forget([held])
        self.ended = [item for item in self.ended if item[0] is not held]
        self.ready = [item for item in self.ready if item is not held]
        self.once = deque(item for item in self.once if item is not held)

    def starting_once(self) -> list[Held]:
        """Return those of `once` whose start is to be recorded now.

        A suspected workflow function, which cannot run in a process of its own, waits until this one has
        nothing else to do: its death is to be its own.
        """
        if self.ready or self.alone is not None:
            return []
        found: list[Held] = []
        for held in self.once:
            if held.durable:
                if self.handed == 0 and not found:
                    return [held]
            elif len(found) < self._slots - self.handed:
                found.append(held)
        return found

    def too_patient(self, now: float) -> list[Held]:
        """Take suspected workflow functions that have waited in vain for this process to be theirs alone."""
        late = [held for held in self.once if held.durable and now - held.claimed_at > _PATIENCE]
        if late:
            self.once = deque(held for held in self.once if held not in late)
        for held in late:
            held.reported = True
        return late

    def startable(self) -> list[Held]:
        """Take what may be handed over: threads and loop share the slots, so only one may have a queue."""
        if self.alone is not None:
            return []
        loop, threads = self._handed_loop, self.handed - self._handed_loop
        count = 0
        for held in self.ready:
            if (threads if held.in_loop else loop) and threads + loop >= self._slots:
                break
            if held.in_loop:
                loop += 1
            else:
                threads += 1
            count += 1
        self._handed_loop = loop
        taken, self.ready = self.ready[:count], self.ready[count:]
        self.handed += count
        self._handed_ever += count
        self._waiting.extend(taken)
        self.alone = next((held for held in taken if held.durable and held.suspect), None)
        return taken

    def recall(self, taken_back: Iterable[Held]) -> list[Held]:
        """Return all that has not started, for good: what is still here, and what the crew gave back."""
        found = [*self.once, *self.ready]
        self.once.clear()
        self.ready = []
        for held in taken_back:
            found.append(held)
            self._took(held)
        for held in found:
            held.recalled = held.reported = True
        self._waiting.clear()
        self._seen = None
        return [held for held in found if not held.dropped]

    def waits_until(self) -> float | None:
        """Return when `stalled` has to be asked, in monotonic seconds; None while nothing waits."""
        if self._seen is not None:
            return self._seen[0] + _LOOKS_AGAIN
        oldest = self._oldest()
        return None if oldest is None else oldest.claimed_at + _WAITS

    def stalled(self, now: float) -> bool:
        """Whether what waits for a slot will go on waiting: others may have slots free for it.

        A lease that has waited for 60 ms is a reason to look at the pace for 15 ms. At that pace, would all
        be started within 75 ms? A process that was merely held up for a moment starts hundreds meanwhile.
        """
        oldest = self._oldest()
        if oldest is None or now < oldest.claimed_at + _WAITS:
            self._seen = None
            return False
        count = len(self._waiting) + len(self.ready) + len(self.once)
        started = self._handed_ever - len(self._waiting)
        if self._seen is None:
            self._seen = now, started
            return False
        passed = now - self._seen[0]
        if passed < _LOOKS_AGAIN:
            return False
        pace = (started - self._seen[1]) / passed
        self._seen = now, started
        return count > pace * _SOON

    def _oldest(self) -> Held | None:
        waiting = self._waiting
        while waiting and (waiting[0].started_at is not None or waiting[0].reported):
            waiting.popleft()
        heads = list(self._heads())
        return min(heads, key=lambda held: held.claimed_at) if heads else None

    def _heads(self) -> Iterator[Held]:
        if self._waiting:
            yield self._waiting[0]
        if self.ready:
            yield self.ready[0]
        # who waits for the process to be free of others is no sign that it is slow
        yield from (held for held in self.once if not held.durable)

    def _took(self, held: Held) -> None:
        if held is self.alone:
            self.alone = None
        self.handed -= 1
        self._handed_loop -= held.in_loop
