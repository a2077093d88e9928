"""Workers, their processes and the fleet as a whole, as the CLI prints them and Python returns them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tributary_daemon.client.documents import rfc3339

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentDocument:
    """One of the attempts of a process: of which work, under which name, since when."""

    id: str
    ordinal: int
    name: str
    since: datetime

    def to_json(self) -> dict[str, Any]:
        """Return it as ``workers`` prints it."""
        return {
            "id": self.id,
            "ordinal": self.ordinal,
            "name": self.name,
            "since": rfc3339(self.since),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessDocument:
    """A process that runs handlers; what it did not say is None.

    Attributes:
        pid: of the operating system.
        running: how many attempts it holds.
        slots: how many it may run at once.
        rss: resident memory in bytes.
        current: at most 20 of what it runs, oldest first; what it has claimed, when it does not say more.
        beat_age: seconds since its last beat, by the database's clock.
    """

    id: str
    pid: int | None
    name: str
    runtime: str
    running: int
    slots: int | None
    rss: int | None
    current: tuple[CurrentDocument, ...]
    started_at: datetime
    beat_at: datetime
    beat_age: float

    def to_json(self) -> dict[str, Any]:
        """Return the process as ``workers`` prints it."""
        return {
            "id": self.id,
            "pid": self.pid,
            "name": self.name,
            "runtime": self.runtime,
            "running": self.running,
            "slots": self.slots,
            "rss": self.rss,
            "current": [item.to_json() for item in self.current],
            "started_at": rfc3339(self.started_at),
            "beat_at": rfc3339(self.beat_at),
            "beat_age": self.beat_age,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDocument:
    """A worker with its processes.

    Attributes:
        pid: of its supervisor.
        state: running, paused, draining; gone when it has not beaten for 10 s.
        alive: it has beaten within the last 10 s.
        command: what an operator wants of it: pause, drain, stop; None for nothing.
        protocol: that it speaks.
        names: what it claims; empty until it knows.
        patterns: of the names that it was told to claim; empty for all that it has.
        shards: that it serves now; None for all.
        spreads: it shares them with other workers that serve the same.
        concurrency: slots of each process.
        wanted: how many processes it is to have; None until it has said so.
        failures: modules that did not import.
        beat_age: seconds since its last beat, by the database's clock.
    """

    id: str
    name: str
    host: str
    pid: int
    state: str
    alive: bool
    command: str | None
    commanded_at: datetime | None
    version: str
    protocol: int
    queues: tuple[str, ...]
    names: tuple[str, ...]
    patterns: tuple[str, ...]
    shards: tuple[int, ...] | None
    spreads: bool
    concurrency: int
    wanted: int | None
    started_at: datetime
    beat_at: datetime
    beat_age: float
    failures: tuple[Any, ...]
    processes: tuple[ProcessDocument, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the worker as ``workers`` prints it."""
        return {
            "id": self.id,
            "name": self.name,
            "host": self.host,
            "pid": self.pid,
            "state": self.state,
            "alive": self.alive,
            "command": self.command,
            "commanded_at": rfc3339(self.commanded_at),
            "version": self.version,
            "protocol": self.protocol,
            "queues": list(self.queues),
            "names": list(self.names),
            "patterns": list(self.patterns),
            "shards": None if self.shards is None else list(self.shards),
            "spreads": self.spreads,
            "concurrency": self.concurrency,
            "wanted": self.wanted,
            "started_at": rfc3339(self.started_at),
            "beat_at": rfc3339(self.beat_at),
            "beat_age": self.beat_age,
            "failures": list(self.failures),
            "processes": [process.to_json() for process in self.processes],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDocument:
    """What is true of all workers together.

    Attributes:
        leader: the worker that does the maintenance of the database; None when nobody does.
        unoffered: names of waiting work that nobody has ever offered, 20 at most.
        unserved: names of ready work that no live worker claims, 20 at most.
        oldest_queue: queue of what has been ready longest.
        oldest_age: since how many seconds.
    """

    leader: str | None
    unoffered: tuple[str, ...]
    unserved: tuple[str, ...]
    oldest_queue: str | None
    oldest_age: float | None

    def to_json(self) -> dict[str, Any]:
        """Return what is known of the fleet as JSON."""
        return {
            "leader": self.leader,
            "unoffered": list(self.unoffered),
            "unserved": list(self.unserved),
            "oldest_queue": self.oldest_queue,
            "oldest_age": self.oldest_age,
        }
