"""The supervisor of a worker: runs no handler; owns signals, LISTEN, the beat and the only polling."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import events
from tributary_daemon.daemon import sdnotify
from tributary_daemon.daemon.attempts import CLOSING_NAME
from tributary_daemon.daemon.core import Exit
from tributary_daemon.daemon.family import Family, release, settle
from tributary_daemon.daemon.maintenance import Maintenance
from tributary_daemon.daemon.offers import matching
from tributary_daemon.daemon.reconnect import LOST, Reconnect
from tributary_daemon.store import membership
from tributary_daemon.store.notify import CANCEL, Listener

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from tributary_daemon.daemon.member import Member
    from tributary_daemon.daemon.plan import WorkerPlan

_SATURATED_FOR: Final = 1.0
_SAME_SIGNAL: Final = 0.5
_OUTAGE: Final = 2.0


class Supervisor:
    """Supervises the processes of one worker until it is drained.

    Attributes:
        ready: set once its first process claims.

    Args:
        plan: what the worker is to do.
        spawn: makes a member from its setup and number.
    """

    def __init__(self, plan: WorkerPlan, spawn: Callable[[WorkerPlan, int], Member]) -> None:
        self._plan = plan
        self._selector = selectors.DefaultSelector()
        self._family = Family(
            plan.processes, lambda number: spawn(plan, number), self._selector, plan.silence_limit
        )
        self._link = Reconnect(plan.url, f"trib {plan.name}", prepare=plan.prepare, silence=plan.silence)
        self._listener = Listener(plan.listen_url, f"trib {plan.name} listen")
        self._listening: int | None = None
        self._maintenance: Maintenance | None = None
        self._worker_id = 0
        self._names: list[str] | None = None
        self._failures: list[dict[str, Any]] = []
        self._shards = 1
        self._offers: dict[Member, dict[str, Any]] = {}
        self._stops = 0
        self._signal_at = 0.0
        self._answered_at = time.monotonic()
        self._poll_at = 0.0
        self._wake_at: float | None = None
        self._deadline: float | None = None
        self._saturated_since: float | None = None
        self._wants_wake = True
        self.ready = threading.Event()
        self._self_pipe = socket.socketpair()
        for end in self._self_pipe:
            end.setblocking(False)
        self._selector.register(self._self_pipe[0], selectors.EVENT_READ, None)

    @property
    def worker_id(self) -> int:
        """Id of the worker's row; 0 until it is registered."""
        return self._worker_id

    def join_database(self) -> None:
        """Register the worker, so that runs may name it as their runner before the first process is up.

        Raises:
            DatabaseUnreachable: no connection.
        """
        connection = self._link.connection()
        self._shards = membership.shard_count(connection)
        self._maintenance = Maintenance(self._shards, self._plan.lease)
        self._register(connection)

    def stop(self) -> None:
        """Ask for a drain; a second call ends it at once. For any thread and for signal handlers."""
        self._stops += 1
        self._nudge()

    def run(self, *, signals: bool = True) -> int:
        """Work until drained; return the exit code.

        Args:
            signals: take SIGTERM and SIGINT; False where the caller owns them.
        """
        if signals:
            signal.set_wakeup_fd(self._self_pipe[1].fileno(), warn_on_full_buffer=False)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
        try:
            if not self._worker_id:
                self.join_database()
            self._family.fill()
            while not (self._deadline is not None and self._family.empty):
                self._turn()
            self._leave()
        finally:
            for member in self._family.kill():
                events.emit(events.ProcessExited(process=member.setup.label, pid=member.pid, code=-9))
            self._listener.close()
            self._link.close()
            if signals:
                signal.set_wakeup_fd(-1)
            self._selector.close()
            for end in self._self_pipe:
                end.close()
        return 0

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # `timeout` and some shells send one stop twice, to the process and to its group
        now = time.monotonic()
        if now - self._signal_at > _SAME_SIGNAL:
            self.stop()
        self._signal_at = now

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                self._drain_pipe()
            elif key.data is self._listener:
                self._hear()
            else:
                self._listen_to(key.data)
        if self._stops and self._deadline is None:
            self._begin_drain()
        self._bury()
        if self._deadline is not None:
            if self._stops > 1 or time.monotonic() > self._deadline:
                self._end_now()
        else:
            self._family.fill()
        try:
            self._admit()
            self._poll()
        except LOST as error:
            self._lost(error)
        self._tend_listener()

    def _lost(self, error: Exception) -> None:
        if self._link.lost():
            events.emit(events.DatabaseLost(process=self._plan.name, error=str(error)))
        # nobody sleeps out the pause: signals and children go on
        self._poll_at = time.monotonic() + max(0.05, self._link.pause)

    def _patience(self) -> float:
        now = time.monotonic()
        until = [self._poll_at - now, 1.0]
        if self._wake_at is not None:
            until.append(self._wake_at - now)
        if self._deadline is not None:
            until.append(0.1)
        return max(0.0, min(until))

    # --- members ----------------------------------------------------------------------------------

    def _listen_to(self, member: Member) -> None:
        for message in member.messages():
            member.signed_at = time.monotonic()
            match message["say"]:
                case "offer":
                    self._offers[member] = message
                case "sign":
                    member.saturated = message["saturated"]
                    self._weigh()
                case "ready":
                    events.emit(events.ProcessStarted(process=member.setup.label, pid=member.pid))
                    self._tell_ready()

    def _admit(self) -> None:
        """Start those who have offered; while the database is away they wait."""
        if self._deadline is not None or self._link.pause > 0:
            return
        for member, message in list(self._offers.items()):
            names = self._publish(message)
            process_id = membership.register_process(
                self._link.connection(), name=member.setup.label, pid=member.pid, worker_id=self._worker_id
            )
            del self._offers[member]
            member.start(process_id, [*names, CLOSING_NAME], self._shards)

    def _publish(self, message: dict[str, Any]) -> list[str]:
        """Register what the first member offers for the whole worker; return what this member claims."""
        offered = {handler["name"]: handler for handler in message["handlers"]}
        names = matching(offered, self._plan.names)
        if self._names is None:
            connection = self._link.connection()
            self._failures = message["failures"]
            self._register(connection, names)
            if membership.register_handlers(connection, [offered[name] for name in names]):
                membership.release_waiting(connection, self._shards)
            self._names = names
            for failure in self._failures:
                events.emit(
                    events.HandlerImportFailed(
                        module=failure["module"], names=failure["names"], error=failure["error"]
                    )
                )
        return names

    def _bury(self) -> None:
        for member, code in self._family.bury():
            ended = (
                events.ProcessExited
                if code == Exit.DRAINED and self._deadline is not None
                else events.ProcessDied
            )
            events.emit(ended(process=member.setup.label, pid=member.pid, code=code))
            self._offers.pop(member, None)
            try:
                settle(self._link.connection(), member, code, self._shards, self._plan.lease)
            except LOST as error:
                # its lease ends by itself: it is beaten no more
                self._lost(error)
            if code == Exit.FENCED and self._deadline is None:
                self._poll_at = 0.0

    def _weigh(self) -> None:
        """Saturated for a second: no wake-ups, they serialise commits. Eased: ask for them, look again."""
        now = time.monotonic()
        if not self._family.saturated:
            self._saturated_since = None
            if not self._wants_wake:
                self._wants_wake = True
                self._poll_at = 0.0
        elif self._saturated_since is None:
            self._saturated_since = now
        elif self._wants_wake and now - self._saturated_since > _SATURATED_FOR:
            self._wants_wake = False
            self._poll_at = 0.0

    # --- database ---------------------------------------------------------------------------------

    def _register(self, connection: Any, names: Sequence[str] = ()) -> None:
        previous, self._worker_id = self._worker_id, membership.register_worker(
            connection, name=self._plan.name, host=self._plan.host, pid=os.getpid(),
            version=self._plan.version,
            queues=self._plan.served, names=self._names or names, concurrency=self._plan.concurrency,
            failures=self._failures,
        )  # fmt: skip
        if previous:
            membership.leave(connection, previous, [])

    def _poll(self) -> None:
        now = time.monotonic()
        if self._wake_at is not None and now >= self._wake_at:
            self._wake_at = None
            self._family.send("wake")
        if now < self._poll_at:
            return
        self._poll_at = now + min(self._plan.poll_interval, self._plan.beat)
        sdnotify.notify("WATCHDOG=1")
        connection = self._link.connection()
        started = self._family.started
        wanted = self._wants_wake
        pulse = membership.supervise(
            connection, self._worker_id, [member.process_id for member in started], self._plan.claimed,
            wants_wake=wanted and self._deadline is None and self._listener.listening,
            state="draining" if self._deadline is not None else "running",
        )  # fmt: skip
        outage, self._answered_at = (
            time.monotonic() - self._answered_at > self._plan.beat + _OUTAGE,
            time.monotonic(),
        )
        if not pulse.alive or pulse.beaten < len(started):
            self._fenced(connection)
            return
        if self._deadline is None:
            if pulse.ready - pulse.paused:
                self._family.send("wake")
            if pulse.due_in is not None and pulse.due_in < self._plan.poll_interval:
                self._wake_at = now + max(0.0, pulse.due_in) + 0.001
        self._listener.probe(connection)
        if self._maintenance is not None:
            if outage:
                self._maintenance.spare()
            self._maintenance.tick(connection, self._worker_id)

    def _fenced(self, connection: Any) -> None:
        """Others have taken over what this worker held: its processes must stop before new ones start."""
        events.emit(events.WorkerFenced(name=self._plan.name))
        for member in self._family.kill():
            settle(connection, member, Exit.FENCED, self._shards, self._plan.lease)
        self._register(connection)

    def _tend_listener(self) -> None:
        if self._listener.ensure():
            self._family.send("wake")
            self._family.send("check")
            self._poll_at = 0.0
        current = self._listener.fileno()
        if current == self._listening:
            return
        if self._listening is not None:
            self._selector.unregister(self._listening)
        if current is not None:
            self._selector.register(current, selectors.EVENT_READ, self._listener)
        self._listening = current

    def _hear(self) -> None:
        woken = False
        for channel, payload in self._listener.receive():
            if channel == CANCEL:
                member = self._family.by_process(int(payload)) if payload.isdigit() else None
                if member is not None:
                    member.send("check")
            elif payload in self._plan.claimed:
                woken = True
        if woken:
            self._family.send("wake")
        if self._listener.fileno() is None and self._listening is not None:
            # the connection was lost: its number may be handed out anew at any moment
            self._selector.unregister(self._listening)
            self._listening = None

    # --- the end ----------------------------------------------------------------------------------

    def _begin_drain(self) -> None:
        self._deadline = time.monotonic() + self._plan.drain_timeout
        self._poll_at = 0.0
        sdnotify.notify("STOPPING=1")
        events.emit(events.WorkerDraining(name=self._plan.name, timeout=self._plan.drain_timeout))
        self._family.send("drain")

    def _end_now(self) -> None:
        started = [member.process_id for member in self._family.kill() if member.process_id]
        try:
            connection = self._link.connection()
            release(connection, started, self._shards)
            membership.leave(connection, None, started)
        except LOST as error:
            # their leases end by themselves: they are beaten no more
            self._lost(error)

    def _leave(self) -> None:
        try:
            membership.leave(self._link.connection(), self._worker_id, [])
        except LOST:
            # the row falls silent and is tidied up by whoever leads
            self._link.lost()
        events.emit(events.WorkerStopped(name=self._plan.name))

    def _tell_ready(self) -> None:
        if not self.ready.is_set():
            self.ready.set()
            sdnotify.notify("READY=1")
            events.emit(
                events.WorkerStarted(
                    name=self._plan.name, queues=self._plan.served, names=len(self._names or [])
                )
            )

    def _nudge(self) -> None:
        # it may be full of nudges already, or the worker has ended
        with suppress(OSError):
            self._self_pipe[1].send(b"!")

    def _drain_pipe(self) -> None:
        try:
            while self._self_pipe[0].recv(4096):
                pass
        except BlockingIOError:
            pass


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
