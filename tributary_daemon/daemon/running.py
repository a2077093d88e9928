"""Workers, started: in the foreground, for one `trib run`, or inside the caller's process."""

from __future__ import annotations

import secrets
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Self

from tributary_daemon.daemon.health import Health
from tributary_daemon.daemon.health_server import serving
from tributary_daemon.daemon.member import ChildMember, LocalMember
from tributary_daemon.daemon.metrics import Metrics
from tributary_daemon.daemon.offers import offered
from tributary_daemon.daemon.plan import WorkerPlan, plan, usable_cores
from tributary_daemon.daemon.supervisor import Supervisor
from tributary_daemon.errors import TributaryError
from tributary_daemon.hooks.loading import loaded
from tributary_daemon.model.control import PRIVATE
from tributary_daemon.observers import subscribers
from tributary_daemon.store.cache.opening import require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from tributary_daemon.config import Config
    from tributary_daemon.daemon.member import Member
    from tributary_daemon.daemon.options import WorkerOptions
    from tributary_daemon.events import Observer


def resolve(url: str, config: Config, options: WorkerOptions) -> WorkerPlan:
    """Return the plan of a worker on a database.

    Raises:
        ConfigError: what its step cache needs is not installed, or a hook cannot be made; its processes would
            only find out one after the other.
    """
    require(config.cache)
    loaded(config.hooks if options.hooks is None else options.hooks)
    return plan(url, config, options, version=version("tributary-daemon"), cores=usable_cores())


def run(url: str, config: Config, options: WorkerOptions) -> int:
    """Run a worker in the foreground until it is drained; return its exit code.

    Raises:
        ConfigError: it cannot listen where it is to tell its health, or an observer does not load.
    """
    resolved = resolve(url, config, options)
    health = Health(resolved)
    metrics = Metrics(resolved, health)
    end = subscribers.start(resolved.observers, strict=True)
    try:
        with (
            serving(options.health_listen, health, metrics),
            metrics.pushed(beside=options.health_listen is not None),
        ):
            return Supervisor(resolved, _child, health).run()
    finally:
        end()


class BackgroundWorker:
    """A worker supervised by a thread of this process.

    Args:
        plan: what it does.
        local: run handlers in this process instead of in children.
        observers: functions that are called with what happens in this process, beside those of the plan.
    """

    def __init__(self, plan: WorkerPlan, *, local: bool = False, observers: Sequence[Observer] = ()) -> None:
        self._plan = plan
        self._supervisor = Supervisor(plan, _local if local else _child)
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._failure: BaseException | None = None
        self._observers = observers
        self._ends: list[Callable[[], None]] = []

    @property
    def worker_id(self) -> int:
        """Id of its row."""
        return self._supervisor.worker_id

    def start(self, timeout: float = 60.0) -> None:
        """Start it, and wait until its handlers are registered.

        Raises:
            DatabaseUnreachable: no connection.
            TributaryError: its processes did not come up within ``timeout`` seconds.
        """
        self._supervisor.join_database()
        self._ends = [subscribers.start(self._plan.observers), *map(subscribers.subscribe, self._observers)]
        self._thread.start()
        if not self._supervisor.ready.wait(timeout) or self._failure is not None:
            self.stop(now=True)
            raise TributaryError(
                f"the worker's processes did not start within {timeout:g} s"
                if self._failure is None
                else str(self._failure),
                hint="look at what they wrote to stderr",
            )

    def stop(self, *, now: bool = False) -> None:
        """Drain it and wait for the end; ``now`` gives back at once what runs."""
        self._supervisor.stop()
        if now:
            self._supervisor.stop()
        if self._thread.is_alive():
            self._thread.join()
        while self._ends:
            self._ends.pop()()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.stop(now=error is not None)

    def _run(self) -> None:
        try:
            self._supervisor.run(signals=False)
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._supervisor.ready.set()


def private_queue() -> str:
    """Return a name for the queue of one `trib run`; no operator can type such a name by accident."""
    return f"{PRIVATE}{secrets.token_hex(6)}"


def _child(plan: WorkerPlan, number: int) -> Member:
    return ChildMember(plan.setup(number), number)


def _local(plan: WorkerPlan, number: int) -> Member:
    offer = offered(plan.imports, enable_shell=plan.enable_shell, hooks=loaded(plan.hooks))
    return LocalMember(plan.setup(number), number, offer)
