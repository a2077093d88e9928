"""Which of its shards a process claims from next: whole batches from one, and each in its turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tributary_daemon.daemon.claiming import Claiming

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from tributary_daemon.store.leases import Leases

_SCOUT_EVERY: Final = 0.1
_DUTY: Final = 0.1
# how many times as long as a scout took the next one waits, however much it is hurried
_BREATH: Final = 3.0
# a change of the shard costs a round trip for what is left of the one before
_TURN: Final = 0.25
# seconds from the beginning of its last turn in which what is under way in a shard goes on there
_GOES_ON: Final = 1.0
# so many turns follow priorities, then one the order of the shards: nothing starves
_BY_PRIORITY: Final = 3
# what shards of other workers have left lying so long is helped with, and looked for so often
_HELPS_AFTER: Final = 2.0
_HELPS_EVERY: Final = 1.0


class Turns:
    """The shards of one process; used by its database thread alone.

    With one shard it asks that one, and nothing here costs anything. With several, one statement for all (a
    scout) tells which of them hold work; the others are asked nothing. While more is ready than fits, it
    stays with one shard for a quarter of a second, as finishes and claims of one shard travel together.
    Then it goes on to the next that holds work of the best priority; every fourth turn is the next one's,
    whatever its priority.

    Attributes:
        claimings: one for each shard, by number.

    Args:
        shards: number of shards.
        queues: without a bound.
        bounded: queues with slots of their own.
        first: where the first turn begins, so that processes begin with different shards.
    """

    def __init__(self, shards: int, queues: Iterable[str], bounded: Iterable[str], first: int) -> None:
        queues, bounded = list(queues), list(bounded)
        self._alone = shards == 1
        self.claimings = [Claiming(shard, queues, bounded, alone=self._alone) for shard in range(shards)]
        self._own = list(range(shards))
        self._others: list[int] = []
        # whose turn it is, and how far the two ways of choosing have come
        self._at = self._ranked = self._plain = first % shards
        self._until = 0.0
        self._began: dict[int, float] = {}
        self._turn = 0
        self._asked = not self._alone
        self._scout_at = self._hurried_at = self._help_at = 0.0

    @property
    def more(self) -> bool:
        """Whether another claim is likely to find work at once."""
        return any(claiming.more for claiming in self.claimings)

    def due_in(self, now: float) -> float | None:
        """Return the seconds until a scout is to be sent, if there is room; None for none."""
        return self._scout_at - now if self._asked else None

    def serve(self, own: Collection[int], *, helps: bool) -> None:
        """Claim from these shards; if it ``helps``, also what others have left lying for two seconds."""
        self._own = sorted(own)
        self._others = [claiming.shard for claiming in self.claimings if claiming.shard not in own]
        for shard in self._others:
            self.claimings[shard].more = False
        if not helps:
            self._others = []
        if not self._alone:
            self.hurry()

    def hurry(self) -> None:
        """A wake-up came: look at once, but for a breath after the last time."""
        for claiming in self.claimings:
            claiming.hurry()
        self.again()
        if not self._alone:
            self._scout_at = min(self._scout_at, max(time.monotonic(), self._hurried_at))

    def again(self) -> None:
        """Look once more; with several shards when a scout is due, which what was in vain puts off."""
        if self._alone:
            self.claimings[0].more = True
        else:
            self._asked = True

    def ask(self) -> None:
        """A claim came back short: look when it is time."""
        self._asked = not self._alone

    def scout(self, leases: Leases) -> float | None:
        """Learn where work is, if it is time; return when the rate of a queue allows more, None for never."""
        began = time.monotonic()
        if self._alone or began < self._scout_at or not (self._asked or self.more):
            return None
        # what is ready in many shards may be for others, and is asked for in each of them
        vain = sum(claiming.vain for claiming in self.claimings)
        helps = bool(self._others) and began >= self._help_at
        if helps:
            self._help_at = began + _HELPS_EVERY
        found = leases.survey_shards([*self._own, *self._others] if helps else self._own)
        own = frozenset(self._own)
        opens: list[float] = []
        for shard in found.due:
            # what is due makes nobody wait for whoever serves that shard
            promoted, survey = leases.promote_and_survey(shard)
            if promoted and shard in own:
                found.surveys[shard] = survey
        for claiming in self.claimings:
            claiming.vain = 0.0
        for shard, survey in found.surveys.items():
            if shard in own or found.waited.get(shard, 0.0) > _HELPS_AFTER:
                self.claimings[shard].note(survey)
                if (at := self.claimings[shard].deferred) is not None:
                    opens.append(at)
        self._asked = False
        now = time.monotonic()
        spent = now - began
        self._scout_at = began + max(_SCOUT_EVERY, (spent + vain) / _DUTY)
        self._hurried_at = now + _BREATH * spent
        if max(claiming.urgency for claiming in self.claimings) > self.claimings[self._at].urgency:
            self._until = 0.0
        return min(opens, default=None)

    def order(self, ended: Collection[int]) -> Iterator[tuple[Claiming, bool]]:
        """Yield who exchanges in this round, and whether it may claim.

        Args:
            ended: shards of the outcomes that are to be written.
        """
        if self._alone:
            yield self.claimings[0], True
            return
        chosen = self._choose()
        for claiming in self.claimings:
            # what a finish releases is claimed with it, unless one shard has enough for all
            if claiming is not chosen and (claiming.shard in ended or claiming.freed):
                yield claiming, chosen is None and claiming.shard in self._own
        if chosen is None:
            return
        yield chosen, True
        count = len(self.claimings)
        for step in range(1, count):
            claiming = self.claimings[(self._at + step) % count]
            if claiming.more:
                yield claiming, True

    def goes_on(self, claiming: Claiming) -> bool:
        """Whether steps that a finish releases are gone on with, though it is the turn of another shard.

        They would be written as available, only to be found and locked and written again. But what is long
        must not keep this process from others, nor what is worse from better.
        """
        return (
            claiming.shard in self._own
            and claiming.urgency >= self.claimings[self._at].urgency
            and time.monotonic() < self._began.get(claiming.shard, 0.0) + _GOES_ON
        )

    def _choose(self) -> Claiming | None:
        """Return whose turn it is among those that seem to hold work."""
        now = time.monotonic()
        if self.claimings[self._at].more and now < self._until:
            return self.claimings[self._at]
        ready = [claiming for claiming in self.claimings if claiming.more]
        if not ready:
            return None
        self._turn += 1
        if self._turn % (_BY_PRIORITY + 1):
            best = max(claiming.urgency for claiming in ready)
            self._ranked = self._next(self._ranked, [one.shard for one in ready if one.urgency == best])
            self._at = self._ranked
        else:
            self._plain = self._next(self._plain, [one.shard for one in ready])
            self._at = self._plain
        self._until = now + _TURN
        self._began[self._at] = now
        return self.claimings[self._at]

    def _next(self, last: int, shards: Iterable[int]) -> int:
        """Return the shard that follows the last one among these, in a circle."""
        return min(shards, key=lambda shard: (shard - last - 1) % len(self.claimings))
