"""What hooks have to tell, as events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tributary_daemon.events import Event


@dataclass(frozen=True, slots=True)
class HookFailed(Event):
    """A hook has failed where that changes nothing: after a submit, after an error, without its database.

    Attributes:
        hook: its class.
        method: that failed.
        name: of the handler or workflow; empty for none.
    """

    level: ClassVar[str] = "warning"
    hook: str
    method: str
    name: str
    error: str
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class BreakerOpened(Event):
    """A circuit breaker has opened: its handlers are put off for so many seconds."""

    level: ClassVar[str] = "warning"
    breaker: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BreakerClosed(Event):
    """A circuit breaker has closed: its handlers run again."""

    breaker: str
