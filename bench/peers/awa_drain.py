"""awa: no-op jobs handled in Python, dispatched by its Rust core."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvloop
from awa import AsyncClient

from bench.peers import harness

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK = 2_000
_SCHEMA = "awa"


@dataclass
class Noop:
    i: int


def load(asked: Mapping[str, Any]) -> None:
    asyncio.run(enqueue(asked))


async def enqueue(asked: Mapping[str, Any]) -> None:
    client = AsyncClient(asked["url"])
    await client.migrate()
    insert = client.insert_many_copy
    if asked["engine"] == "queue_storage":
        await client.install_queue_storage(schema=_SCHEMA)
        insert = client.enqueue_many_copy
    for start in range(0, asked["jobs"], _CHUNK):
        numbers = range(start, min(start + _CHUNK, asked["jobs"]))
        await insert([Noop(i) for i in numbers], queue="default")
    await client.close()


def work(asked: Mapping[str, Any], finishes: harness.Finishes) -> None:
    async def drain() -> None:
        client = AsyncClient(asked["url"])

        @client.task(Noop, queue="default")
        async def noop(_job: Any) -> None:
            finishes.note()

        schema = _SCHEMA if asked["engine"] == "queue_storage" else None
        await client.start([("default", asked["concurrency"])], queue_storage_schema=schema)
        # its workers never end by themselves, and what the other process has done is seen by looking
        while finishes.publish() < asked["jobs"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await client.shutdown()

    uvloop.run(drain())


if __name__ == "__main__":
    harness.main(load, work)
