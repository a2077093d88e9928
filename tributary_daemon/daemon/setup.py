"""What a supervisor tells a new process: everything it needs, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tributary_daemon.sealing.sources import ring

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.sealing.ring import Ring


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSetup:
    """The setup of one process.

    Attributes:
        url: of the database.
        process_id: registered by the supervisor; 0 until it says start.
        label: name for logs, e.g. ``web1/2``.
        shards: number of shards.
        own: those that its worker was told to serve; empty for all.
        names: handler names it claims.
        queues: queues without a bound.
        bounded: queue -> slots of this process in it.
        slots: steps that run at once.
        paused: claims nothing until it is told to resume.
        holds_bounded: claims nothing from bounded queues until told: the process it replaces still does.
        step_connections: how many of them hold a connection of their own at once.
        imports: modules or files with handlers.
        enable_shell: whether shell steps run here.
        observers: subscribers to what happens, as `observers.subscribers.start` takes them.
        directory: where shell steps of `trib run` work; None for scratch directories.
        max_log: bytes kept of what one attempt says; 0 for nothing.
        secrets_dir: directory with a file per secret.
        keys: of encrypted values, as they are written; empty for none.
        prepare: whether statements are prepared (not behind a pooler).
        path: sys.path of the supervisor.
        log_format: ``json`` or ``console``.
        log_level: least level logged.
        silence_limit: seconds without a sign after which the supervisor would kill it.
        drain_timeout: seconds that the closing of its resources may take.
        cache: where results of steps are kept.
        cache_namespace: of the keys there; empty for the database's own.
        cache_timeout: seconds that a step waits for that.
        hooks: around its handlers, the outermost first: tables as ``trib.toml`` has them, or objects where
            handlers run in the process of whoever made these.
    """

    url: str
    label: str
    process_id: int = 0
    shards: int = 1
    own: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    queues: tuple[str, ...] = ("default",)
    bounded: dict[str, int] = field(default_factory=dict)
    slots: int = 10
    paused: bool = False
    holds_bounded: bool = False
    step_connections: int = 10
    imports: tuple[str, ...] = ()
    observers: tuple[str, ...] = ("off",)
    enable_shell: bool = False
    directory: str | None = None
    max_log: int = 1_048_576
    secrets_dir: str | None = None
    keys: tuple[str, ...] = field(default=(), repr=False)
    prepare: bool = True
    path: tuple[str, ...] = ()
    log_format: str = "json"
    log_level: str = "info"
    silence_limit: float = 60.0
    drain_timeout: float = 60.0
    cache: str = "postgres"
    cache_namespace: str = ""
    cache_timeout: float = 2.0
    hooks: tuple[Any, ...] = ()

    @property
    def ring(self) -> Ring | None:
        """The keys, ready for use; None for none."""
        return ring(self.keys)

    @property
    def claimed(self) -> tuple[str, ...]:
        """The queues that it claims from."""
        return (*self.queues, *self.bounded)

    def started(
        self, process_id: int, names: Iterable[str], shards: int, *, holds_bounded: bool, paused: bool
    ) -> ProcessSetup:
        """Return the setup completed by what the supervisor says at the start."""
        return replace(
            self,
            process_id=process_id,
            names=tuple(names),
            shards=shards,
            holds_bounded=holds_bounded,
            paused=paused,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the setup as JSON has it."""
        return asdict(self)

    @classmethod
    def load(cls, text: str) -> ProcessSetup:
        """Rebuild from `dump`."""
        value: dict[str, Any] = {
            key: tuple(item) if isinstance(item, list) else item for key, item in json.loads(text).items()
        }
        return cls(**value)
