"""What the leader last saw of the queues, for whoever draws it over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tributary_daemon.store.db import Query, query

if TYPE_CHECKING:
    from tributary_daemon.store.db import Operation


class QueueSample(NamedTuple):
    """The last sample of one queue; None for all of it where there is none, or for what is not known.

    Attributes:
        queue: its name.
        ready: steps and intents that can be claimed.
        scheduled: that are due later.
        running: that are claimed.
        waiting: that wait for a handler or a group.
        oldest: seconds for which the oldest ready one had been ready.
        age: seconds since the sample was taken.
        letters: dead letters.
    """

    queue: str
    ready: int | None
    scheduled: int | None
    running: int | None
    waiting: int | None
    oldest: float | None
    age: float | None
    letters: int


def queue_samples() -> Operation[list[QueueSample]]:
    """Read the last sample of each queue, and how many dead letters it has."""
    rows = yield Query(query("queue_samples"), {})
    return [QueueSample(*row) for row in rows]
