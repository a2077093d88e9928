"""Pruning of finished work: sweeps over the key, in batches that hold their locks for milliseconds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Callable

_TARGET: Final = 0.015
_PAUSE: Final = 1.0
_FEWEST: Final = 50
_MOST: Final = 5_000
_FIRST: Final = 250


class Place(NamedTuple):
    """Where a window begins: behind this step."""

    run_id: str
    ordinal: int


START: Final = Place("00000000-0000-0000-0000-000000000000", -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What may go.

    Attributes:
        keep: seconds that work is kept after its end.
        keep_letters: seconds that a dead letter keeps its work; None for as long as the letter is there.
        states: only runs and intents that ended in these; None for all.
        tenant: only its work; None for everybody's.
    """

    keep: float
    keep_letters: float | None = None
    states: tuple[str, ...] | None = None
    tenant: str | None = None


class Batch(NamedTuple):
    """What a batch removed, or found; ``next`` is None at the end of the shard."""

    runs: int
    intents: int
    next: Place | None


def prune(shard: int, retention: Retention, place: Place, limit: int) -> Operation[Batch]:
    """Remove what may go of the ``limit`` steps behind a place, with all that belongs to it.

    Not for the transaction of somebody else: what it locks is to be free again at once.
    """
    rows = yield Query(query("prune_batch"), _parameters(shard, retention, place, limit))
    return _batch(*rows[0])


def count(shard: int, retention: Retention, place: Place, limit: int) -> Operation[Batch]:
    """Count what `prune` would remove."""
    rows = yield Query(query("find_prunable"), _parameters(shard, retention, place, limit))
    return _batch(*rows[0])


def _parameters(shard: int, retention: Retention, place: Place, limit: int) -> dict[str, object]:
    return {
        "shard": shard,
        "after": place.run_id,
        "ordinal": place.ordinal,
        "keep": retention.keep,
        "keep_letters": retention.keep_letters,
        "states": None if retention.states is None else list(retention.states),
        "tenant": retention.tenant,
        "limit": limit,
    }


def _batch(runs: int, intents: int, after: str | None, ordinal: int) -> Batch:
    return Batch(runs, intents, None if after is None else Place(after, ordinal))


@dataclass(slots=True, kw_only=True)
class Paced:
    """Batches as large as fits into 15 ms, by the time that the ones before took, and pauses as long.

    Rows may be large, have many belongings, or stay, and machines differ.

    Attributes:
        runs: how many went so far.
        intents: how many went so far.
        seconds: that the batches took.
        idle: of these, seconds of batches in which nothing went.
        pause: seconds to wait before the next batch, so that others get their turn.
    """

    runs: int = 0
    intents: int = 0
    seconds: float = 0.0
    idle: float = 0.0
    pause: float = 0.0
    _limit: float = field(default=_FIRST)

    def _took(self, began: float, went: int) -> None:
        took = max(time.monotonic() - began, 1e-6)
        self.seconds += took
        if not went:
            self.idle += took
        # by half or double at most: one slow batch may have waited for the disk
        self._limit = min(max(self._limit * min(max(_TARGET / took, 0.5), 2.0), _FEWEST), _MOST)
        self.pause = _PAUSE * took


@dataclass(slots=True)
class Sweep(Paced):
    """One pass over all shards, a batch at a time.

    Attributes:
        retention: what may go.
        shards: number of shards.
        act: `prune`, or `count` to change nothing.
    """

    retention: Retention
    shards: int
    act: Callable[[int, Retention, Place, int], Operation[Batch]] = prune
    _shard: int = 0
    _place: Place = START

    @property
    def ended(self) -> bool:
        """Whether all shards were passed."""
        return self._shard >= self.shards

    def batch(self) -> Operation[None]:
        """Do the next batch; one that broke off is simply done again."""
        began = time.monotonic()
        done = yield from self.act(self._shard, self.retention, self._place, round(self._limit))
        self.runs += done.runs
        self.intents += done.intents
        self._took(began, done.runs + done.intents)
        self._shard, self._place = (self._shard + 1, START) if done.next is None else (self._shard, done.next)
