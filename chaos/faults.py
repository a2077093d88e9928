"""The faults: each begins, lasts, and is undone, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from random import Random
from typing import TYPE_CHECKING

import psycopg

from tributary_daemon.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.plan import Fault
    from chaos.relay import Relay
    from chaos.server import Server
    from chaos.workers import Worker

_HELD_ROWS = """
    select 1 from tributary.steps
    where (shard, run_id, ordinal) in (
        select shard, run_id, ordinal from tributary.steps
        where state in ('blocked', 'available', 'running', 'scheduled') order by random() limit 12)
    for update
"""
_HELD_RUNS = """
    select 1 from tributary.runs
    where run_id in (select run_id from tributary.runs where state = 'running' order by random() limit 3)
    for update
"""
_OTHERS = "select pid from pg_stat_activity where application_name like 'trib%' order by pid"
_LONGEST_JUMP = 3600.0


class Faults:
    """Injects faults into a server and its workers.

    Args:
        server: of the workers.
        workers: by number.
        relay: before the server, for one of them.
        say: is told what happens.
    """

    def __init__(
        self, server: Server, workers: list[Worker], relay: Relay, say: Callable[[str], None]
    ) -> None:
        self._server = server
        self._workers = workers
        self._relay = relay
        self._say = say
        self._healed = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, fault: Fault) -> None:
        """Start a fault; it ends by itself."""
        thread = threading.Thread(target=self._run, args=(fault,), name=fault.kind)
        self._threads.append(thread)
        thread.start()

    def heal(self) -> None:
        """End all faults, and mend what they have broken."""
        self._healed.set()
        for thread in self._threads:
            thread.join()
        self._relay.hear()
        self._server.free()
        self._server.mend()
        for worker in self._workers:
            worker.set_clock(0)
            worker.kill(worker.pids(), signal.SIGCONT)
            worker.start()

    def _run(self, fault: Fault) -> None:
        self._say(f"{fault.kind} (worker {fault.worker}, {fault.seconds} s, {fault.amount})")
        worker = self._workers[fault.worker]
        try:
            getattr(self, f"_{fault.kind}")(fault, worker)
        except (psycopg.Error, EmbeddedError) as error:
            # another fault was there first: no server, no connection
            self._say(f"{fault.kind} came to nothing: {str(error).splitlines()[0]}")

    def _wait(self, seconds: float) -> None:
        self._healed.wait(seconds)

    def _kill_process(self, fault: Fault, worker: Worker) -> None:
        worker.kill(_one(worker.pids()[1:], fault), signal.SIGKILL)

    def _kill_supervisor(self, fault: Fault, worker: Worker) -> None:
        worker.down(worker.pids()[:1], signal.SIGKILL)
        self._wait(fault.seconds)
        worker.start()

    def _kill_worker(self, fault: Fault, worker: Worker) -> None:
        worker.down(worker.pids(), signal.SIGKILL)
        self._wait(fault.seconds)
        worker.start()

    def _stop_process(self, fault: Fault, worker: Worker) -> None:
        self._stop(_one(worker.pids()[1:], fault), fault, worker)

    def _stop_supervisor(self, fault: Fault, worker: Worker) -> None:
        self._stop(worker.pids()[:1], fault, worker)

    def _stop_worker(self, fault: Fault, worker: Worker) -> None:
        self._stop(worker.pids(), fault, worker)

    def _stop(self, pids: list[int], fault: Fault, worker: Worker) -> None:
        worker.kill(pids, signal.SIGSTOP)
        self._wait(fault.seconds)
        worker.kill(pids, signal.SIGCONT)

    def _drain_worker(self, fault: Fault, worker: Worker) -> None:
        worker.drain()
        self._wait(fault.seconds)
        worker.start()

    def _cut_backends(self, fault: Fault, _worker: Worker) -> None:
        random = Random(fault.amount)
        with self._connect() as connection:
            pids = [pid for (pid,) in connection.execute(_OTHERS) if random.random() < 0.2 + fault.amount]
            connection.execute("select pg_terminate_backend(pid) from unnest(%s::int[]) as pid", (pids,))

    def _rescue_early(self, _fault: Fault, _worker: Worker) -> None:
        with self._connect() as connection:
            connection.execute("select tributary.rescue(0::smallint, '0 seconds', 1000)")

    def _restart_server(self, fault: Fault, _worker: Worker) -> None:
        self._server.crash()
        self._wait(fault.seconds)
        self._server.mend()

    def _pin_rows(self, fault: Fault, _worker: Worker) -> None:
        with self._connect() as connection:
            connection.execute("begin")
            connection.execute("set local lock_timeout = '1s'")
            connection.execute(_HELD_RUNS if fault.amount < 0.3 else "select 1")
            connection.execute(_HELD_ROWS)
            self._wait(fault.seconds)
            connection.execute("rollback")

    def _exhaust_connections(self, fault: Fault, _worker: Worker) -> None:
        until = time.monotonic() + fault.seconds
        with contextlib.ExitStack() as held:
            while time.monotonic() < until and not self._healed.is_set():
                try:
                    held.enter_context(self._connect())
                except psycopg.OperationalError:
                    # all taken; whatever comes free meanwhile is taken, too
                    self._wait(0.1)

    def _half_open(self, fault: Fault, _worker: Worker) -> None:
        self._relay.go_deaf()
        self._wait(fault.seconds)
        self._relay.hear()

    def _jump_clock(self, fault: Fault, worker: Worker) -> None:
        worker.set_clock((fault.amount - 0.5) * 2 * _LONGEST_JUMP)
        self._wait(fault.seconds)
        worker.set_clock(0)

    def _fill_disk(self, fault: Fault, _worker: Worker) -> None:
        self._server.fill()
        self._wait(fault.seconds)
        self._server.free()
        self._server.mend()

    def _connect(self) -> psycopg.Connection[tuple[int, ...]]:
        return psycopg.connect(
            self._server.url, autocommit=True, application_name="chaos fault", connect_timeout=5
        )


def _one(pids: list[int], fault: Fault) -> list[int]:
    """Return one of some processes, the one that the plan's number falls on."""
    return [pids[int(fault.amount * len(pids)) % len(pids)]] if pids else []
