"""What the drivers of Python peers share: only the standard library, as a peer's own interpreter runs it.

A driver is called twice, with one JSON object as its argument: `phase` is "load", then "drain"; the rest is
the url, the number of processes, how much work, and what this peer understands. The drain prints a JSON list
of what each process noted, {"first": ..., "last": ..., "count": ...}: when its first and last handler
finished, in seconds since the epoch, and how many did.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Work = Callable[[Mapping[str, Any], "Finishes"], None]


class Finishes:
    """When a process's first and last handler finished, and how many did."""

    def __init__(self, cells: Any, process: int) -> None:
        """Take the shared cells of all processes, and the number of this one."""
        self.process = process
        self._cells = cells
        self._first = self._last = 0.0
        self._count = 0

    def note(self) -> None:
        """Count one finish, now."""
        self._last = time.time()
        self._first = self._first or self._last
        self._count += 1

    def publish(self) -> int:
        """Show the others what was counted here; return what all processes have counted."""
        base = 3 * self.process
        self._cells[base : base + 3] = [self._first, self._last, float(self._count)]
        return int(sum(self._cells[2::3]))


def main(load: Callable[[Mapping[str, Any]], None], work: Work) -> None:
    """Do the phase that is asked for: ``load`` once, or ``work`` in every process until all have returned."""
    asked: Mapping[str, Any] = json.loads(sys.argv[1])
    if asked["phase"] == "load":
        load(asked)
        return
    context = multiprocessing.get_context("spawn")
    processes = range(asked["processes"])
    cells = context.RawArray("d", 3 * len(processes))
    workers = [context.Process(target=_child, args=(work, asked, cells, k)) for k in processes]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit(f"exit codes of the processes: {[worker.exitcode for worker in workers]}")
    noted = (cells[3 * k : 3 * k + 3] for k in processes)
    print(json.dumps([{"first": first, "last": last, "count": int(count)} for first, last, count in noted]))


def _child(work: Work, asked: Mapping[str, Any], cells: Any, process: int) -> None:
    finishes = Finishes(cells, process)
    work(asked, finishes)
    finishes.publish()
