"""What a piece of work costs the processor, apart from what else the process and the machine do meanwhile."""

from __future__ import annotations

import gc
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@contextmanager
def _uncollected():
    """The collector rests: a full collection looks at all that the test process ever imported."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def cpu_seconds(work: Callable[[], object], *, enough: float, tries: int = 3) -> float:
    """The CPU seconds of this thread for ``work``: the least of ``tries``; one below ``enough`` is the last.

    A busy neighbour on the same core can double what a try takes; what is slow by itself is slow in each.
    """
    least = float("inf")
    with _uncollected():
        for _ in range(tries):
            began = time.thread_time()
            work()
            least = min(least, time.thread_time() - began)
            if least < enough:
                break
    return least
