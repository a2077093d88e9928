# ruff: noqa: E501 - statements stand on one line
"""Tenants: who is bound to one reaches its work alone and submits for it alone, by every public function."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from tests.store.protocol_kit import scalar
from tests.store.tenant_kit import refusal, session, site, user_of

__all__ = ["site"]

# what can be said to a run or an intent of somebody else: {run}, {intent}, {dead} and {asks} are beta's
REACHES = (
    "select tributary.cancel('{run}')",
    "select tributary.cancel('{intent}', 'mine now')",
    "select tributary.signal('{run}', 'go')",
    "select tributary.approve('{asks}', 'one')",
    "select tributary.reject('{asks}', 'one')",
    "select tributary.change('{intent}', priority => 5)",
    "select tributary.change('{run}', queue => 'other')",
    "select tributary.pause_run('{run}')",
    "select tributary.resume_run('{run}')",
    "select tributary.retry('{dead}')",
    "select tributary.retry_only('{run}', array['one'])",
    "select * from tributary.retry_preview('{dead}')",
    "select tributary.requeue('{dead}')",
    "select tributary.requeue_steps('{dead}', array['one'])",
)
SUBMITS = (
    "select tributary.submit_intent('t.work.v1', tenant => 'beta')",
    "select * from tributary.submit('t.work.v1', '{}', '{\"tenant\": \"beta\"}')",
    "select * from tributary.submit('t.flow.v1', '{}', '{\"tenant\": \"beta\"}')",
    "select tributary.submit_workflow('t.flow.v1', tenant => 'beta')",
    "insert into tributary.workflow_intent (name, payload, tenant_id) values ('t.work.v1', '{}', 'beta')",
    "select * from tributary.submit_named('t.work.v1', false, '{}', null, '{}', '{}', null, 0, 'beta', null)",
    "select * from tributary.submit_intents('t.work.v1', array['{}']::jsonb[], '{}', '{}', null, 'beta', null)",
    "select * from tributary.submit_row_with('{\"unique\": {\"key\": \"a\"}}', 't.work.v1', '{}', null, '{}', '{}', null, 'beta', null)",
)


@pytest.mark.parametrize("statement", REACHES)
def test_nothing_can_be_said_to_the_work_of_another_tenant(site, statement):
    foreign = {key: str(value) for key, value in vars(site.beta).items()}
    unknown = dict.fromkeys(foreign, "01890000-0000-7000-8000-000000000000")
    with session(site, "app") as connection:
        refused = refusal(connection, statement.format(**foreign))
        assert refused is not None
        assert refused.sqlstate == "TR003"
        # as if it did not exist, to the word
        known = refusal(connection, statement.format(**unknown))
        named = next(value for value in foreign.values() if value in str(refused))
        assert str(refused).startswith(f"no run or intent has the id {named}")
        assert known.sqlstate == "TR003"


def test_what_is_said_to_many_passes_by_those_of_others(site):
    both = [str(site.acme.intent), str(site.beta.intent), str(site.beta.run)]
    with session(site, "app") as connection:
        rows = connection.execute(
            "select state, code from tributary.steer_many(0::smallint, 'cancel', %s::uuid[], array[null, null, null], '{}')",
            (both,),
        ).fetchall()
        assert rows == [("cancelled", None), (None, "TR003"), (None, "TR003")]
        locked = connection.execute(
            "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'tuple'"
        ).fetchone()
        assert locked == (0,)
        dropped = connection.execute(
            "select state, code from tributary.steer_many(0::smallint, 'drop', %s::uuid[], array[null, null], '{}')",
            ([str(site.acme.dead), str(site.beta.dead)],),
        ).fetchall()
        assert dropped == [("dropped", None), ("dropped", "TR003")]
        assert scalar(connection, "select tributary.drop_dead_letter(%s, 0)", site.beta.dead) is False
    assert site.owner.execute(
        "select state from tributary.steps where run_id = %s", (site.beta.intent,)
    ).fetchone() == ("available",)
    assert site.owner.execute("select count(*) from tributary.dead_letters").fetchone() == (2,)


@pytest.mark.parametrize("kind", ["app", "submit"])
@pytest.mark.parametrize("statement", SUBMITS)
def test_nothing_is_submitted_for_another_tenant(site, statement, kind):
    with session(site, kind) as connection:
        refused = refusal(connection, statement)
        assert refused.sqlstate == "42501"
        assert "acts for tenant acme, not for 'beta'" in str(refused)
        # and the same for nobody in particular is its own
        assert refusal(connection, statement.replace("'beta'", "''").replace('"beta"', '""')) is None


def test_what_a_bound_login_submits_is_its_tenants_and_keys_are(site):
    with session(site, "app") as connection:
        mine = scalar(connection, "select tributary.submit_intent('t.work.v1', '{}', 'key')")
        assert mine == site.acme.intent
        made = scalar(
            connection,
            "insert into tributary.workflow_intent (name, payload) values ('t.work.v1', '{}') returning intent_id",
        )
        flow = scalar(connection, "select tributary.submit_workflow('t.flow.v1')")
        unique = scalar(
            connection,
            "select id from tributary.submit('t.work.v1', '{}', '{\"unique\": {\"key\": \"one\"}}')",
        )
        assert unique == site.acme.unique
        found = connection.execute(
            "select distinct tenant_id from tributary.steps where run_id = any (%s)", ([made, flow],)
        ).fetchall()
        assert found == [("acme",)]


def test_a_login_of_several_tenants_says_for_which_it_submits(site):
    user = user_of(site.urls["app"])
    try:
        assert scalar(
            site.owner, "select tributary.set_tenants(%s, array['beta', 'acme', 'beta'])", user
        ) == ["acme", "beta"]
        with session(site, "app") as connection:
            assert len(connection.execute("select distinct tenant_id from tributary.steps").fetchall()) == 2
            refused = refusal(connection, "select tributary.submit_intent('t.work.v1')")
            assert (refused.sqlstate, "several tenants: acme, beta" in str(refused)) == ("TR001", True)
            assert (
                refusal(connection, "select tributary.submit_intent('t.work.v1', tenant => 'beta')") is None
            )
            connection.execute("set local tributary.tenant = 'beta'")
            assert connection.execute("select distinct tenant_id from tributary.steps").fetchall() == [
                ("beta",)
            ]
            assert refusal(connection, f"select tributary.cancel('{site.acme.run}')").sqlstate == "TR003"
    finally:
        scalar(site.owner, "select tributary.set_tenants(%s, array['acme'])", user)


def test_who_cannot_be_bound(site):
    worker, admin = (user_of(site.urls[kind]) for kind in ("worker", "admin"))
    for login, tenants, state in (
        ("nobody_of_that_name", "array['acme']", "TR003"),
        (worker, "array['acme']", "TR001"),
        (admin, "array['acme']", "TR001"),
        ("x", "'{}'::text[]", "TR001"),
        (user_of(site.urls["app"]).replace("u_", "t_", 1), "array['acme']", "TR003"),
        (user_of(site.urls["nobody"]), "array[E'a\\nb']", "TR001"),
    ):
        assert refusal(site.owner, f"select tributary.set_tenants('{login}', {tenants})").sqlstate == state, (
            login
        )


def test_waiting_for_ends_tells_nothing_of_others(site):
    with session(site, "app") as connection:
        waiter = "01890000-0000-7000-8000-00000000000a"
        connection.execute(
            "select tributary.await_ends(%s, %s::uuid[], '{}', null)",
            (waiter, [str(site.acme.run), str(site.beta.run)]),
        )
        # what is another's is told as what is not there: neither runs
        others = [str(site.beta.run), str(site.beta.dead), waiter]
        assert len(connection.execute("select tributary.find_ended(%s::uuid[])", (others,)).fetchall()) == 3
        site_rows = "select run_id from tributary.awaited where waiter_id = %s"
        assert connection.execute(site_rows, (waiter,)).fetchall() == []
    with psycopg.connect(site.urls["app"], autocommit=True) as connection:
        connection.execute(
            "select tributary.await_ends(%s, %s::uuid[], '{}', null)",
            (waiter, [str(site.acme.run), str(site.beta.run)]),
        )
        assert site.owner.execute(site_rows, (waiter,)).fetchall() == [(site.acme.run,)]
        connection.execute("select tributary.leave_waiters(%s)", (waiter,))


def test_an_application_leads_nothing_to_act_with_the_rights_of_a_worker(site):
    """The payload of a step in a registered workflow is its author's, as is what a built-in handler does."""
    with session(site, "owner") as connection:
        flow = scalar(connection, "select tributary.submit_workflow('t.flow.v1', tenant => 'acme')")
        sneaky = scalar(
            connection,
            "select tributary.submit_intent('trib.sql.v1', '{\"sql\": \"select 1\"}', tenant => 'acme')",
        )
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(user_of(site.urls["app"]))))
        for statement in (
            f"select tributary.change('{flow}', step => 'one', payload => '{{\"run\": \"id\"}}')",
            f"select tributary.change('{sneaky}', payload => '{{\"sql\": \"drop table x\"}}')",
            f"select tributary.change('{sneaky}', queue => '@abc')",
            "update tributary.steps set name = 'trib.sql.v1'",
            "insert into tributary.payloads values (gen_random_uuid(), 0, 0, '{}')",
            "delete from tributary.tenant_logins",
            "select tributary.set_tenants(session_user, null)",
        ):
            assert refusal(connection, statement).sqlstate in {"42501", "TR001"}, statement
        assert (
            refusal(connection, f"select tributary.change('{site.acme.intent}', payload => '{{\"a\": 1}}')")
            is None
        )


@pytest.mark.parametrize("kind", ["app", "submit"])
def test_no_intent_takes_the_id_of_somebody_elses_work(site, kind):
    """Beside a run it would stand for it, beside an intent the refusal would tell of it."""
    insert = (
        "insert into tributary.workflow_intent (intent_id, name, payload) values ('{}', 't.work.v1', '{{}}')"
    )
    with session(site, kind) as connection:
        answers = {
            str(refusal(connection, insert.format(id_)))
            for id_ in (site.beta.run, site.beta.intent, "01890000-0000-7000-8000-000000000000")
        }
        assert len(answers) == 1
        assert "chooses its id itself" in answers.pop()
    with session(site, "owner") as connection:
        assert refusal(connection, insert.format(site.beta.run)).sqlstate == "TR001"
        # even where a row had got there: the run decides
        connection.execute(
            "insert into tributary.steps (run_id, seq, created_at, ordinal, kind, state, shard, name, tenant_id, run_at)"
            " values (%s, 1, now(), 0, 'intent', 'scheduled', 0, 't.work.v1', 'acme', now())",
            (site.beta.run,),
        )
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(user_of(site.urls["app"]))))
        assert refusal(connection, f"select tributary.pause_run('{site.beta.run}')").sqlstate == "TR003"
        seen = connection.execute(
            "select count(*) from tributary.payloads where run_id = %s", (site.beta.run,)
        )
        assert seen.fetchone() == (0,)


def test_a_login_that_could_become_a_worker_is_not_bound(site):
    user = user_of(site.urls["nobody"])
    worker = user_of(site.urls["worker"]).replace("u_", "t_", 1)
    with session(site, "owner") as connection:
        connection.execute(sql.SQL("alter role {} noinherit").format(sql.Identifier(user)))
        connection.execute(sql.SQL("grant {} to {}").format(sql.Identifier(worker), sql.Identifier(user)))
        assert (
            refusal(connection, f"select tributary.set_tenants('{user}', array['acme'])").sqlstate == "TR001"
        )


def test_of_no_tenant_and_another_one_says_which(site):
    user = user_of(site.urls["app"])
    with session(site, "owner") as connection:
        scalar(connection, "select tributary.set_tenants(%s, array['', 'acme'])", user)
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(user)))
        assert "several tenants" in str(refusal(connection, "select tributary.submit_intent('t.work.v1')"))
        assert refusal(connection, "select tributary.submit_intent('t.work.v1', tenant => 'acme')") is None


def test_no_queue_is_named_like_the_limit_of_a_tenant(site):
    with session(site, "app") as connection:
        refused = refusal(connection, "select tributary.submit_intent('t.work.v1', queue => 'tenant:beta')")
        assert (refused.sqlstate, "is no queue for work" in str(refused)) == ("TR001", True)
