# ruff: noqa: E501 - statements stand on one line
"""What the tests of tenants share: a database with work of two tenants, and logins that are bound to one."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest

from tests.membership import logins
from tests.store.protocol_kit import offer, save, scalar, workflow


def fill(owner, tenant, revision):
    """Make work of every kind, with rows in every table that holds work; return its ids."""
    made = SimpleNamespace(
        intent=scalar(owner, "select tributary.submit_intent('t.work.v1', '{\"secret\": 1}', 'key', tenant => %s)", tenant),
        run=scalar(owner, "select tributary.submit_workflow('t.flow.v1', tenant => %s)", tenant),
        asks=scalar(owner, "select tributary.submit_workflow('t.flow.v1', tenant => %s)", tenant),
        dead=scalar(owner, "select tributary.submit_intent('t.work.v1', max_attempts => 1, tenant => %s)", tenant),
        unique=scalar(
            owner, "select id from tributary.submit('t.work.v1', '{}', jsonb_build_object('tenant', %s::text, 'correlation_id', 'secret', 'unique', '{\"key\": \"one\"}'::jsonb))",
            tenant,
        ),
    )  # fmt: skip
    process = scalar(owner, "select tributary.register_process('p', 'python')")
    token = owner.execute(
        "update tributary.steps set priority = 30000 where run_id = %s returning seq", (made.dead,)
    ).fetchone()[0]
    owner.execute("select * from tributary.claim(%s, array['default'], array['t.work.v1'], 1)", (process,))
    assert scalar(
        owner,
        "select tributary.finish(%s, %s, %s, 'discarded', error => 'secret')",
        process,
        made.dead,
        token,
    )
    scalar(owner, "select tributary.signal(%s, 'kept', '\"secret\"')", made.run)
    owner.execute(
        "with asked as (update tributary.steps set state = 'waiting', reason = 'approval', claimed_at = now()"
        " where run_id = %s and step_id = 'one' returning *) insert into tributary.waits (run_id, began_at, ordinal, shard, kind)"
        " select run_id, now(), ordinal, shard, 'approval' from asked",
        (made.asks,),
    )
    scalar(
        owner,
        "select tributary.schedule_intent(%s, '* * * * *', 't.work.v1', tenant => %s)",
        f"s_{tenant}",
        tenant,
    )
    owner.execute(
        "insert into tributary.schedule_fires (schedule, slot, at, missed, outcome) values (%s, now(), now(), 1, 'missed')",
        (f"s_{tenant}",),
    )
    for statement in (
        "insert into tributary.progress select run_id, now(), 0, shard, '1' from tributary.steps where run_id = %s",
        "insert into tributary.history select run_id, now(), 1, shard, tenant_id, '[]' from tributary.steps where run_id = %s",
        "insert into tributary.step_cache (shard, tenant_id, key, step_name, scope, state, value, created_at) select shard, tenant_id, run_id::text, 't.work.v1', 'global', 'filled', '\"secret\"', now() from tributary.steps where run_id = %s",
        "insert into tributary.log_chunks select run_id, 1, now(), 0, 0, 0, 0, 1, 1, shard, 1, tenant_id, '[]' from tributary.steps where run_id = %s",
        "insert into tributary.groups select 1, false, tenant_id, 'g' from tributary.steps where run_id = %s",
        "insert into tributary.group_slots select run_id, 1, now(), now(), 0, shard, false, 'held', tenant_id, 'g' from tributary.steps where run_id = %s",
        "insert into tributary.queue_slots select run_id, 1, 0, shard, 'heavy' from tributary.steps where run_id = %s",
        "insert into tributary.circuit_breakers (tenant_id, name, state, updated_at) select tenant_id, tenant_id, 'closed', now() from tributary.steps where run_id = %s",
        "insert into tributary.rate_buckets (tenant_id, name, tokens, filled_at, returns_at, full_at) select tenant_id, tenant_id, 1, now(), now(), now() from tributary.steps where run_id = %s",
        "insert into tributary.audit_log (run_id, at, shard, tenant_id, action, name, login, place) select run_id, now(), shard, tenant_id, 'known', tenant_id, 'x', 'x' from tributary.steps where run_id = %s",
        "insert into tributary.waiters values (%s, now())",
        "insert into tributary.awaited select run_id, run_id, shard from tributary.steps where run_id = %s",
    ):
        owner.execute(statement, (made.intent,))
    return made


@pytest.fixture(scope="module")
def site(server, template):
    """A database with work of two tenants and logins that are bound: app and read to acme."""
    with (
        logins(server, template, one_shard=True) as urls,
        psycopg.connect(urls["owner"], autocommit=True) as owner,
    ):
        offer(owner, "t.work.v1")
        revision = save(owner, workflow("t.flow.v1", {"one": (), "two": ("one",)}))
        scalar(owner, "select tributary.register_workflow('t.flow.v1', %s, null)", revision)
        for tenant in ("acme", "beta"):
            scalar(owner, "select max_running from tributary.set_tenant(%s, concurrency => 100)", tenant)
        ids = {tenant: fill(owner, tenant, revision) for tenant in ("acme", "beta")}
        for kind in ("app", "read", "submit"):
            user = user_of(urls[kind])
            assert scalar(owner, "select tributary.set_tenants(%s, array['acme'])", user) == ["acme"]
        scalar(owner, "select tributary.limit_submits(%s, '10000/s')", user)
        yield SimpleNamespace(urls=urls, owner=owner, **ids)


@contextmanager
def session(site, kind):
    """A session of a login, undone at its end."""
    with (
        psycopg.connect(site.urls[kind], autocommit=True) as connection,
        connection.transaction(force_rollback=True),
    ):
        yield connection


def refusal(connection, statement):
    """Try a statement, undo it, and return the server's refusal; None when it was done."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.Error as error:
        return error
    return None


def user_of(url):
    """Return who logs in."""
    return psycopg.conninfo.conninfo_to_dict(url)["user"]


def tables(connection, kinds="r"):
    return [
        row[0]
        for row in connection.execute(
            "select relname from pg_class where relnamespace = 'tributary'::regnamespace and relkind = any (%s) order by 1",
            (list(kinds),),
        )
    ]
