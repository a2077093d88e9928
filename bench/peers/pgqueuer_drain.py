"""PgQueuer: no-op jobs, drained by `mode=drain` on asyncpg and uvloop."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.domain.types import QueueExecutionMode
from pgqueuer.models import Job  # noqa: TC002 - it looks at the annotation
from pgqueuer.queries import Queries

from bench.peers import harness

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK = 5_000


def load(asked: Mapping[str, Any]) -> None:
    asyncio.run(enqueue(asked))


async def enqueue(asked: Mapping[str, Any]) -> None:
    connection = await asyncpg.connect(asked["url"])
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    for start in range(0, asked["jobs"], _CHUNK):
        numbers = range(start, min(start + _CHUNK, asked["jobs"]))
        payloads = [json.dumps({"i": i}).encode() for i in numbers]
        await queries.enqueue(["noop"] * len(payloads), payloads, [0] * len(payloads))
    await connection.close()


def work(asked: Mapping[str, Any], finishes: harness.Finishes) -> None:
    async def drain() -> None:
        if asked["driver"] == "pool":
            driver = AsyncpgPoolDriver(await asyncpg.create_pool(asked["url"], min_size=2, max_size=6))
        else:
            driver = AsyncpgDriver(await asyncpg.connect(asked["url"]))
        worker = PgQueuer(driver)

        @worker.entrypoint("noop")
        async def noop(job: Job) -> None:
            json.loads(job.payload or b"null")
            finishes.note()

        await worker.qm.run(batch_size=asked["batch"], mode=QueueExecutionMode.drain)

    uvloop.run(drain())


if __name__ == "__main__":
    harness.main(load, work)
