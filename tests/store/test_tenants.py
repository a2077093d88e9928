# ruff: noqa: E501 - statements stand on one line
"""Tenants: who is bound to one sees, reaches and submits for it alone, in SQL, in every function and view."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.membership import logins
from tests.store.protocol_kit import offer, save, scalar, workflow

# tables that hold nobody's work in particular: shared by all tenants
SHARED = {
    "registry", "revisions", "workflows", "workflow_keeps", "queues", "queue_counters", "queue_stats", "workers",
    "leaders", "meta", "migrations",
}  # fmt: skip
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


def fill(owner, tenant, revision):
    """Make work of every kind, with rows in every table that holds work; return its ids."""
    made = SimpleNamespace(
        intent=scalar(owner, "select tributary.submit_intent('t.work.v1', '{\"secret\": 1}', 'key', tenant => %s)", tenant),
        run=scalar(owner, "select tributary.submit_workflow('t.flow.v1', tenant => %s)", tenant),
        asks=scalar(owner, "select tributary.submit_workflow('t.flow.v1', tenant => %s)", tenant),
        dead=scalar(owner, "select tributary.submit_intent('t.work.v1', max_attempts => 1, tenant => %s)", tenant),
        unique=scalar(
            owner, "select id from tributary.submit('t.work.v1', '{}', jsonb_build_object('tenant', %s::text, 'unique', '{\"key\": \"one\"}'::jsonb))",
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
        "insert into tributary.log_chunks select run_id, 1, now(), 0, 0, 0, 0, 1, 1, shard, 1, tenant_id, '[]' from tributary.steps where run_id = %s",
        "insert into tributary.groups select 1, false, tenant_id, 'g' from tributary.steps where run_id = %s",
        "insert into tributary.group_slots select run_id, 1, now(), now(), 0, shard, false, 'held', tenant_id, 'g' from tributary.steps where run_id = %s",
        "insert into tributary.queue_slots select run_id, 1, 0, shard, 'heavy' from tributary.steps where run_id = %s",
        "insert into tributary.waiters values (%s, now())",
        "insert into tributary.awaited select run_id, run_id, shard from tributary.steps where run_id = %s",
    ):
        owner.execute(statement, (made.intent,))
    return made


@pytest.fixture(scope="module")
def site(server, template):
    """A database with work of two tenants and logins that are bound: app and read to acme."""
    with logins(server, template) as urls, psycopg.connect(urls["owner"], autocommit=True) as owner:
        offer(owner, "t.work.v1")
        revision = save(owner, workflow("t.flow.v1", {"one": (), "two": ("one",)}))
        scalar(owner, "select tributary.register_workflow('t.flow.v1', %s, null)", revision)
        for tenant in ("acme", "beta"):
            scalar(owner, "select max_running from tributary.set_tenant(%s, concurrency => 100)", tenant)
        ids = {tenant: fill(owner, tenant, revision) for tenant in ("acme", "beta")}
        for kind in ("app", "read", "submit"):
            user = psycopg.conninfo.conninfo_to_dict(urls[kind])["user"]
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


def tables(connection, kinds="r"):
    return [
        row[0]
        for row in connection.execute(
            "select relname from pg_class where relnamespace = 'tributary'::regnamespace and relkind = any (%s) order by 1",
            (list(kinds),),
        )
    ]


def test_every_table_is_shared_by_all_or_guarded(site):
    guarded = {
        row[0]
        for row in site.owner.execute(
            "select relname from pg_class c where relnamespace = 'tributary'::regnamespace and relkind = 'r' and relrowsecurity"
            " and exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenants' and p.polroles = '{0}')"
            " and exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'workers')"
        )
    }
    assert guarded | SHARED == set(tables(site.owner))
    assert not guarded & SHARED


@pytest.mark.parametrize("kind", ["app", "read"])
def test_no_table_and_no_view_shows_a_row_of_another_tenant(site, kind):
    others = [str(value) for value in vars(site.beta).values()]
    seen = {}
    with session(site, kind) as connection:
        for name in tables(connection, "rv"):
            if name in SHARED or name == "workflow_registry":
                continue
            text = " ".join(
                row[0]
                for row in connection.execute(
                    sql.SQL("select t::text from tributary.{} t").format(sql.Identifier(name))
                )
            )
            assert "beta" not in text, name
            assert not [other for other in others if other in text], name
            seen[name] = len(text)
    # it is no empty database that shows nothing: its own is there, but for what is about everybody
    about_all = {"processes", "queue_slots", "submit_limits", "tenant_logins", "waiters", "awaited"}
    assert {name for name, length in seen.items() if not length} == about_all | {"edges"} - {
        name for name in seen if name == "edges" and seen[name]
    }


def test_each_row_of_a_tenant_is_seen_by_whoever_is_bound_to_it(site):
    """As many rows as the owner finds of it."""
    with session(site, "read") as connection:
        for name in (
            "steps",
            "runs",
            "attempts",
            "event_log",
            "dead_letters",
            "signals",
            "history",
            "log_chunks",
            "keys",
            "unique_keys",
        ):
            count = sql.SQL("select count(*) from tributary.{}").format(sql.Identifier(name))
            mine = site.owner.execute(count + sql.SQL(" where tenant_id = 'acme'")).fetchone()
            assert connection.execute(count).fetchone() == mine != (0,), name
        for name in ("payloads", "waits", "edges", "progress"):
            count = sql.SQL("select count(*) from tributary.{} t").format(sql.Identifier(name))
            mine = site.owner.execute(
                count
                + sql.SQL(" where run_id in (select run_id from tributary.steps where tenant_id = 'acme')")
            ).fetchone()
            assert connection.execute(count).fetchone() == mine != (0,), name


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
        same = lambda error, ids: str(error).replace(
            next(value for value in ids.values() if value in str(error)), "ID"
        )  # noqa: E731
        assert same(refused, foreign).partition("\n")[0].startswith("no run or intent has the id ID")
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


@pytest.mark.parametrize("kind", ["app", "read"])
def test_a_setting_or_another_role_leads_no_bound_login_out(site, kind):
    group = psycopg.conninfo.conninfo_to_dict(site.urls[kind])["user"].replace("u_", "t_", 1)
    with session(site, kind) as connection:
        connection.execute("set tributary.tenant = 'beta'")
        refused = refusal(connection, "select count(*) from tributary.steps")
        assert (refused.sqlstate, "does not act for tenant 'beta'" in str(refused)) == ("42501", True)
        connection.execute("reset tributary.tenant")
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(group)))
        assert connection.execute("select distinct tenant_id from tributary.steps").fetchall() == [("acme",)]
        assert refusal(connection, "set session authorization postgres") is not None
        assert (
            refusal(connection, "set row_security = off; select count(*) from tributary.steps").sqlstate
            == "42501"
        )


def test_whoever_is_not_bound_acts_for_whom_it_sets_or_for_all(site):
    with session(site, "admin") as connection:
        both = connection.execute("select distinct tenant_id from tributary.steps order by 1").fetchall()
        assert both == [("acme",), ("beta",)]
        connection.execute("set local tributary.tenant = 'beta'")
        assert connection.execute("select distinct tenant_id from tributary.steps").fetchall() == [("beta",)]
        made = scalar(connection, "select tributary.submit_intent('t.work.v1')")
        assert connection.execute(
            "select tenant_id from tributary.steps where run_id = %s", (made,)
        ).fetchone() == ("beta",)
        assert refusal(connection, f"select tributary.cancel('{site.acme.run}')").sqlstate == "TR003"
    # the owner's tables have no policy for it, but what it says by functions goes by the setting
    with session(site, "owner") as connection:
        connection.execute("set local tributary.tenant = 'acme'")
        assert refusal(connection, f"select tributary.cancel('{site.beta.run}')").sqlstate == "TR003"
        made = scalar(connection, "select tributary.submit_intent('t.work.v1')")
        assert connection.execute(
            "select tenant_id from tributary.steps where run_id = %s", (made,)
        ).fetchone() == ("acme",)


def test_a_login_of_several_tenants_says_for_which_it_submits(site):
    user = psycopg.conninfo.conninfo_to_dict(site.urls["app"])["user"]
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
    worker, admin = (
        psycopg.conninfo.conninfo_to_dict(site.urls[kind])["user"] for kind in ("worker", "admin")
    )
    for login, tenants, state in (
        ("nobody_of_that_name", "array['acme']", "TR003"),
        (worker, "array['acme']", "TR001"),
        (admin, "array['acme']", "TR001"),
        ("x", "'{}'::text[]", "TR001"),
        (psycopg.conninfo.conninfo_to_dict(site.urls["nobody"])["user"], "array[E'a\\nb']", "TR001"),
    ):
        assert refusal(site.owner, f"select tributary.set_tenants('{login}', {tenants})").sqlstate == state, (
            login
        )


def test_an_open_session_is_bound_from_the_next_statement_on(site):
    user = psycopg.conninfo.conninfo_to_dict(site.urls["nobody"])["user"]
    with psycopg.connect(site.urls["owner"], autocommit=True) as owner:
        group = psycopg.conninfo.conninfo_to_dict(site.urls["read"])["user"].replace("u_", "t_", 1)
        owner.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(user)))
        with psycopg.connect(make_conninfo(site.urls["nobody"]), autocommit=True) as connection:
            count = "select count(distinct tenant_id) from tributary.steps"
            assert scalar(connection, count) == 2
            scalar(owner, "select tributary.set_tenants(%s, array['acme'])", user)
            assert scalar(connection, count) == 1
            scalar(owner, "select tributary.set_tenants(%s, null)", user)
            assert scalar(connection, count) == 2


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
        connection.execute(
            sql.SQL("set local role {}").format(
                sql.Identifier(psycopg.conninfo.conninfo_to_dict(site.urls["app"])["user"])
            )
        )
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
