"""Many intents at once, on a real database."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tests.client.test_submitting import rows, stored
from tributary_daemon import app
from tributary_daemon.errors import CodecError, InvalidInput
from tributary_daemon.handlers.declare import handler
from tributary_daemon.handlers.registry import REGISTRY

TENANT = "\\N é\\.\\\\\u2028'\""
ODD = "\\N é\t\\.\r\n\\\\\u2028'\""


def test_submit_many_records_all_in_order(client, database):
    ids = client.submit_many("test.a.v1", ({"n": n, "text": "a\\b\t\n"} for n in range(500)), priority=2)
    assert len(set(ids)) == 500
    found = rows(
        database,
        "select p.payload from tributary.steps s"
        " join tributary.payloads p using (shard, run_id, ordinal) order by s.seq",
    )
    assert [row[0] for row in found] == [{"n": n, "text": "a\\b\t\n"} for n in range(500)]
    document = client.get(ids[7])
    assert (document.payload["n"], document.priority, document.state) == (7, 2, "waiting")
    assert client.submit_many("test.a.v1", []) == []


def test_submit_many_stores_all_or_nothing(client, database):
    with pytest.raises(CodecError, match=r"payloads\[2\]"):
        client.submit_many("test.a.v1", [{}, {}, {"n": float("inf")}])
    with pytest.raises(InvalidInput, match="neither idempotency key nor labels"):
        client.submit_many("test.a.v1", [{}], idempotency_key="k")
    assert stored(database)["steps"] == 0


def test_submit_many_keeps_every_character(database):
    with app.Client(database, tenant=TENANT) as client:
        payloads = [{"text": ODD, ODD: [ODD]}, ODD, None, 1.5, "\\N"]
        retry = {"delay": 7}
        ids = client.submit_many("test.\\N.v1", payloads, queue="a\\tb", retry=retry, run_after="1h")
        found = [client.get(one) for one in ids]
    assert [document.payload for document in found] == [{"text": ODD, ODD: [ODD]}, ODD, {}, 1.5, "\\N"]
    assert {document.name for document in found} == {"test.\\N.v1"}
    assert {(document.queue, document.tenant) for document in found} == {("a\\tb", TENANT)}
    stored_options = rows(
        database, "select distinct options #>> '{retry,value,delay}' from tributary.payloads"
    )
    assert stored_options == [("7.0",)]


def test_submit_many_on_a_connection_of_another_encoding(client, database):
    with psycopg.connect(database, client_encoding="latin1") as own:
        (one,) = client.submit_many("test.é.v1", [{"text": "é"}], connection=own)
    assert (client.get(one).name, client.get(one).payload) == ("test.é.v1", {"text": "é"})


def test_an_async_client_writes_the_same(database):
    async def main():
        async with app.AsyncClient(database) as client:
            ids = await client.submit_many("test.a.v1", [{"n": n, "text": ODD} for n in range(2000)])
            return [(await client.get(one)).payload for one in (ids[0], ids[-1])]

    assert asyncio.run(main()) == [{"n": 0, "text": ODD}, {"n": 1999, "text": ODD}]


def test_ids_lead_to_the_shards_where_the_rows_are(client, database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "insert into tributary.meta (key, value) values ('shards', '3')"
            " on conflict (key) do update set value = excluded.value"
        )
    ids = client.submit_many("test.a.v1", [{}] * 30)
    for table in ("steps", "payloads"):
        wrong = f"select count(*) from tributary.{table} where shard <> tributary.shard_of(run_id)"
        assert rows(database, wrong) == [(0,)]
    assert client.get(ids[-1]).name == "test.a.v1"


def test_submit_many_says_which_payload_a_handler_refuses(client, database):
    @handler("test.number.v1")
    def number(n: int) -> int:
        return n

    try:
        with pytest.raises(
            InvalidInput, match=r"^payloads\[1\]: test.number.v1 does not take this payload: "
        ):
            client.submit_many("test.number.v1", [{"n": 1}, {"n": "x"}])
    finally:
        REGISTRY.remove("test.number.v1")
    assert stored(database)["steps"] == 0
