"""`WorkerPlan`: a worker's options and settings, resolved."""

from __future__ import annotations

import os
import platform
import socket
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tributary_daemon.config.values import SPREAD, shard_numbers
from tributary_daemon.daemon.recycling import Recycling
from tributary_daemon.daemon.setup import ProcessSetup
from tributary_daemon.model.control import CONTROL_QUEUE
from tributary_daemon.sealing.sources import ring, ring_of
from tributary_daemon.store.pruning import Retention
from tributary_daemon.store.watched import SILENCE

if TYPE_CHECKING:
    from tributary_daemon.config import Config
    from tributary_daemon.daemon.options import WorkerOptions
    from tributary_daemon.sealing.ring import Ring


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What one worker is going to do.

    Attributes:
        url: of the database.
        listen_url: for LISTEN; None to poll.
        name: shown in ``trib workers``.
        host: where it runs.
        version: of this package.
        queues: queues without a bound.
        bounded: queue -> slots over the whole worker.
        closing: queue of closing steps.
        names: patterns of the names that it claims; empty for all it has.
        shards: that it serves; None for all.
        spreads: whether it shares them with other workers that serve the same.
        processes: children.
        concurrency: slots per process.
        imports: modules or files with handlers.
        step_connections: how many attempts of a process hold a connection of their own at once.
        observers: subscribers to what happens, as `observers.subscribers.start` takes them.
        enable_shell: whether shell steps run here.
        directory: where shell steps of `trib run` work; None for scratch directories.
        max_log: bytes kept of what one attempt says.
        secrets_dir: directory with a file per secret.
        keys: of encrypted values, as they are written; empty for none.
        drain_timeout: seconds.
        poll_interval: seconds.
        beat: seconds.
        lease: seconds.
        silence_limit: seconds.
        recycling: when a process has done enough.
        retention: what finished work it prunes when it does the maintenance; None for none.
        keep_letters: seconds that a dead letter keeps the run of a workflow with a ``keep``; None for ever.
        tends: whether it prunes by what workflows say, and forgets unique keys, when it does the maintenance.
        prepare: whether statements are prepared.
        cache: where results of steps are kept.
        cache_namespace: of the keys there; empty for the database's own.
        cache_timeout: seconds that a step waits for that.
        log_format: of the processes.
        log_level: of the processes.
        hooks: around handlers, the outermost first; see `ProcessSetup`.
    """

    url: str
    listen_url: str | None
    name: str
    host: str
    version: str
    queues: tuple[str, ...]
    bounded: dict[str, int]
    closing: str
    names: tuple[str, ...]
    shards: tuple[int, ...] | None
    spreads: bool
    processes: int
    concurrency: int
    imports: tuple[str, ...]
    step_connections: int
    observers: tuple[str, ...]
    enable_shell: bool
    directory: str | None
    max_log: int
    secrets_dir: str | None
    drain_timeout: float
    poll_interval: float
    beat: float
    lease: float
    silence_limit: float
    recycling: Recycling
    retention: Retention | None
    keep_letters: float | None
    tends: bool
    prepare: bool
    cache: str
    cache_namespace: str
    cache_timeout: float
    log_format: str
    log_level: str
    hooks: tuple[Any, ...] = ()
    keys: tuple[str, ...] = field(default=(), repr=False)

    @property
    def ring(self) -> Ring | None:
        """The keys, ready for use; None for none."""
        return ring(self.keys)

    @property
    def served(self) -> tuple[str, ...]:
        """The queues that its operator asked for."""
        return (*self.queues, *self.bounded)

    @property
    def silence(self) -> float:
        """Seconds of silence after which the supervisor gives up a call, in time to beat on another one."""
        return min(SILENCE, max(2.0, self.lease / 2))

    @property
    def claimed(self) -> tuple[str, ...]:
        """The queues that it claims from: those served and that of closing steps."""
        return tuple(dict.fromkeys((*self.served, self.closing)))

    def setup(self, number: int) -> ProcessSetup:
        """Return the setup of a process; slots of bounded queues are divided among the processes."""
        shares = {
            queue: slots // self.processes + (number < slots % self.processes)
            for queue, slots in self.bounded.items()
        }
        return ProcessSetup(
            url=self.url,
            label=f"{self.name}/{number + 1}",
            queues=tuple(dict.fromkeys((*self.queues, self.closing))),
            bounded={queue: share for queue, share in shares.items() if share},
            slots=self.concurrency,
            own=self.shards or (),
            step_connections=self.step_connections,
            imports=self.imports,
            observers=self.observers,
            enable_shell=self.enable_shell,
            directory=self.directory,
            max_log=self.max_log,
            secrets_dir=self.secrets_dir,
            keys=self.keys,
            prepare=self.prepare,
            cache=self.cache,
            cache_namespace=self.cache_namespace,
            cache_timeout=self.cache_timeout,
            path=tuple(sys.path),
            log_format=self.log_format,
            log_level=self.log_level,
            silence_limit=self.silence_limit,
            drain_timeout=self.drain_timeout,
            hooks=self.hooks,
        )

    def private(self, queue: str, *, directory: str) -> WorkerPlan:
        """Return the plan of `trib run`: one private queue, closing steps included, and shell steps."""
        return replace(
            self,
            queues=(queue,),
            bounded={},
            closing=queue,
            enable_shell=True,
            names=(),
            shards=None,
            spreads=False,
            directory=directory,
            retention=None,
            tends=False,
        )


def plan(url: str, config: Config, options: WorkerOptions, *, version: str, cores: int) -> WorkerPlan:
    """Resolve options and settings into a plan.

    Args:
        url: of the database that was found or started.
        config: settings.
        options: of the command or caller.
        version: of this package.
        cores: usable ones, the default number of processes.
    """
    queues = dict(options.queues)
    bounded = {queue: slots for queue, slots in queues.items() if slots is not None}
    log_format = config.log_format
    if log_format == "auto":
        log_format = "console" if sys.stderr.isatty() else "json"
    return WorkerPlan(
        url=url,
        listen_url=config.listen_url or url,
        name=options.name or f"{socket.gethostname()}-{os.getpid()}",
        host=platform.node(),
        version=version,
        queues=tuple(queue for queue, slots in queues.items() if slots is None),
        bounded=bounded,
        closing=CONTROL_QUEUE,
        names=options.names,
        shards=shard_numbers(options.shards),
        spreads=options.shards == SPREAD,
        processes=options.processes or cores,
        concurrency=options.concurrency,
        imports=options.imports,
        step_connections=config.step_connections or options.concurrency,
        observers=config.observers,
        enable_shell=options.enable_shell,
        directory=None,
        max_log=config.max_log,
        secrets_dir=None if config.secrets_dir is None else str(config.secrets_dir.absolute()),
        drain_timeout=options.drain_timeout,
        poll_interval=config.poll_interval,
        beat=config.beat,
        lease=config.lease,
        silence_limit=config.silence_limit,
        recycling=Recycling(options.recycle_steps, options.recycle_age, options.recycle_memory),
        retention=None
        if config.keep is None
        else Retention(keep=config.keep, keep_letters=config.keep_dead_letters),
        keep_letters=config.keep_dead_letters,
        tends=True,
        prepare=True,
        cache=config.cache,
        cache_namespace=config.cache_namespace,
        cache_timeout=config.cache_timeout,
        log_format=log_format,
        log_level=config.log_level,
        hooks=config.hooks if options.hooks is None else options.hooks,
        keys=() if (found := ring_of(config)) is None else found.written(),
    )


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
