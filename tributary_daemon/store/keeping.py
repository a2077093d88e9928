"""Retention by workflow, and unique keys whose work has ended: sweeps in short batches."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.pruning import START, Paced

_NOWHERE: Final = START.run_id
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
class KeepSweep(Paced):
    """One pass over the finished runs of all workflows that have a ``keep``.

    Attributes:
        shards: number of shards.
        keep_letters: seconds that a dead letter keeps its run; None for as long as the letter is there.
        act: whether runs are removed, or only counted.
        by_name: how many went of each workflow.
        ended: whether all was passed.
    """

    shards: int
    keep_letters: float | None = None
    act: bool = True
    by_name: dict[str, int] = field(default_factory=dict)
    ended: bool = False
    _shard: int = 0
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
class KeySweep(Paced):
    """One pass over the unique keys.

    Attributes:
        shards: number of shards.
        ended: whether all was passed.
    """

    shards: int
    ended: bool = False
    _shard: int = 0
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
