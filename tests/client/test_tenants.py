"""Clients of one tenant, whatever the rights of their login: what is another's is not there."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tributary_daemon import app
from tributary_daemon.errors import InvalidInput, NotFound, NotPossible
from tributary_daemon.store import sight
from tributary_daemon.store.db import Query

STEERS = (
    lambda client, work: client.get(work),
    lambda client, work: client.get(work[:13]),
    lambda client, work: client.wait(work, 0.1),
    lambda client, work: client.cancel(work),
    lambda client, work: client.retry(work),
    lambda client, work: client.retry_only(work, "one"),
    lambda client, work: client.retry_preview(work),
    lambda client, work: client.why(work),
    lambda client, work: client.change(work, priority=3),
    lambda client, work: client.pause(work),
    lambda client, work: client.resume(work),
    lambda client, work: client.signal(work, "go"),
    lambda client, work: client.approve(work, "one"),
    lambda client, work: client.reject(work, "one"),
    lambda client, work: client.rerun(work),
    lambda client, work: client.items(work, "one"),
    lambda client, work: client.shape(work),
    lambda client, work: client.history(work),
    lambda client, work: client.query(work),
    lambda client, work: client.dead_letter(work),
    lambda client, work: client.requeue(work),
    lambda client, work: client.drop(work),
    lambda client, work: client.events(work),
    lambda client, work: list(client.logs(work)),
)


@pytest.fixture
def work(database):
    with app.Client(database, tenant="beta") as beta:
        return beta.submit("test.a.v1").id


@pytest.mark.parametrize("steer", STEERS)
def test_work_of_another_tenant_is_not_found(database, work, steer):
    with app.Client(database, tenant="acme") as acme, pytest.raises(NotFound):
        steer(acme, work)
    with app.Client(database) as everyone:
        assert everyone.get(work).state == "waiting"


def test_the_newest_and_a_part_of_an_id_are_looked_for_among_ones_own(database, work):
    with app.Client(database, tenant="acme") as acme, app.Client(database, tenant="beta") as beta:
        with pytest.raises(NotFound, match="there is no run or intent yet"):
            acme.get("@latest")
        mine = acme.submit("test.a.v1").id
        assert acme.get("@latest").id == mine
        assert beta.get("@latest").id == work
        assert acme.get(mine[-8:]).id == mine
        assert {event.id for event in acme.events().items} == {mine}
        assert acme.cancel_many(name="test.a.v1").done == 1
        assert beta.get(work).state == "waiting"


def test_in_the_callers_own_transaction_too(database, work):
    with (
        app.Client(database, tenant="acme") as acme,
        psycopg.connect(database) as connection,
        pytest.raises(NotFound),
    ):
        acme.cancel(work, connection=connection)


def test_for_asyncio_too(database, work):
    async def main():
        async with app.AsyncClient(database, tenant="acme") as acme:
            for act in (acme.get, acme.cancel, acme.pause):
                with pytest.raises(NotFound):
                    await act(work)
            assert (await acme.set_tenant("acme", rate="5/s")).rate == "5/s"
            assert [tenant.name for tenant in await acme.tenants()] == ["acme"]
            with pytest.raises(NotFound, match="there is no login"):
                await acme.bind_login("nobody_here", ["acme"])

    asyncio.run(main())


def test_a_client_that_sees_all_asks_nothing_more(work):
    def operation():
        return (yield from sight.sees(work))

    def sent(tenant):
        running = sight.within(tenant, operation())
        try:
            asked = next(running)
        except StopIteration as end:
            return end.value
        return asked

    assert sent(None) is True
    asked = sent("acme")
    assert isinstance(asked, Query)
    assert asked.params == {"id": work, "tenant": "acme"}


def test_tenants_are_shown_with_their_work_limits_and_logins(database, hand):
    with app.Client(database) as everyone, app.Client(database, tenant="acme") as acme:
        hand.offer("test.a.v1")
        assert everyone.tenants() == ()
        acme.submit_many("test.a.v1", range(120))
        acme.submit("test.a.v1", queue="other")
        everyone.submit("test.a.v1")
        everyone.set_tenant("idle", concurrency=4)
        everyone.set_tenant("acme", concurrency=2, rate="100/s")
        found = {tenant.name: tenant for tenant in everyone.tenants()}
        assert list(found) == ["", "acme", "idle"]
        assert (found["acme"].available, found["acme"].more) == (121, False)
        assert (found["acme"].concurrency, found["acme"].rate, found["acme"].opens_in) == (2, "100/s", 0)
        assert 0 <= found["acme"].oldest_age < 60
        assert (found["idle"].available, found["idle"].oldest_age, found["idle"].logins) == (0, None, ())
        assert [tenant.name for tenant in acme.tenants()] == ["acme"]
        assert everyone.set_tenant("acme", concurrency="none").concurrency is None
        assert everyone.set_tenant("acme", rate="none").rate is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda client: client.set_tenant("acme", concurrency=0),
        lambda client: client.set_tenant("acme", concurrency=True),
        lambda client: client.set_tenant("acme", rate="0/s"),
        lambda client: client.set_tenant("a\nb", rate="1/s"),
        lambda client: client.bind_login("postgres", "acme"),
        lambda client: client.bind_login("postgres", []),
        lambda client: client.submit("test.a.v1", queue="a:b"),
    ],
)
def test_what_cannot_be_is_refused(client, wrong):
    with pytest.raises((InvalidInput, NotPossible)):
        wrong(client)
