"""What every store of the step cache is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from tributary_daemon.model.caching import CacheKey, Holder

FORGOTTEN: Final = 7 * 86_400.0
"""Seconds after which an entry is forgotten that nobody has filled."""


@dataclass(frozen=True, slots=True)
class Hit:
    """The result is there: JSON text, exactly as it was kept."""

    value: str


@dataclass(frozen=True, slots=True)
class Mine:
    """There is none: whoever asked makes it, and says `fill` or `give_up`."""


@dataclass(frozen=True, slots=True)
class Busy:
    """An attempt makes it, since ``age`` seconds; whether that one still lives the store does not know."""

    holder: Holder
    age: float


class Stat(NamedTuple):
    """What is kept of one handler.

    Attributes:
        step_name: of the handler.
        entries: results, those that have expired included.
        filling: results that are being made.
        expired: results that are not served any more, and not removed yet.
        bytes: of all results.
        oldest: when the first of them was begun.
    """

    step_name: str
    entries: int
    filling: int
    expired: int
    bytes: int
    oldest: datetime | None


class CacheStore(Protocol):
    """A store of the step cache. Used by one thread at a time.

    Every method may raise what its client raises when the store is out of reach.
    """

    def begin(self, key: CacheKey, holder: Holder) -> Hit | Mine | Busy:
        """Return the result, or who makes it; where there is neither, ``holder`` does from now on."""
        ...

    def take_over(self, key: CacheKey, old: Holder, new: Holder) -> bool:
        """Let ``new`` make the result instead of ``old``; False when ``old`` is not who makes it."""
        ...

    def fill(self, key: CacheKey, holder: Holder, value: str) -> bool:
        """Keep the result as long as its key says; False when ``holder`` is not who makes it."""
        ...

    def give_up(self, key: CacheKey, holder: Holder) -> bool:
        """Let whoever asks next make the result; False when ``holder`` is not who makes it."""
        ...

    def stats(self) -> list[Stat]:
        """Return what is kept, by handler, the largest first."""
        ...

    def purge(self, step_name: str | None, *, expired: bool) -> int:
        """Remove entries, of one handler or of all, or only what has expired; return how many."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...
