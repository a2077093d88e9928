"""From a configuration to running workers: the part of the composition root that starts processes."""

from __future__ import annotations

import dataclasses
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from tributary_daemon import events
from tributary_daemon.client.async_client import AsyncClient
from tributary_daemon.client.client import Client
from tributary_daemon.client.link import Wiring
from tributary_daemon.client.options import Settings
from tributary_daemon.daemon import running
from tributary_daemon.daemon.options import WorkerOptions, parse_queues
from tributary_daemon.daemon.patience import patiently
from tributary_daemon.handlers.discovery import require
from tributary_daemon.hooks.loading import make
from tributary_daemon.observers import logs
from tributary_daemon.store.migrations import ensure_schema
from tributary_daemon.wiring import database_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from tributary_daemon.config import Config
    from tributary_daemon.events import Observer
    from tributary_daemon.handlers.hooks import Hook

    Say = Callable[[str], None]


def run_worker(config: Config, options: WorkerOptions, *, say: Say | None = None) -> int:
    """Run a worker in the foreground until it is drained; return its exit code.

    Raises:
        DatabaseUnreachable: no connection at the start, which a service waits for; later losses are survived.
        SchemaError: the schema cannot be used.
    """
    url = database_url(config, say=say)
    logs.configure(config.log_format, config.log_level)
    schema = patiently(lambda: ensure_schema(url, config), options.name or "worker")
    if schema.verdict == "ok" and not schema.functions_current:
        events.emit(events.FunctionsDiffer(schema.version))
    return running.run(url, config, options)


@contextmanager
def private_worker(
    config: Config,
    options: WorkerOptions,
    *,
    say: Say | None = None,
    local: bool = False,
    directory: Path | None = None,
) -> Iterator[Client]:
    """Start processes that serve one private queue, and yield a client that submits to it.

    When the block ends they are drained. If this process is killed, what it left is cancelled by whichever
    worker leads. What handlers there are is known before anything is stored: their modules are imported in
    this process too.

    Args:
        config: settings.
        options: of the worker.
        say: told when the embedded database is used.
        local: run handlers inside this process, those included that it has declared itself.
        directory: where shell steps run; the working directory if omitted.

    Raises:
        HandlerError: a module that was named does not import, or its handlers are declared wrongly.
        DatabaseError: no connection, or the schema cannot be used.
    """
    wiring, settings, worker = _private(config, options, say, local=local, directory=directory)
    hooks = make(config.hooks if options.hooks is None else options.hooks)
    with worker, Client(wiring, dataclasses.replace(settings, runner=worker.worker_id), hooks=hooks) as own:
        yield own


@asynccontextmanager
async def private_worker_async(
    config: Config, options: WorkerOptions, *, say: Say | None = None, local: bool = False
) -> AsyncIterator[AsyncClient]:
    """Do what `private_worker` does for asyncio."""
    wiring, settings, worker = _private(config, options, say, local=local)
    hooks = make(config.hooks if options.hooks is None else options.hooks)
    with worker:
        started = dataclasses.replace(settings, runner=worker.worker_id)
        async with AsyncClient(wiring, started, hooks=hooks) as own:
            yield own


def _private(
    config: Config, options: WorkerOptions, say: Say | None, *, local: bool, directory: Path | None = None
) -> tuple[Wiring, Settings, running.BackgroundWorker]:
    require(options.imports)
    url = database_url(config, say=say)
    ensure_schema(url, config)
    quiet = _for_people(config)
    logs.configure(quiet.log_format, quiet.log_level)
    queue = running.private_queue()
    shape = dataclasses.replace(options, processes=1) if local else options
    plan = running.resolve(url, quiet, shape).private(queue, directory=str(directory or Path.cwd()))
    settings = dataclasses.replace(Settings.of(config), private=queue)
    worker = running.BackgroundWorker(plan, local=local)
    wiring = Wiring(lambda: url, lambda _url, _connection: None, config.listen_url)
    return wiring, settings, worker


def _for_people(config: Config) -> Config:
    """Return the settings of a command that shows progress itself: its logs are few, and for reading."""
    log_format = "console" if config.source("log_format") == "built-in" else config.log_format
    log_level = "warning" if config.source("log_level") == "built-in" else config.log_level
    return dataclasses.replace(config, log_format=log_format, log_level=log_level)


class Configured(Protocol):
    """A client that knows its configuration: the `Client` of the package."""

    config: Config
    hooks: tuple[Hook, ...]

    def connect(self) -> None: ...


class Worker:
    """A worker inside the caller's process: its handlers run in threads and a loop of this process.

    As a context manager it is started, and drained at the end. A crash of a handler takes the whole process
    down, so a daemon of its own (`trib worker`) is the safer place for handlers that are not trusted.

    Args:
        client: whose configuration and database it uses.
        queues: names to serve, ``heavy:4`` for four slots; a name alone for one queue.
        concurrency: steps that run at once.
        names: patterns of handler names it claims; empty for all that are declared.
        imports: modules or files with handlers, beside those declared already.
        name: shown in ``trib workers``.
        drain_timeout: seconds that `stop` waits for what runs.
        enable_shell: whether it runs shell steps.
        hooks: around its handlers, the outermost first; those of the client unless given.
        observers: functions that are called, in threads of their own, with what happens: docs/events.md;
            beside those that the configuration names.
    """

    def __init__(
        self,
        client: Configured,
        queues: Iterable[str] | str = ("default",),
        *,
        concurrency: int = 10,
        names: Iterable[str] = (),
        imports: Iterable[str] = (),
        name: str | None = None,
        drain_timeout: float = 60.0,
        enable_shell: bool = False,
        hooks: Sequence[Hook] | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        config = client.config
        options = WorkerOptions(
            queues=parse_queues([queues] if isinstance(queues, str) else queues),
            names=tuple(names),
            processes=1,
            concurrency=concurrency,
            imports=tuple(imports),
            name=name,
            drain_timeout=drain_timeout,
            enable_shell=enable_shell,
            hooks=tuple(client.hooks if hooks is None else hooks),
        )
        client.connect()
        self._worker = running.BackgroundWorker(
            running.resolve(database_url(config), config, options), local=True, observers=tuple(observers)
        )

    def start(self) -> None:
        """Start it, and wait until its handlers are registered.

        Raises:
            DatabaseUnreachable: no connection.
        """
        self._worker.start()

    def stop(self) -> None:
        """Drain it: claim nothing new, finish what runs, within ``drain_timeout``."""
        self._worker.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.stop()
