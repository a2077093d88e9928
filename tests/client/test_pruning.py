"""`Client.prune`, and that `AsyncClient` has the same."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from tests.store import aging
from tributary_daemon import app
from tributary_daemon.errors import InvalidInput, NotFound


@pytest.fixture
def sql(database):
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


def test_what_ended_longer_ago_goes(client, sql):
    old = aging.finished(sql, 600, "40 days")
    young = aging.finished(sql, 1, "20 days")
    seen = []
    assert client.prune("30d", dry_run=True).to_json() == {
        "runs": 0, "intents": 600, "dry_run": True, "kept": {},
    }  # fmt: skip
    assert client.get(old[0]).state == "completed"
    assert client.prune(timedelta(days=30), seen=seen.append).to_json() == {
        "runs": 0, "intents": 600, "dry_run": False, "kept": {},
    }  # fmt: skip
    assert seen[-1].intents == 600
    assert len(seen) > 1
    with pytest.raises(NotFound):
        client.get(old[0])
    assert client.get(young[0]).state == "completed"


@pytest.mark.one_shard("claims rows in the order of their submits, which holds within a shard")
def test_by_state_and_with_dead_letters(client, sql):
    aging.finished(sql, 1, "40 days", "cancelled")
    letter = aging.finished(sql, 1, "50 days", "discarded")[0]
    sql.execute(
        """insert into tributary.dead_letters (run_id, created_at, ordinal, shard, attempt, kind, name, queue,
                                              reason, error)
           values (%s, now() - interval '50 days', 0, 0, 1, 'intent', 't.v1', 'default', 'x', '{}')""",
        (letter,),
    )
    assert client.prune("30d", states=["completed", "discarded"]).intents == 0
    assert client.prune("30d", dead_letters_older_than="60d", dry_run=True).intents == 1
    assert client.prune("30d", dead_letters_older_than="45d").intents == 2
    assert client.dead_letters().items == ()


def test_a_client_with_a_tenant_prunes_only_its_work(database, sql):
    aging.finished(sql, 3, "40 days")
    with app.Client(database, tenant="acme") as client:
        assert client.prune("30d").intents == 0
    with app.Client(database) as client:
        assert client.prune("30d").intents == 3


def test_a_client_with_a_tenant_has_no_say_in_what_workflows_keep(database, sql):
    for dry_run in (True, False):
        with app.Client(database, tenant="acme") as client, pytest.raises(InvalidInput, match="how old"):
            client.prune(None, dry_run=dry_run)
    with app.Client(database) as client:
        assert client.prune(None).runs == 0


def test_arguments_that_make_no_sense_are_refused(client):
    for bad in (lambda: client.prune("soon"), lambda: client.prune("1d", states=["running"])):
        with pytest.raises(InvalidInput):
            bad()


def test_the_same_for_asyncio(database, sql):
    aging.finished(sql, 3, "40 days")

    async def main():
        async with app.AsyncClient(database) as client:
            return await client.prune("30d")

    assert asyncio.run(main()).intents == 3
