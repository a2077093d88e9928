"""Retention: the worker that leads removes finished work as it comes of age, a few milliseconds at a time."""

from __future__ import annotations

import math
import time
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from tributary_daemon import events
from tributary_daemon.errors import DatabaseUnreachable, TributaryError
from tributary_daemon.store import db
from tributary_daemon.store.audits import AuditSweep
from tributary_daemon.store.keeping import KeepSweep, KeySweep
from tributary_daemon.store.pruning import Sweep

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.daemon.plan import WorkerPlan
    from tributary_daemon.store.db import Connection, Operation

_REST: Final = 60.0
# what has little to do most of the time is not to wake an idle worker every minute
_LONG_REST: Final = 300.0
_IDLE_SHARE: Final = 20.0
_TELL_EVERY: Final = 60.0


class Sweeping(Protocol):
    """One pass over what may go, a batch at a time; see `pruning.Sweep`."""

    runs: int
    intents: int
    seconds: float
    idle: float
    pause: float

    @property
    def ended(self) -> bool: ...
    def batch(self) -> Operation[None]: ...


class Pruner:
    """Sweeps over the key, rests, sweeps again; one batch per call.

    Between batches it pauses a little longer than the last one took, between sweeps for a minute, or
    longer when much of the sweep was spent on what stays: looking in vain takes at most a twentieth of
    one connection.

    Args:
        begin: makes a sweep; None for none.
        rest: seconds between sweeps, at least.
    """

    def __init__(self, begin: Callable[[], Sweeping] | None, rest: float = _REST) -> None:
        self._begin = begin
        self._rest = rest
        self._sweep: Sweeping | None = None
        self._due = 0.0 if begin is not None else math.inf
        self._told_at = 0.0

    @property
    def due_at(self) -> float:
        """When the next batch is due, in monotonic seconds."""
        return self._due

    @property
    def due_in(self) -> float:
        """Seconds until the next batch."""
        return max(0.0, self._due - time.monotonic())

    def batch(self, connection: Connection) -> None:
        """Prune one batch if it is time."""
        if self._begin is None or time.monotonic() < self._due:
            return
        if self._sweep is None:
            self._sweep = self._begin()
            self._told_at = time.monotonic()
        try:
            db.run(connection, self._sweep.batch())
        except DatabaseUnreachable:
            raise
        except TributaryError as error:
            events.emit(events.PruningFailed(error=error.message))
            self._sweep = None
            self._due = time.monotonic() + _REST
            return
        self._due = time.monotonic() + self._sweep.pause
        if self._sweep.ended:
            self._tell(self._sweep)
            self._due = time.monotonic() + max(self._rest, _IDLE_SHARE * self._sweep.idle)
            self._sweep = None
        elif time.monotonic() - self._told_at > _TELL_EVERY:
            self._tell(self._sweep)

    def _tell(self, sweep: Sweeping) -> None:
        if sweep.runs or sweep.intents:
            events.emit(
                events.HistoryPruned(runs=sweep.runs, intents=sweep.intents, seconds=round(sweep.seconds, 3))
            )
        sweep.runs, sweep.intents, sweep.seconds = 0, 0, 0.0
        self._told_at = time.monotonic()


class Pruners:
    """Several that take turns.

    Args:
        pruners: of which each has a pace of its own.
    """

    def __init__(self, *pruners: Pruner) -> None:
        self._pruners = pruners

    @property
    def due_in(self) -> float:
        """Seconds until one of them has something to do."""
        return min(pruner.due_in for pruner in self._pruners)

    def batch(self, connection: Connection) -> None:
        """Prune one batch, of the one that is due the longest, if it is time."""
        min(self._pruners, key=lambda pruner: pruner.due_at).batch(connection)


def pruners(plan: WorkerPlan, shards: int) -> Pruners:
    """Return what a leader prunes: old work, what workflows say of their own runs, unique keys, audits."""
    old = None if plan.retention is None else partial(Sweep, plan.retention, shards)
    if not plan.tends:
        return Pruners(Pruner(old))
    kept = partial(KeepSweep, shards, keep_letters=plan.keep_letters)
    return Pruners(
        Pruner(old),
        Pruner(kept, _LONG_REST),
        Pruner(partial(KeySweep, shards), _LONG_REST),
        Pruner(partial(AuditSweep, shards), _LONG_REST),
    )
