"""The same client for asyncio: one test for each way in which it differs."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tributary_daemon import app
from tributary_daemon.client.async_client import AsyncClient
from tributary_daemon.client.client import Client
from tributary_daemon.errors import DatabaseUnreachable, NotFound, NotPossible, WaitTimeout


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


def test_it_has_the_methods_of_the_client():
    assert public(AsyncClient) == public(Client)


def test_submit_read_wait_and_steer(database, hand):
    hand.offer("test.a.v1")

    async def main():
        async with app.AsyncClient(database) as client:
            receipt = await client.submit("test.a.v1", {"n": 1}, idempotency_key="k")
            again = await client.submit("test.a.v1", {"n": 1}, idempotency_key="k")
            assert (again.id, again.created) == (receipt.id, False)
            with pytest.raises(WaitTimeout):
                await receipt.wait(timeout=0.03)
            hand.finish(hand.claim(), "completed", result=5)
            assert (await receipt.wait(timeout=10)).result == 5
            assert (await client.list()).items[0].id == receipt.id
            other = await client.submit("test.a.v1")
            assert await client.cancel(other.id) == "available"
            assert (await other.refresh()).state == "cancelled"
            rerun = await client.rerun(receipt.id)
            assert rerun.created
            assert len(await client.submit_many("test.a.v1", [{}, {}])) == 2
            assert [queue.name for queue in await client.queues()] == ["default"]
            with pytest.raises(NotFound):
                await client.get("01234567-89ab-7def-8123-456789abcdef")
            return await asyncio.gather(*(client.submit("test.a.v1") for _ in range(5)))

    assert len({receipt.id for receipt in asyncio.run(main())}) == 5


def test_steps_are_looked_at_and_run_again(database, hand, diamond):
    hand.offer("test.a.v1")

    async def main():
        async with app.AsyncClient(database) as client:
            run = await client.submit(diamond)
            with pytest.raises(NotPossible, match="cancel it first"):
                await client.retry_preview(run.id, only="top")
            await client.cancel(run.id)
            before = await run.refresh()
            rows = await client.retry_preview(run.id, "top")
            assert {row.step for row in rows if row.again} == {"top", "left", "right", "bottom"}
            assert [row.step for row in await client.retry_preview(run.id, only=["alone"]) if row.again] == [
                "alone"
            ]
            assert await run.refresh() == before, "a preview changes nothing"
            with pytest.raises(NotFound):
                await client.retry_only(run.id, "nobody")
            assert await client.retry_only(run.id, "alone") == "running"
            steps = (await client.get(run.id)).steps
            assert (steps["alone"].state, steps["top"].state) == ("available", "cancelled")

    asyncio.run(main())


def test_a_rerun_takes_the_latest_revision_if_asked_to(database, diamond):
    async def main():
        async with app.AsyncClient(database) as client:
            run = await client.submit(diamond)
            with pytest.raises(NotFound, match="is registered"):
                await client.rerun(run.id, latest=True)
            diamond.write_text(diamond.read_text() + "  more: {task: test.a.v1}\n")
            await client.register(diamond)
            same, latest = await client.rerun(run.id), await client.rerun(run.id, latest=True)
            assert "more" not in (await client.get(same.id)).steps
            assert "more" in (await client.get(latest.id)).steps

    asyncio.run(main())


def test_a_submit_takes_part_in_the_callers_transaction(database):
    async def main():
        async with (
            app.AsyncClient(database) as client,
            await psycopg.AsyncConnection.connect(database) as own,
        ):
            receipt = await client.submit("test.a.v1", connection=own)
            await client.submit_many("test.a.v1", [{}], connection=own)
            with pytest.raises(NotFound):
                await client.get(receipt.id)
            await own.rollback()
            assert (await client.list()).items == ()
            receipt = await client.submit("test.a.v1", connection=own)
            await own.commit()
            assert (await client.get(receipt.id)).name == "test.a.v1"

    asyncio.run(main())


def test_a_cut_connection_is_replaced(database, hand):
    async def main():
        async with app.AsyncClient(database) as client:
            await client.submit("test.a.v1")
            hand.sql(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where application_name = 'trib client' and datname = current_database()"
            )
            await client.submit("test.a.v1")
            assert len((await client.list()).items) == 2

    asyncio.run(main())


def test_no_server_is_said_clearly():
    async def main():
        async with app.AsyncClient("postgresql://nobody@127.0.0.1:1/nowhere") as client:
            await client.list()

    with pytest.raises(DatabaseUnreachable):
        asyncio.run(main())
