"""procrastinate: no-op jobs, drained by workers that do not wait for more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import procrastinate

from bench.peers import harness

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHUNK = 1_000


def application(asked: Mapping[str, Any]) -> procrastinate.App:
    """Return an app whose pool has a connection for most of its concurrent jobs."""
    return procrastinate.App(
        connector=procrastinate.PsycopgConnector(conninfo=asked["url"], min_size=4, max_size=20)
    )


def load(asked: Mapping[str, Any]) -> None:
    asyncio.run(defer(asked))


async def defer(asked: Mapping[str, Any]) -> None:
    app = application(asked)

    @app.task(name="noop")
    async def noop(i: int) -> None:
        """Only deferred here."""

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for start in range(0, asked["jobs"], _CHUNK):
            numbers = range(start, min(start + _CHUNK, asked["jobs"]))
            await noop.batch_defer_async(*[{"i": i} for i in numbers])


def work(asked: Mapping[str, Any], finishes: harness.Finishes) -> None:
    app = application(asked)

    @app.task(name="noop")
    async def noop(i: int) -> int:
        finishes.note()
        return i

    async def drain() -> None:
        async with app.open_async():
            await app.run_worker_async(
                concurrency=asked["concurrency"],
                wait=False,
                listen_notify=False,
                install_signal_handlers=False,
            )

    asyncio.run(drain())


if __name__ == "__main__":
    harness.main(load, work)
