"""How many connections a worker takes: the formula of docs/connections.md."""

from __future__ import annotations

from typing import NamedTuple

BESIDE = 2
"""Connections of a supervisor: its own, and LISTEN."""

EACH = 3
"""Connections of a process: its database thread, the reader that steps share, the writer of their lines."""


class Budget(NamedTuple):
    """Connections of one or several workers.

    Attributes:
        always: what they take whatever their steps do.
        most: what they take when all allowed attempts hold a `step.connection()`.
    """

    always: int
    most: int


def of_worker(processes: int, step_connections: int) -> Budget:
    """Return the connections of a worker."""
    always = BESIDE + processes * EACH
    return Budget(always, always + processes * step_connections)
