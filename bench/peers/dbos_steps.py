"""DBOS: workflows of no-op steps one after another, started in the background of every process."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from dbos import DBOS, DBOSConfig

from bench.peers import harness

if TYPE_CHECKING:
    from collections.abc import Mapping


def configuration(asked: Mapping[str, Any], process: int) -> DBOSConfig:
    """Return the configuration of a process; each is an executor of its own."""
    return {
        "name": "bench",
        "system_database_url": asked["url"].replace("postgresql://", "postgresql+psycopg://", 1),
        "sys_db_pool_size": asked["connections"],
        "max_executor_threads": asked["threads"],
        "executor_id": f"bench-{process}",
        "application_version": "bench",
        "log_level": "ERROR",
    }


def load(asked: Mapping[str, Any]) -> None:
    """Make the tables; there is nothing to enqueue, as workflows start in the process that runs them."""
    DBOS(config=configuration(asked, 0))
    DBOS.launch()
    DBOS.destroy()


def work(asked: Mapping[str, Any], finishes: harness.Finishes) -> None:
    DBOS(config=configuration(asked, finishes.process))
    mine = range(finishes.process, asked["runs"], asked["processes"])

    @DBOS.step()
    def step(i: int) -> int:
        finishes.note()
        return i

    @DBOS.workflow()
    def chain(i: int) -> int:
        for _ in range(asked["steps"]):
            step(i)
        return i

    @DBOS.step()
    async def async_step(i: int) -> int:
        finishes.note()
        return i

    @DBOS.workflow()
    async def async_chain(i: int) -> int:
        for _ in range(asked["steps"]):
            await async_step(i)
        return i

    async def run_async() -> None:
        handles = [await DBOS.start_workflow_async(async_chain, i) for i in mine]
        for handle in handles:
            await handle.get_result()

    DBOS.launch()
    if asked["mode"] == "start_workflow":
        for handle in [DBOS.start_workflow(chain, i) for i in mine]:
            handle.get_result()
    elif asked["mode"] == "threads":
        with ThreadPoolExecutor(asked["threads"]) as pool:
            list(pool.map(chain, mine))
    else:
        asyncio.run(run_async())
    DBOS.destroy()


if __name__ == "__main__":
    harness.main(load, work)
