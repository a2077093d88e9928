"""What a supervisor tells a new process: everything it needs, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSetup:
    """The setup of one process.

    Attributes:
        url: of the database.
        process_id: registered by the supervisor; 0 until it says start.
        label: name for logs, e.g. ``web1/2``.
        shards: number of shards.
        names: handler names it claims.
        queues: queues without a bound.
        bounded: queue -> slots of this process in it.
        slots: steps that run at once.
        step_connections: how many of them hold a connection of their own at once.
        imports: modules or files with handlers.
        enable_shell: whether shell steps run here.
        directory: where shell steps of `trib run` work; None for scratch directories.
        prepare: whether statements are prepared (not behind a pooler).
        path: sys.path of the supervisor.
        log_format: ``json`` or ``console``.
        log_level: least level logged.
    """

    url: str
    label: str
    process_id: int = 0
    shards: int = 1
    names: tuple[str, ...] = ()
    queues: tuple[str, ...] = ("default",)
    bounded: dict[str, int] = field(default_factory=dict)
    slots: int = 10
    step_connections: int = 10
    imports: tuple[str, ...] = ()
    enable_shell: bool = False
    directory: str | None = None
    prepare: bool = True
    path: tuple[str, ...] = ()
    log_format: str = "json"
    log_level: str = "info"

    def started(self, process_id: int, names: Iterable[str], shards: int) -> ProcessSetup:
        """Return the setup completed by what the supervisor says at the start."""
        return replace(self, process_id=process_id, names=tuple(names), shards=shards)

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
