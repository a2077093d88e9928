"""What one worker shall do, as `trib worker`, `trib run` and the Python face say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tributary_daemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tributary_daemon.config import Config
    from tributary_daemon.handlers.hooks import Hook


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """The work that a worker takes, and how much of it at once.

    Attributes:
        queues: queue -> how many of its steps run at once over the whole worker; None for no such bound.
        names: patterns of handler names it claims (``billing.%``); empty for every name it has.
        shards: ``all``, ``auto`` for a share of them, or numbers like ``0-3,7``.
        processes: children that run handlers; None for the usable cores.
        concurrency: slots per process.
        imports: modules or ``./files.py`` whose handlers it offers, beside the entry points.
        name: shown in ``trib workers``; None for host name and process id.
        drain_timeout: seconds that a drain waits for what runs.
        enable_shell: whether it runs shell steps.
        recycle_steps: finished steps after which a process is replaced; None for never.
        recycle_age: seconds after which a process is replaced.
        recycle_memory: bytes of resident memory at which a process is replaced.
        health_listen: ``HOST:PORT`` where it tells its health; None for nowhere.
        hooks: around its handlers instead of those of the configuration; None for these.
    """

    queues: Mapping[str, int | None]
    names: tuple[str, ...] = ()
    shards: str = "all"
    processes: int | None = None
    concurrency: int = 10
    imports: tuple[str, ...] = ()
    name: str | None = None
    drain_timeout: float = 60.0
    enable_shell: bool = False
    recycle_steps: int | None = None
    recycle_age: float | None = None
    recycle_memory: int | None = None
    health_listen: str | None = None
    hooks: tuple[Hook, ...] | None = None

    @classmethod
    def of(cls, config: Config) -> WorkerOptions:
        """Return what the configuration says.

        Raises:
            ConfigError: a queue is malformed.
        """
        return cls(
            queues=parse_queues(config.queues),
            names=config.names,
            shards=config.worker_shards,
            processes=config.processes,
            concurrency=config.concurrency,
            imports=config.handlers,
            name=config.worker_name,
            drain_timeout=config.drain_timeout,
            enable_shell=config.enable_shell,
            recycle_steps=config.recycle_steps,
            recycle_age=config.recycle_age,
            recycle_memory=config.recycle_memory,
            health_listen=config.health_listen,
        )


def parse_queues(written: Iterable[str]) -> dict[str, int | None]:
    """Return queues with their slots: ``default`` and ``heavy:4`` become ``{default: None, heavy: 4}``.

    Raises:
        ConfigError: a name is empty or given twice, or the slots are not a whole number of at least 1.
    """
    found: dict[str, int | None] = {}
    for text in written:
        name, colon, slots = text.partition(":")
        if not name.strip() or (colon and not (slots.isascii() and slots.isdigit() and int(slots) > 0)):
            raise ConfigError(
                f"'{text}' is not a queue to serve", hint="write default, or heavy:4 for four slots"
            )
        if name in found:
            raise ConfigError(f"queue '{name}' is given twice", hint="name each queue once")
        found[name] = int(slots) if colon else None
    if not found:
        raise ConfigError("no queue to serve is given", hint="--queues default")
    return found
