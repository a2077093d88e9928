"""What the tests of waiting clients share."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor

LISTENS = "select count(*) from pg_stat_activity where datname = current_database() and application_name = %s"
ROWS = "select (select count(*) from tributary.waiters), (select count(*) from tributary.awaited)"
KILL = (
    "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
    " where datname = current_database() and application_name = %s"
)


def listens(hand):
    return hand.sql(LISTENS, ("trib client listen",))[0][0]


def registered(hand):
    return hand.sql(ROWS)[0]


class Waits:
    """Waits in threads of their own."""

    def __init__(self, client, ids, **options):
        self._pool = ThreadPoolExecutor(len(ids))
        self.futures = [self._pool.submit(client.wait, work_id, 60, **options) for work_id in ids]

    def states(self):
        found = [future.result(60).state for future in self.futures]
        self._pool.shutdown()
        return found


def ended(hand, outcome="completed"):
    while (row := hand.claim()) is not None:
        hand.finish(row, outcome)


def seldom(client):
    """Return whether nothing is looked for in the next second."""
    service = client._waiter._service
    with service._news:
        return 1 < service._book.pause(time.monotonic()) < math.inf


async def until(probe):
    """Wait for a condition, and let the loop go on."""
    async with asyncio.timeout(60):
        while not probe():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
