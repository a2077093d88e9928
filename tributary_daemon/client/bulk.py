"""One thing done to all work that fits a selection: in batches, each a short transaction of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.client import options, selecting
from tributary_daemon.client.documents import rfc3339
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import ids
from tributary_daemon.store import bulk, fleet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tributary_daemon.client.options import RunAfter, Settings
    from tributary_daemon.client.selecting import Choice, Chosen, Select
    from tributary_daemon.store.db import Operation

SAMPLE: Final = 10
REFUSALS: Final = 100
_TARGET: Final = 0.05
_FEWEST, _MOST = 1, 200
_FIRST: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steered:
    """What was done to the work that fits, or with ``dry_run`` would be, so far.

    Attributes:
        matched: how many fit.
        done: of these, how many it was done to.
        refused: how many it could not be done to.
        refusals: the first 100 of these: address and reason.
        sample: the first ten that fit.
        dry_run: nothing was done.
        until: only work created before this moment was looked at.
    """

    action: str
    matched: int
    done: int
    refused: int
    refusals: tuple[tuple[str, str], ...]
    sample: tuple[Chosen, ...]
    dry_run: bool
    until: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as the commands print it."""
        return {
            "action": self.action,
            "matched": self.matched,
            "done": self.done,
            "refused": self.refused,
            "refusals": [{"ref": ref, "message": message} for ref, message in self.refusals],
            "sample": [
                {
                    "ref": item.ref,
                    "kind": item.kind,
                    "name": item.name,
                    "state": item.state,
                    "created_at": rfc3339(item.created_at),
                }
                for item in self.sample
            ],
            "dry_run": self.dry_run,
        }


@dataclass(slots=True)
class Bulk:
    """Finds what fits and acts on it, one statement or one batch per call of `step`.

    Batches are as large as fits into 50 ms, by the time that the ones before took: a run of 10,000 steps is
    one of its own.

    Attributes:
        action: cancel, retry, change, requeue or drop.
        given: arguments of the action.
        dry_run: only look.
        acts: whether the next `step` changes something.
        ended: whether all is done.
    """

    action: str
    given: Mapping[str, Any]
    choice: Choice
    limit: int | None
    dry_run: bool
    ended: bool = False
    _shards: int = 0
    _begun: bool = False
    _pending: list[Chosen] = field(default_factory=list)
    _matched: int = 0
    _done: int = 0
    _refused: int = 0
    _refusals: list[tuple[str, str]] = field(default_factory=list)
    _sample: list[Chosen] = field(default_factory=list)
    # hashes: of a million ids the texts would take a quarter of a gigabyte
    _seen: set[int] = field(default_factory=set)
    _size: float = _FIRST

    @property
    def acts(self) -> bool:
        """Whether the next `step` changes something."""
        return bool(self._pending)

    def step(self) -> Operation[None]:
        """Look for more, or act on a batch of what was found; one that broke off may be done again."""
        if not self._begun:
            yield from self.choice.begin()
            self._shards = (yield from fleet.clock()).shards
            self._begun = True
        elif self._pending:
            yield from self._act()
        else:
            yield from self._find()
        self.ended = not self._pending and (self.choice.ended or self._full)

    def so_far(self) -> Steered:
        """Return what was done."""
        return Steered(
            action=self.action,
            matched=self._matched,
            done=self._done,
            refused=self._refused,
            refusals=tuple(self._refusals),
            sample=tuple(self._sample),
            dry_run=self.dry_run,
            until=self.choice.until,
        )

    @property
    def _full(self) -> bool:
        return self.limit is not None and self._matched >= self.limit

    def _find(self) -> Operation[None]:
        found = yield from self.choice.page()
        # states are looked through one after the other, and what has moved on is met again
        fresh = [item for item in found if hash(item.aim) not in self._seen]
        if self.limit is not None:
            fresh = fresh[: self.limit - self._matched]
        if self.action == "change":
            # what was refused is remembered by `_act`; only a change leaves work where it is met again
            self._seen.update(hash(item.aim) for item in fresh)
        self._matched += len(fresh)
        self._sample += fresh[: SAMPLE - len(self._sample)]
        if not self.dry_run:
            self._pending = sorted(fresh, key=lambda item: (self._shard(item), item.aim.work_id))

    def _act(self) -> Operation[None]:
        first = self._pending[0]
        batch = [
            item for item in self._pending[: round(self._size)] if self._shard(item) == self._shard(first)
        ]
        # dead letters of one run go together
        while len(batch) < len(self._pending) and (
            self._pending[len(batch)].aim.work_id == batch[-1].aim.work_id
        ):
            batch.append(self._pending[len(batch)])
        began = time.monotonic()
        answers = yield from bulk.act(
            self._shard(first), self.action, [item.aim for item in batch], self.given
        )
        took = max(time.monotonic() - began, 1e-6)
        self._size = min(max(self._size * min(max(_TARGET / took, 0.25), 2.0), _FEWEST), _MOST)
        del self._pending[: len(batch)]
        for item, answer in zip(batch, answers, strict=True):
            if answer.code is None:
                self._done += 1
                continue
            self._refused += 1
            self._seen.add(hash(item.aim))
            if len(self._refusals) < REFUSALS:
                self._refusals.append((item.ref, answer.message or answer.code))

    def _shard(self, item: Chosen) -> int:
        return ids.slot_of(item.aim.work_id) % max(self._shards, 1)


def cancelling(given: Select, settings: Settings, reason: str | None, *, dry_run: bool) -> Bulk:
    """Return what cancels all work that fits and has not ended."""
    chosen = selecting.choice(given, settings, selecting.UNFINISHED)
    return Bulk("cancel", {"reason": reason}, chosen, given.get("limit"), dry_run)


def retrying(given: Select, settings: Settings, *, dry_run: bool) -> Bulk:
    """Return what puts all failed work that fits back to work."""
    chosen = selecting.choice(given, settings, selecting.FAILED)
    return Bulk("retry", {}, chosen, given.get("limit"), dry_run)


def requeueing(given: Select, settings: Settings, *, dry_run: bool) -> Bulk:
    """Return what puts all dead letters that fit back to work."""
    chosen = selecting.choice(given, settings, (), letters=True)
    return Bulk("requeue", {}, chosen, given.get("limit"), dry_run)


def dropping(given: Select, settings: Settings, *, dry_run: bool) -> Bulk:
    """Return what forgets all dead letters that fit."""
    chosen = selecting.choice(given, settings, (), letters=True)
    return Bulk("drop", {}, chosen, given.get("limit"), dry_run)


def changing(
    given: Select,
    settings: Settings,
    *,
    priority: int | None,
    queue: str | None,
    run_after: RunAfter | None,
    dry_run: bool,
) -> Bulk:
    """Return what changes all work that fits and waits.

    Raises:
        InvalidInput: a value is refused, or nothing is to be changed.
    """
    at, delay = options.due(run_after)
    if priority is None and queue is None and run_after is None:
        raise InvalidInput("nothing is to be changed", hint="name a priority, a queue or a time")
    arguments = {
        "priority": None if priority is None else options.checked_priority(priority),
        "queue": None if queue is None else options.queue_name(queue),
        "run_after": None if at is None else at.isoformat(),
        "delay": delay,
    }
    chosen = selecting.choice(given, settings, selecting.CHANGEABLE)
    return Bulk("change", arguments, chosen, given.get("limit"), dry_run)
