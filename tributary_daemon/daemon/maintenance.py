"""What one worker per database does for all: rescue, promotion, schedules, samples, leftovers, retention."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.daemon.scheduler import Scheduler
from tributary_daemon.store import membership

if TYPE_CHECKING:
    from tributary_daemon.daemon.clock import DatabaseClock
    from tributary_daemon.daemon.pruner import Pruners
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Connection

TICK: Final = 2.0
_LEADS_FOR: Final = 6.0
_TIDY_EVERY: Final = 5.0
_SAMPLE_EVERY: Final = 10.0
_FORGET_EVERY: Final = 60.0
_SILENT: Final = 60.0
_FIRST: Final = 6.0
_RELEASES_FOR: Final = 0.1


class Maintenance:
    """Runs in the supervisor that holds the lease of the role ``maintenance``.

    Args:
        shards: number of shards.
        lease: seconds that a process's leases outlive its last beat.
        clock: of the database.
        pruner: of finished work.
        keys: of encrypted values; None for none.
    """

    def __init__(
        self, shards: int, lease: float, clock: DatabaseClock, pruner: Pruners, keys: Ring | None = None
    ) -> None:
        self._shards = shards
        self._lease = lease
        self._clock = clock
        self._pruner = pruner
        self._scheduler = Scheduler(keys)
        self._leads = self._releases = False
        self._due = 0.0
        self._tidy_due = 0.0
        self._sample_due = 0.0
        self._forget_due = 0.0
        self._deadline = math.inf
        self._swept: list[str] | None = None
        # a new leader does not know whether there was an outage: who lives beats again within this time
        self._rescue_due = time.monotonic() + min(lease, _FIRST)

    @property
    def due_in(self) -> float:
        """Seconds until `work` has something to do; at most a tick."""
        if self._releases:
            return 0.0
        if not self._leads:
            return TICK
        deadline_in = max(0.0, self._deadline - time.monotonic())
        return min(self._pruner.due_in, self._scheduler.due_in, deadline_in, TICK)

    def spare(self) -> None:
        """Take nothing from anybody for the time of a lease; when slots are due is computed anew."""
        self._rescue_due = time.monotonic() + self._lease
        self._scheduler.doubt()

    def rescue(self, connection: Connection) -> None:
        """Take from the dead what is theirs, unless all are to beat first."""
        if time.monotonic() >= self._rescue_due:
            expected = self._clock.time_of(time.monotonic())
            rescued = membership.rescue(connection, self._shards, self._lease, expected)
            if rescued:
                events.emit(events.AttemptsRescued(count=rescued))

    def tick(self, connection: Connection, worker_id: int) -> None:
        """Do what is due."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + TICK
        tidies = now >= self._tidy_due
        chores = membership.attend(
            connection, worker_id, _LEADS_FOR, lease=self._lease, expected=self._clock.time_of(now),
            silent=_SILENT if tidies else None,
        )  # fmt: skip
        self._leads = chores is not None
        if chores is None:
            return
        self._scheduler.told(chores.schedule_in, queued=chores.queued)
        self._deadline = math.inf if chores.deadline_in is None else now + chores.deadline_in
        if chores.dead:
            self.rescue(connection)
        # a backstop: processes promote what is due themselves, workers release what waits for their names
        if tidies:
            self._tidy_due = now + _TIDY_EVERY
        if chores.due:
            membership.promote(connection, self._shards)
        if chores.waiting:
            self._release(connection)
        if chores.abandoned and now >= self._rescue_due:
            membership.tidy(connection, self._shards, _SILENT)
        if now >= self._sample_due:
            self._sample_due = now + _SAMPLE_EVERY
            membership.sample_queues(connection)
            self._swept = membership.sweep_groups(connection, self._swept)
        if now >= self._forget_due:
            self._forget_due = now + _FORGET_EVERY
            membership.prune_cache(connection)

    def work(self, connection: Connection, *, new: bool, drains: bool) -> None:
        """End runs past their timeout, fire schedules, prune finished work: for some milliseconds, if it led.

        Args:
            connection: to the database.
            new: nobody had offered some of the names before: what waits for them is released, led or not.
            drains: it prunes and releases no more; schedules cannot wait: nobody leads until it has left.
        """
        self._releases = not drains and (self._releases or new)
        if self._releases:
            self._release(connection)
        if self._leads:
            if time.monotonic() >= self._deadline:
                # what is left, or has come since, the next tick tells
                self._deadline = math.inf
                membership.expire_runs(connection, self._shards)
            self._scheduler.fire(connection)
            if not drains:
                self._pruner.batch(connection)

    def _release(self, connection: Connection) -> None:
        # a million that were recorded before the first worker came must not keep it from its beats
        self._releases = membership.release_waiting(connection, self._shards, within=_RELEASES_FOR) > 0
