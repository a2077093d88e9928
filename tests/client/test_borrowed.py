"""Submits, signals, cancels and reads in the caller's own transaction: psycopg's, or one of SQLAlchemy."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from tributary_daemon.app import AsyncClient, Client
from tributary_daemon.errors import InvalidInput, NotFound

WORKFLOW = "name: paid.v1\nsteps: {w: {wait: {signal: paid}}}\n"


@pytest.fixture
def client(database):
    with Client(database) as opened:
        yield opened


@pytest.fixture
def flow(tmp_path):
    path = tmp_path / "paid.yaml"
    path.write_text(WORKFLOW)
    return str(path)


def dialect(url, driver="psycopg"):
    return urlsplit(url)._replace(scheme=f"postgresql+{driver}").geturl()


@pytest.fixture
def engine(database):
    made = sqlalchemy.create_engine(dialect(database))
    yield made
    made.dispose()


def works(client, connection, flow):
    """Start, signal, read and cancel a run on one connection; return the ids of the run and of an intent."""
    run = client.submit(flow, connection=connection).id
    assert client.signal(run, "paid", 1, connection=connection) == 1
    assert client.get(run, connection=connection).state == "available"
    (intent,) = client.submit_many("t.v1", [{}], connection=connection)
    assert client.cancel(intent, connection=connection) == "waiting"
    return run, intent


def test_what_a_session_of_sqlalchemy_rolls_back_has_not_happened(client, engine, flow):
    with Session(engine) as session:
        session.execute(text("create table orders (n int)"))
        run, intent = works(client, session, flow)
        with pytest.raises(NotFound):
            client.get(run)
        session.rollback()
    for gone in (run, intent):
        with pytest.raises(NotFound):
            client.get(gone)
    with Session(engine) as session:
        session.execute(text("create table orders (n int)"))
        run, intent = works(client, session, flow)
        session.execute(text("insert into orders values (1)"))
        session.commit()
    assert client.get(run).state == "available"
    assert client.get(intent).state == "cancelled"
    with engine.connect() as connection:
        assert connection.execute(text("select n from orders")).scalar_one() == 1


def test_a_connection_of_sqlalchemy_and_one_of_psycopg(client, engine, database, flow):
    with engine.begin() as connection:
        run, _ = works(client, connection, flow)
    assert client.get(run).state == "available"
    with engine.connect() as connection:
        run, _ = works(client, connection, flow)
        connection.commit()
    assert client.get(run).state == "available"
    with psycopg.connect(database, row_factory=dict_row) as connection:
        run, _ = works(client, connection, flow)
        assert connection.execute("select 1 as one").fetchone() == {"one": 1}, "its rows are as they were"
    assert client.get(run).state == "available"


def test_the_same_for_asyncio(database, flow):
    async def run():
        engine = create_async_engine(dialect(database, "psycopg_async"))
        async with AsyncClient(database) as client:
            for make in (AsyncSession, AsyncEngineConnection):
                async with make(engine) as caller:
                    lost = (await client.submit(flow, connection=caller)).id
                    await caller.rollback()
                with pytest.raises(NotFound):
                    await client.get(lost)
                async with make(engine) as caller:
                    kept = (await client.submit(flow, connection=caller)).id
                    assert await client.signal(kept, "paid", connection=caller) == 1
                    assert (await client.get(kept, connection=caller)).state == "available"
                    (intent,) = await client.submit_many("t.v1", [{}], connection=caller)
                    assert await client.cancel(intent, connection=caller) == "waiting"
                    await caller.commit()
                assert (await client.get(kept)).state == "available"
            async with await psycopg.AsyncConnection.connect(database) as own:
                kept = (await client.submit(flow, connection=own)).id
            assert (await client.get(kept)).state == "available"
            with pytest.raises(InvalidInput, match="AsyncSession"):
                await client.get(kept, connection=object())
        await engine.dispose()

    asyncio.run(run())


def AsyncEngineConnection(engine):  # noqa: N802 - made like a session
    return engine.connect()


@pytest.mark.parametrize("wrong", [object(), "postgresql://x"])
def test_what_is_no_connection_is_refused(client, flow, wrong):
    with pytest.raises(InvalidInput, match=r"postgresql\+psycopg") as caught:
        client.submit(flow, connection=wrong)
    assert "sqlalchemy.Connection or Session" in caught.value.message


def test_another_dialect_is_refused(client, flow):
    with sqlalchemy.create_engine("sqlite://").connect() as other, pytest.raises(InvalidInput):
        client.submit(flow, connection=other)
