"""The supervisor of a worker: runs no handler; owns signals, LISTEN, the beat and the only polling."""

from __future__ import annotations

import os
import selectors
import threading
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.daemon import strays
from tributary_daemon.daemon.admission import Admission
from tributary_daemon.daemon.clock import DatabaseClock
from tributary_daemon.daemon.ears import Ears
from tributary_daemon.daemon.endings import Exit
from tributary_daemon.daemon.family import Family
from tributary_daemon.daemon.health import Health
from tributary_daemon.daemon.maintenance import Maintenance
from tributary_daemon.daemon.orders import Orders
from tributary_daemon.daemon.outage import Outage
from tributary_daemon.daemon.pruner import pruners
from tributary_daemon.daemon.reconnect import LOST, TROUBLE, Reconnect
from tributary_daemon.daemon.sdnotify import ServiceManager
from tributary_daemon.daemon.settlement import Death, forget, settle
from tributary_daemon.daemon.shares import Shares
from tributary_daemon.daemon.stops import Stops
from tributary_daemon.daemon.vitals import VitalSigns
from tributary_daemon.errors import TributaryError
from tributary_daemon.store import membership
from tributary_daemon.store.notify import CANCEL, COMMAND

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.daemon.member import Member
    from tributary_daemon.daemon.plan import WorkerPlan
    from tributary_daemon.store.db import Connection

_SATURATED_FOR: Final = 1.0
_OUTAGE: Final = 2.0
_SETTLE_AGAIN: Final = 1.0
_STATUS_EVERY: Final = 1.0


class Supervisor:
    """Supervises the processes of one worker until it is drained.

    Attributes:
        ready: set once its first process claims.

    Args:
        plan: what the worker is to do.
        spawn: makes a member from its setup and number.
        health: where it publishes how it does; None where nobody asks.
    """

    def __init__(
        self, plan: WorkerPlan, spawn: Callable[[WorkerPlan, int], Member], health: Health | None = None
    ) -> None:
        self._plan = plan
        self._selector = selectors.DefaultSelector()
        self._family = Family(
            plan.processes, lambda number: spawn(plan, number), self._selector, plan.silence_limit,
            plan.recycling,
        )  # fmt: skip
        self._stops = Stops(self._selector)
        self._ears = Ears(plan, self._selector)
        self._link = Reconnect(plan.url, f"trib {plan.name}", prepare=plan.prepare, silence=plan.silence,
                               outage=Outage(plan.name))  # fmt: skip
        self._admission = Admission(plan.names, keyed=bool(plan.keys))
        self._orders = Orders(plan.name, self._family)
        self._vitals = VitalSigns()
        self._health = health or Health(plan)
        self._manager = ServiceManager()
        self._clock = DatabaseClock()
        self._maintenance: Maintenance | None = None
        self._deaths: list[Death] = []
        self._settle_at = self._poll_at = self._status_at = 0.0
        self._worker_id, self._owns_process = 0, False
        self._shares = Shares(plan)
        self._answered_at = time.monotonic()
        self._wake_at: float | None = None
        self._deadline: float | None = None
        self._saturated_since: float | None = None
        self._wants_wake, self._waits = True, False
        self.ready = threading.Event()

    @property
    def worker_id(self) -> int:
        """Id of the worker's row; 0 until it is registered."""
        return self._worker_id

    @property
    def _draining(self) -> bool:
        return self._deadline is not None

    def join_database(self) -> None:
        """Register the worker, so that runs may name it as their runner before the first process is up.

        Raises:
            DatabaseUnreachable: no connection.
        """
        connection = self._link.connection()
        shards = self._shares.found(membership.shard_count(connection))
        pruner = pruners(self._plan, shards)
        self._maintenance = Maintenance(shards, self._plan.lease, self._clock, pruner, self._plan.ring)
        self._register(connection)

    def stop(self) -> None:
        """Ask for a drain; a second call ends it at once. For any thread and for signal handlers."""
        self._stops.request()

    def run(self, *, signals: bool = True) -> int:
        """Work until drained; return the exit code.

        Args:
            signals: take SIGTERM and SIGINT, and as PID 1 reap orphans; False where the caller owns them.
        """
        self._owns_process = signals
        if signals:
            self._stops.take_signals()
        try:
            self._family.fill()
            while not (self._draining and self._family.empty):
                self._turn()
            self._leave()
        finally:
            for death in self._family.kill():
                events.emit(events.ProcessExited(process=death.label, pid=death.pid, code=death.code))
            if signals:
                self._stops.leave_signals()
            self._ears.close()
            self._link.close()
            self._selector.close()
            self._stops.close()
        return 0

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if key.data is self._stops:
                self._stops.heard()
            elif key.data is self._ears:
                self._hear()
            else:
                self._listen_to(key.data)
        if self._stops.count and not self._draining:
            self._begin_drain()
        self._orders.follow_up()
        self._bury()
        if self._deadline is None:
            self._family.fill()
            self._family.renew()
        elif self._stops.count > 1 or time.monotonic() > self._deadline:
            self._mourn(self._family.kill())
        try:
            if not self._worker_id:
                self.join_database()
            self._poll()
            self._admit()
            self._settle()
            self._maintain()
            self._link.served()
        except TROUBLE as error:
            self._lost(error)
        if self._ears.tend():
            self._orders.wake()
            self._family.send("check")
            self._poll_at = 0.0
        self._report()

    def _lost(self, error: Exception) -> None:
        # whether the last beat was written is not known
        self._vitals.forget()
        if self._link.lost(error):
            self._health.lost(error)
        # signals and children go on meanwhile
        self._poll_at = time.monotonic() + max(0.05, self._link.pause)

    def _patience(self) -> float:
        now = time.monotonic()
        until = [self._poll_at - now, self._orders.due_in, 1.0]
        if self._wake_at is not None:
            until.append(self._wake_at - now)
        if self._draining:
            until.append(0.1)
        elif self._maintenance is not None and self._link.pause == 0:
            until.append(self._maintenance.due_in)
        if self._manager.watchdog_every is not None:
            until.append(self._manager.watchdog_every / 2)
        return max(0.0, min(until))

    # --- members ----------------------------------------------------------------------------------

    def _listen_to(self, member: Member) -> None:
        for message in member.messages():
            member.signed_at = time.monotonic()
            match message.get("say"):
                case "offer":
                    self._admission.offered(member, message)
                case "sign":
                    member.saturated, member.trouble = message["saturated"], message["trouble"]
                    self._weigh()
                case "ready":
                    events.emit(events.ProcessStarted(process=member.setup.label, pid=member.pid))
                    self._family.claims(member)
                    self._shares.tell(member)
                    self._tell_ready()
                case "retiring":
                    self._family.retires(member)
        if member.hung_up:
            self._family.hang_up(member)

    def _admit(self) -> None:
        """Start those who have offered; while the database is away they wait."""
        if not self._draining and self._link.pause == 0:
            self._admission.admit(
                self._link.connection, lambda: self._worker_id, self._shares.count, register=self._register,
                holds_bounded=self._family.holds_bounded, paused=self._orders.paused,
            )  # fmt: skip

    def _bury(self) -> None:
        self._mourn(self._family.bury())
        if self._owns_process:
            strays.reap({member.pid for member in self._family})

    def _mourn(self, deaths: list[Death]) -> None:
        for death in deaths:
            ended = events.ProcessExited if death.wanted or self._draining else events.ProcessDied
            events.emit(ended(process=death.label, pid=death.pid, code=death.code))
            death.tell()
            if death.code == Exit.FENCED and not self._draining:
                self._poll_at = 0.0
        if deaths:
            self._admission.keep(set(self._family))
        self._deaths += deaths

    def _settle(self) -> None:
        """Write down what deaths mean; while the database is away they are remembered, and not beaten for.

        One that has to wait for a lock must not keep the others waiting, nor the next beat: it goes to the
        end of the line, and is tried again after a second.
        """
        if time.monotonic() < self._settle_at:
            return
        while self._deaths and self._link.pause == 0:
            death = self._deaths.pop(0)
            try:
                settle(self._link.connection(), death, self._shares.count)
            except LOST:
                self._deaths.append(death)
                self._settle_at = time.monotonic() + _SETTLE_AGAIN
                raise
            except TributaryError as error:
                events.emit(events.SettlementFailed(process=death.label, error=error.message))
                forget(self._link.connection(), death, self._shares.count)
            if not self._deaths and self._maintenance is not None:
                self._maintenance.rescue(self._link.connection())

    def _maintain(self) -> None:
        if self._maintenance is not None and self._link.pause == 0:
            self._maintenance.work(self._link.connection(), new=self._admission.news(), drains=self._draining)

    def _weigh(self) -> None:
        """Saturated for a second: no wake-ups, they serialise commits. Eased: ask for them, look again."""
        now = time.monotonic()
        if not self._family.saturated:
            self._saturated_since = None
            if not self._wants_wake:
                self._wants_wake, self._poll_at = True, 0.0
        elif self._saturated_since is None:
            self._saturated_since = now
        elif self._wants_wake and now - self._saturated_since > _SATURATED_FOR:
            self._wants_wake, self._poll_at = False, 0.0

    # --- database ---------------------------------------------------------------------------------

    def _register(self, connection: Connection) -> None:
        previous, self._worker_id = self._worker_id, membership.register_worker(
            connection, name=self._plan.name, host=self._plan.host, pid=os.getpid(),
            version=self._plan.version, queues=self._plan.served, names=self._admission.names or [],
            concurrency=self._plan.concurrency, failures=self._admission.failures, patterns=self._plan.names,
            shards=self._plan.shards, spreads=self._plan.spreads,
        )  # fmt: skip
        self._waits = False
        self._clock.compare(lambda: membership.server_time(connection))
        if previous:
            membership.inherit_command(connection, self._worker_id, previous, self._orders.command)
            membership.leave(connection, previous, [])

    def _poll(self) -> None:
        now = time.monotonic()
        if self._wake_at is not None and now >= self._wake_at:
            self._wake_at = None
            self._orders.wake()
        if now < self._poll_at:
            return
        self._poll_at = now + min(self._plan.poll_interval, self._plan.beat)
        connection = self._link.connection()
        started = self._family.started
        waits = self._ears.listening and self._wants_wake and not (self._draining or self._orders.paused)
        pulse = membership.beat_worker(
            connection, self._worker_id, self._vitals.of(started, self._clock), self._plan.claimed,
            wants_wake=waits, state=self._orders.state(draining=self._draining), wanted=self._plan.processes,
            shares=self._shares.asks,
        )  # fmt: skip
        if waits and not self._waits:
            self._poll_at = now  # for who submitted between this beat's look and its commit, and woke nobody
        self._waits = waits
        self._health.answered()
        outage = time.monotonic() - self._answered_at > self._plan.beat + _OUTAGE
        self._answered_at = time.monotonic()
        if (self._clock.jumped(pulse.now) or outage) and self._maintenance is not None:
            # after an outage, or a jump of the server's clock, all are to beat first
            self._maintenance.spare()
        self._family.tally.date(self._clock.ahead)
        if not pulse.alive or pulse.beaten < len(started):
            self._fenced()
            return
        if self._orders.take(pulse.command):
            # the next beat, at once, says that it is done
            self._stops.count, self._poll_at = max(self._stops.count, self._orders.stops), 0.0
        self._shares.take(pulse.shards, self._family)
        if not self._draining:
            if pulse.ready - pulse.paused:
                self._orders.wake()
            if pulse.due_in is not None and pulse.due_in < self._plan.poll_interval:
                self._wake_at = now + max(0.0, pulse.due_in) + 0.001
        self._ears.probe(connection)
        if self._maintenance is not None:
            self._maintenance.tick(connection, self._worker_id)

    def _fenced(self) -> None:
        """Others have taken over what this worker held: its processes must stop before new ones start."""
        events.emit(events.WorkerFenced(name=self._plan.name))
        self._health.fenced()
        self._mourn(self._family.kill())
        self._settle()
        self._admission.anew()
        # they may have spread the rows over another number of shards meanwhile
        self.join_database()

    def _hear(self) -> None:
        notes = 0
        for channel, payload in self._ears.hear():
            if channel == CANCEL:
                member = self._family.by_process(int(payload)) if payload.isdigit() else None
                if member is not None:
                    member.send("check")
            elif channel == COMMAND:
                if payload == str(self._worker_id):
                    self._poll_at = 0.0
            elif payload in self._plan.claimed:
                notes += 1
        self._poll_at = min(self._poll_at, self._orders.nudge(notes, self._ears.waiting))

    # --- the end ----------------------------------------------------------------------------------

    def _begin_drain(self) -> None:
        self._deadline = time.monotonic() + self._plan.drain_timeout
        self._poll_at = 0.0
        self._manager.stopping()
        events.emit(events.WorkerDraining(name=self._plan.name, timeout=self._plan.drain_timeout))
        self._family.send("drain")

    def _leave(self) -> None:
        self._settle_at = 0.0
        try:
            self._settle()
            membership.leave(self._link.connection(), self._worker_id, [])
        except TROUBLE as error:
            # the row falls silent and is tidied up by whoever leads
            self._link.lost(error)
        events.emit(events.WorkerStopped(name=self._plan.name))

    # --- what others are told ---------------------------------------------------------------------

    def _tell_ready(self) -> None:
        if not self.ready.is_set():
            self.ready.set()
            self._manager.ready()
            names = len(self._admission.names or [])
            events.emit(events.WorkerStarted(name=self._plan.name, queues=self._plan.served, names=names))

    def _report(self) -> None:
        """Tell the service manager and the health endpoint that the loop has turned, and what it saw."""
        self._health.turned(self._family, draining=self._draining, paused=self._orders.paused)
        self._manager.alive()
        if self._draining:
            self._manager.extend()
        now = time.monotonic()
        if not self._manager.listens or now < self._status_at:
            return
        self._status_at = now + _STATUS_EVERY
        running, finished = sum(len(member.board.running()) for member in self._family), self._family.finished
        away = ", database away" if self._link.trouble is not None else ""
        self._manager.status(
            f"{self._health.report.state} on {','.join(self._plan.served)}: {len(self._family.claiming)} of"
            f" {self._plan.processes} processes claim; {running} attempts run, {finished} have ended{away}"
        )
