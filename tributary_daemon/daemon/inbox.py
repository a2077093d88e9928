"""What reaches the database thread: finished attempts and requests, through one queue."""

from __future__ import annotations

import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import Outcome

SERVE: Final = "serve "
HELP: Final = "help "
"""The orders of a supervisor that become `Serve`, before the numbers of the shards."""


@dataclass(frozen=True, slots=True)
class Wake:
    """There may be work."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something was cancelled: compare the held tokens with the table."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Claim nothing new, finish what runs, give back what has not started."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Claim nothing (or claim again); what has not started is given back."""

    paused: bool


@dataclass(frozen=True, slots=True)
class Serve:
    """Claim from these shards; of others what has been left lying there, if it ``helps``."""

    shards: frozenset[int]
    helps: bool


@dataclass(frozen=True, slots=True)
class Unhold:
    """The process that this one replaces is gone: claim from queues with slots too."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An attempt ignored its limit: nobody waits for it; it ends with this process."""

    held: Held


@dataclass(frozen=True, slots=True)
class Progress:
    """Details of a heartbeat, JSON text."""

    held: Held
    details: str


@dataclass(slots=True)
class Finished:
    """An attempt has an outcome; None when it is written already, or nobody's."""

    held: Held
    outcome: Outcome | None


Message = Wake | Check | Drain | Pause | Serve | Unhold | GivenUp | Progress | Finished


class Inbox:
    """Many senders, one receiver."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Message] = SimpleQueue()
        self.put = self._queue.put

    def take(self, patience: float, *, linger: float = 0.0, enough: int = 1) -> list[Message]:
        """Return what has come; waits up to ``patience`` seconds for the first message.

        While there are fewer than ``enough`` messages it goes on collecting for ``linger`` seconds.
        """
        get = self._queue.get
        try:
            messages = [get(timeout=patience) if patience > 0 else get(block=False)]
        except Empty:
            return []
        until = time.monotonic() + linger
        try:
            while True:
                messages.append(get(block=False))
        except Empty:
            pass
        while len(messages) < enough and (left := until - time.monotonic()) > 0:
            try:
                messages.append(get(timeout=left))
            except Empty:
                break
        return messages
