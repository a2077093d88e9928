"""Retention: the worker that leads removes finished work as it comes of age, a few milliseconds at a time."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.errors import DatabaseUnreachable, TributaryError
from tributary_daemon.store import db
from tributary_daemon.store.pruning import Sweep

if TYPE_CHECKING:
    from tributary_daemon.store.db import Connection
    from tributary_daemon.store.pruning import Retention

_REST: Final = 60.0
_IDLE_SHARE: Final = 20.0
_TELL_EVERY: Final = 60.0


class Pruner:
    """Sweeps over the key, rests, sweeps again; one batch per call.

    Between batches it pauses a little longer than the last one took, between sweeps for a minute, or
    longer when much of the sweep was spent on what stays: looking in vain takes at most a twentieth of
    one connection.

    Args:
        retention: what may go; None for nothing.
        shards: number of shards.
    """

    def __init__(self, retention: Retention | None, shards: int) -> None:
        self._retention = retention
        self._shards = shards
        self._sweep: Sweep | None = None
        self._due = 0.0 if retention is not None else math.inf
        self._told_at = 0.0

    @property
    def due_in(self) -> float:
        """Seconds until the next batch."""
        return max(0.0, self._due - time.monotonic())

    def batch(self, connection: Connection) -> None:
        """Prune one batch if it is time."""
        if self._retention is None or time.monotonic() < self._due:
            return
        if self._sweep is None:
            self._sweep = Sweep(self._retention, self._shards)
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
            self._due = time.monotonic() + max(_REST, _IDLE_SHARE * self._sweep.idle)
            self._sweep = None
        elif time.monotonic() - self._told_at > _TELL_EVERY:
            self._tell(self._sweep)

    def _tell(self, sweep: Sweep) -> None:
        if sweep.runs or sweep.intents:
            events.emit(
                events.HistoryPruned(runs=sweep.runs, intents=sweep.intents, seconds=round(sweep.seconds, 3))
            )
        sweep.runs, sweep.intents, sweep.seconds = 0, 0, 0.0
        self._told_at = time.monotonic()
