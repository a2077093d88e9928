"""Retention by workflow, and unique keys whose work has ended: sweeps in short batches."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

_TARGET: Final = 0.015
_PAUSE: Final = 1.0
_FEWEST, _MOST = 50, 5_000
_FIRST: Final = 250.0
_NOWHERE: Final = "00000000-0000-0000-0000-000000000000"
_FIRST_KEY: Final = ("", "", "")


class Keep(NamedTuple):
    """What a workflow says of its finished runs: ``days``, or those before the id ``oldest`` go."""

    name: str
    days: int | None
    oldest: str | None


def keeps() -> Operation[list[Keep]]:
    """Read what workflows say of their finished runs."""
    rows = yield Query(query("workflow_keeps"))
    return [Keep(*row) for row in rows]


def prune_kept(
    shard: int, keep: Keep, keep_letters: float | None, after: str, limit: int, *, act: bool
) -> Operation[tuple[int, str | None]]:
    """Remove what may go of the ``limit`` runs behind an id; return how many went, and where to go on."""
    rows = yield Query(
        query("prune_kept"),
        {
            "shard": shard,
            "name": keep.name,
            "after": after,
            "from": keep.oldest,
            "days": keep.days,
            "keep_letters": keep_letters,
            "limit": limit,
            "act": act,
        },
    )
    return rows[0][0], rows[0][1]


def forget(
    shard: int, place: tuple[str, str, str], limit: int
) -> Operation[tuple[int, tuple[str, str, str] | None]]:
    """Forget unique keys among the ``limit`` behind a place; return how many went, and where to go on."""
    tenant, name, key = place
    rows = yield Query(
        query("forget_unique"), {"shard": shard, "tenant": tenant, "name": name, "key": key, "limit": limit}
    )
    count, *last = rows[0]
    return count, None if last[0] is None else (last[0], last[1], last[2])


@dataclass(slots=True)
class _Paced:
    """Batches as large as fits into 15 ms, and pauses as long as they took.

    Attributes:
        runs: how many went so far.
        intents: always 0: sweeps of finished work count both.
        seconds: that the batches took.
        idle: of these, seconds of batches in which nothing went.
        pause: seconds to wait before the next batch.
        ended: whether all was passed.
    """

    shards: int
    runs: int = 0
    intents: int = 0
    seconds: float = 0.0
    idle: float = 0.0
    pause: float = 0.0
    ended: bool = False
    _shard: int = 0
    _limit: float = field(default=_FIRST)

    def _took(self, began: float, went: int) -> None:
        took = max(time.monotonic() - began, 1e-6)
        self.seconds += took
        if not went:
            self.idle += took
        self._limit = min(max(self._limit * min(max(_TARGET / took, 0.5), 2.0), _FEWEST), _MOST)
        self.pause = _PAUSE * took


@dataclass(slots=True)
class KeepSweep(_Paced):
    """One pass over the finished runs of all workflows that have a ``keep``.

    Attributes:
        keep_letters: seconds that a dead letter keeps its run; None for as long as the letter is there.
        act: whether runs are removed, or only counted.
        by_name: how many went of each workflow.
    """

    keep_letters: float | None = None
    act: bool = True
    by_name: dict[str, int] = field(default_factory=dict)
    _keeps: list[Keep] | None = None
    _after: str = _NOWHERE

    def batch(self) -> Operation[None]:
        """Do the next batch; one that broke off is simply done again."""
        began, went = time.monotonic(), 0
        if self._keeps is None:
            found = yield from keeps()
            self._keeps = [keep for keep in found if keep.days is not None or keep.oldest is not None]
        elif self._keeps:
            keep = self._keeps[0]
            went, after = yield from prune_kept(
                self._shard, keep, self.keep_letters, self._after, round(self._limit), act=self.act
            )
            self.runs += went
            if went:
                self.by_name[keep.name] = self.by_name.get(keep.name, 0) + went
            self._after = after or _NOWHERE
            if after is None:
                self._shard += 1
            if self._shard >= self.shards:
                self._shard = 0
                self._keeps = self._keeps[1:]
        self.ended = not self._keeps
        self._took(began, went)


@dataclass(slots=True)
class KeySweep(_Paced):
    """One pass over the unique keys."""

    _place: tuple[str, str, str] = _FIRST_KEY

    def batch(self) -> Operation[None]:
        """Do the next batch; one that broke off is simply done again."""
        began = time.monotonic()
        went, place = yield from forget(self._shard, self._place, round(self._limit))
        self._place = place or _FIRST_KEY
        if place is None:
            self._shard += 1
        self.ended = self._shard >= self.shards
        self._took(began, went)
