"""The end of what a process has opened for its handlers: closed in order, but not waited for without end."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from tributary_daemon import events
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.engine.pool import Pool

_LOOK_EVERY: Final = 0.2


def close_within(pool: Pool, seconds: float, alive: Callable[[], None]) -> None:
    """Close the resources of a process; what has not ended by then ends with the process.

    Args:
        pool: of the process.
        seconds: how long to wait.
        alive: called now and then meanwhile.
    """
    thread = threading.Thread(target=pool.close, name="closing", daemon=True)
    thread.start()
    until = time.monotonic() + seconds
    thread.join(_LOOK_EVERY)
    while thread.is_alive() and time.monotonic() < until:
        alive()
        thread.join(_LOOK_EVERY)
    closing = pool.closing
    if thread.is_alive() and closing is not None:
        events.emit(events.ResourceNotClosed(closing, f"not done after {durations.text(seconds)}"))
