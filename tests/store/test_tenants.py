# ruff: noqa: E501 - statements stand on one line
"""Tenants: who is bound to one sees its rows alone, in every table and view, whatever it sets."""

from __future__ import annotations

import secrets

import psycopg
import pytest
from psycopg import sql

from tests.conftest import _fresh
from tests.store.protocol_kit import scalar
from tests.store.tenant_kit import refusal, session, site, tables, user_of
from tributary_daemon.errors import SchemaError
from tributary_daemon.store.migrations import Migrator

__all__ = ["site"]

# tables that hold nobody's work in particular: shared by all tenants
SHARED = {
    "registry", "revisions", "workflows", "workflow_keeps", "queues", "queue_stats", "workers",
    "leaders", "meta", "migrations",
}  # fmt: skip


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
            "step_cache",
            "correlations",
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


@pytest.mark.parametrize("kind", ["app", "read"])
def test_a_setting_or_another_role_leads_no_bound_login_out(site, kind):
    group = user_of(site.urls[kind]).replace("u_", "t_", 1)
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


def test_an_open_session_is_bound_from_the_next_statement_on(site):
    user = user_of(site.urls["nobody"])
    with psycopg.connect(site.urls["owner"], autocommit=True) as owner:
        group = user_of(site.urls["read"]).replace("u_", "t_", 1)
        owner.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(user)))
        with psycopg.connect(site.urls["nobody"], autocommit=True) as connection:
            count = "select count(distinct tenant_id) from tributary.steps"
            assert scalar(connection, count) == 2
            scalar(owner, "select tributary.set_tenants(%s, array['acme'])", user)
            assert scalar(connection, count) == 1
            scalar(owner, "select tributary.set_tenants(%s, null)", user)
            assert scalar(connection, count) == 2


def test_who_reads_by_grants_of_its_own_goes_on(site):
    """A dashboard that was granted one table needs no right to others for its policy."""
    user = user_of(site.urls["nobody"])
    with site.owner.transaction(force_rollback=True):
        site.owner.execute(sql.SQL("grant usage on schema tributary to {}").format(sql.Identifier(user)))
        for name in ("payloads", "edges", "waits", "progress", "schedule_fires", "queue_counters"):
            grant = sql.SQL("grant select on tributary.{} to {}").format(
                sql.Identifier(name), sql.Identifier(user)
            )
            site.owner.execute(grant)
        site.owner.execute(sql.SQL("set local role {}").format(sql.Identifier(user)))
        for name in ("payloads", "edges", "waits", "progress", "schedule_fires", "queue_counters"):
            count = sql.SQL("select count(*) from tributary.{}").format(sql.Identifier(name))
            assert site.owner.execute(count).fetchone()[0] > 0, name


def test_how_a_tenant_is_paced_is_not_told_to_others(site):
    with session(site, "read") as connection:
        assert connection.execute("select queue from tributary.queue_counters").fetchall() == [
            ("tenant:acme",)
        ]
        assert scalar(connection, "select tributary.queue_held('tenant:beta')") == 0


def test_a_rollback_that_would_open_all_is_refused(server, template):
    with _fresh(server, template) as url, psycopg.connect(url, autocommit=True) as owner:
        user = f"u_{secrets.token_hex(6)}"
        owner.execute(sql.SQL("create role {} login").format(sql.Identifier(user)))
        try:
            scalar(owner, "select tributary.set_tenants(%s, array['acme'])", user)
            with pytest.raises(SchemaError, match="logins are bound to tenants"):
                Migrator(url).down_to("20261128000020_awaiting")
            scalar(owner, "select tributary.set_tenants(%s, null)", user)
            Migrator(url).down_to("20261128000020_awaiting")
            guarded = "select count(*) from pg_class where relnamespace = 'tributary'::regnamespace and relrowsecurity"
            assert scalar(owner, guarded) == 0
            Migrator(url).up()
            assert scalar(owner, guarded) > 20
        finally:
            owner.execute(sql.SQL("drop role {}").format(sql.Identifier(user)))
