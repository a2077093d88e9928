"""What happens to the step cache, as typed events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tributary_daemon.events import Event


@dataclass(frozen=True, slots=True)
class CacheUnavailable(Event):
    """The store of the step cache is out of reach: steps run without it. Told once per outage and process."""

    level: ClassVar[str] = "warning"
    store: str
    error: str


@dataclass(frozen=True, slots=True)
class CacheAvailable(Event):
    """The store of the step cache answers again."""

    store: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ResultNotCached(Event):
    """The result of an attempt, or of a sub-workflow, is its step's, but was not kept in the cache.

    Attributes:
        why: ``too_large``; ``taken_over``: somebody has purged the entry, or believed the attempt dead;
            ``in_itself``: it was asked for within the sub-workflow that makes it, and is made there, too;
            ``not_authentic``: what lies there is not what was encrypted for it (trib cache purge).
    """

    level: ClassVar[str] = "warning"
    run_id: str
    step: str
    name: str
    why: str
