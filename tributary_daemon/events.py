"""What happens in a worker, as typed events: emitted once, observed by whoever is attached.

Transitions of steps and runs are in the database (the view ``tributary.events``); these are about the
processes that do the work. An observer that fails cannot break what it observes.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events. ``level`` is how loudly a log should say it."""

    level: ClassVar[str] = "info"


@dataclass(frozen=True, slots=True)
class WorkerStarted(Event):
    """The first process of a worker claims."""

    name: str
    queues: tuple[str, ...]
    names: int


@dataclass(frozen=True, slots=True)
class FunctionsDiffer(Event):
    """The functions in the database are not those of this release; `trib migrate up` puts them in place.

    Attributes:
        schema: its newest migration, which is of this release.
    """

    level: ClassVar[str] = "warning"
    schema: str


@dataclass(frozen=True, slots=True)
class WorkerDraining(Event):
    """A worker was asked to stop; ``timeout`` seconds are left for what runs."""

    name: str
    timeout: float


@dataclass(frozen=True, slots=True)
class WorkerStopped(Event):
    """A worker has ended, its row is gone."""

    name: str


@dataclass(frozen=True, slots=True)
class WorkerFenced(Event):
    """A worker was silent for too long: its leases were taken, its processes are replaced."""

    level: ClassVar[str] = "error"
    name: str


@dataclass(frozen=True, slots=True)
class WorkerCommanded(Event):
    """An operator has told a worker to pause, resume, drain or stop."""

    name: str
    command: str


@dataclass(frozen=True, slots=True)
class HealthServed(Event):
    """A worker answers questions about its health at ``address``."""

    address: str


@dataclass(frozen=True, slots=True)
class HistoryPruned(Event):
    """Work that ended longer ago than ``keep`` says, of the settings or of its workflow, was removed."""

    runs: int
    intents: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PruningFailed(Event):
    """History could not be pruned; it is tried again."""

    level: ClassVar[str] = "error"
    error: str


@dataclass(frozen=True, slots=True)
class ScheduleFired(Event):
    """A slot of a schedule came: its work, ``run_id``, is recorded."""

    schedule: str
    slot: str
    run_id: str


@dataclass(frozen=True, slots=True)
class ScheduleSkipped(Event):
    """Slots were left out.

    Earlier work goes on (``overlap``), they are too old (``missed``), or a ``precondition`` did not hold.
    """

    level: ClassVar[str] = "warning"
    schedule: str
    slot: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ScheduleDisabled(Event):
    """A schedule cannot work: its times cannot be read or its work is refused. It waits to be mended."""

    level: ClassVar[str] = "error"
    schedule: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScheduleFailed(Event):
    """The database refused what a schedule asked for, for the moment; it is tried again.

    Attributes:
        schedule: its name; empty where none could be read.
        error: what it said.
    """

    level: ClassVar[str] = "warning"
    schedule: str
    error: str


@dataclass(frozen=True, slots=True)
class ProcessStarted(Event):
    """A process of a worker claims."""

    process: str
    pid: int


@dataclass(frozen=True, slots=True)
class ProcessExited(Event):
    """A process of a worker has ended as it was told to."""

    level: ClassVar[str] = "debug"
    process: str
    pid: int
    code: int


@dataclass(frozen=True, slots=True)
class ProcessDied(Event):
    """A process of a worker has ended by itself; a negative ``code`` is the signal that killed it."""

    level: ClassVar[str] = "warning"
    process: str
    pid: int
    code: int


@dataclass(frozen=True, slots=True)
class ProcessStuck(Event):
    """A process is killed; before, it writes to stderr where its threads are."""

    level: ClassVar[str] = "error"
    process: str
    pid: int
    reason: str


@dataclass(frozen=True, slots=True)
class SpawnFailed(Event):
    """The system refused another process; it is tried again."""

    level: ClassVar[str] = "error"
    place: int
    error: str


@dataclass(frozen=True, slots=True)
class SettlementFailed(Event):
    """What the end of a process means could not be written; what it held is given back uncounted."""

    level: ClassVar[str] = "error"
    process: str
    error: str


@dataclass(frozen=True, slots=True)
class ProcessRecycled(Event):
    """A process has done enough: another one takes its place, then it drains."""

    process: str
    pid: int
    reason: str


@dataclass(frozen=True, slots=True)
class ProcessRetired(Event):
    """A thread ignored its timeout: its process is replaced once its neighbours have finished."""

    level: ClassVar[str] = "warning"
    name: str
    run_id: str


@dataclass(frozen=True, slots=True)
class ProcessFailed(Event):
    """A process met an error that nobody expected: in its database thread, or while it made its metrics."""

    level: ClassVar[str] = "error"
    error: str


@dataclass(frozen=True, slots=True)
class SupervisorLost(Event):
    """A process noticed that its supervisor is gone, and stops."""

    level: ClassVar[str] = "error"
    process: str


@dataclass(frozen=True, slots=True)
class DatabaseLost(Event):
    """The database does not serve a process, which keeps trying: said once for each reason of an outage."""

    level: ClassVar[str] = "warning"
    process: str
    error: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class DatabaseBack(Event):
    """The database serves a process again: it was away for ``seconds``, and was tried so many ``times``."""

    process: str
    seconds: float
    times: int


@dataclass(frozen=True, slots=True)
class ListenPooled(Event):
    """LISTEN goes through a pooler, which loses notifications: the worker or waiting client polls instead."""

    level: ClassVar[str] = "warning"
    name: str
    hint: str = "set TRIB_LISTEN_URL to the server itself"


@dataclass(frozen=True, slots=True)
class ListenSilent(Event):
    """A notification to itself did not come back for ``silent`` seconds: LISTEN starts anew."""

    level: ClassVar[str] = "warning"
    name: str
    silent: float


@dataclass(frozen=True, slots=True)
class ListenFailed(Event):
    """A client that waits gets no notifications and polls instead; while it waits, it tries again."""

    level: ClassVar[str] = "warning"
    name: str
    error: str


@dataclass(frozen=True, slots=True)
class LinesLost(Event):
    """Lines of attempts could not be stored: the database was away for too long, or refused them."""

    level: ClassVar[str] = "warning"
    process: str
    lines: int
    error: str


@dataclass(frozen=True, slots=True)
class LeaseLost(Event):
    """The token of an attempt no longer stands, though nobody cancelled its step: its answer is dropped."""

    level: ClassVar[str] = "warning"
    run_id: str
    ordinal: int


@dataclass(frozen=True, slots=True)
class AttemptsRescued(Event):
    """Attempts of dead processes were given back."""

    level: ClassVar[str] = "warning"
    count: int


@dataclass(frozen=True, slots=True)
class HandlerImportFailed(Event):
    """Handlers that cannot be offered, and why."""

    level: ClassVar[str] = "error"
    module: str
    names: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class NamesUnmatched(Event):
    """No handler of this worker fits these patterns of the names that it shall claim."""

    level: ClassVar[str] = "warning"
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepFailed(Event):
    """An attempt failed; ``delay`` seconds until the next one, None when there will be none."""

    level: ClassVar[str] = "warning"
    run_id: str
    step: str
    name: str
    attempt: int
    type: str
    message: str
    reason: str | None
    delay: float | None
    traceback: str | None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class ResourceOpened(Event):
    """A process has opened a resource, for all attempts that are to come."""

    level: ClassVar[str] = "debug"
    resource: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ResourceClosed(Event):
    """A process has closed a resource in order."""

    level: ClassVar[str] = "debug"
    resource: str


@dataclass(frozen=True, slots=True)
class ResourceNotClosed(Event):
    """What closes a resource failed, or took too long; no outcome is lost by it."""

    level: ClassVar[str] = "warning"
    resource: str
    error: str
    traceback: str | None = None


Observer = Callable[[Event], None]

_observers: tuple[Observer, ...] = ()
_lock = threading.Lock()


def attach(observer: Observer) -> Callable[[], None]:
    """Call ``observer`` with every event from now on; return a function that ends it."""
    global _observers  # noqa: PLW0603 - the one list of observers of this process
    with _lock:
        _observers = (*_observers, observer)

    def detach() -> None:
        global _observers  # noqa: PLW0603 - see above
        with _lock:
            _observers = tuple(known for known in _observers if known is not observer)

    return detach


def emit(event: Event) -> None:
    """Tell every observer."""
    for observer in _observers:
        try:
            observer(event)
        except Exception:  # noqa: BLE001 - an observer must not break what it observes
            traceback.print_exc()
