"""`trib migrate roles`: who may run it, that it can be repeated, and that upgrades grant anew."""

from __future__ import annotations

import secrets
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tributary_daemon.errors import InvalidInput, SchemaError
from tributary_daemon.store.migrations import Migrator, RoleNames

MAY = """select has_function_privilege(%s, p.oid, 'execute') from pg_proc p
where p.pronamespace = 'tributary'::regnamespace and p.proname = 'submit_intent'"""
STALE = "update tributary.meta set value = 'stale' where key = 'functions'"


@pytest.fixture
def names(server):
    """Names of roles that go with the test, also where a test has added some."""
    mark = secrets.token_hex(6)
    yield RoleNames(*(f"r_{mark}_{kind}" for kind in ("submit", "read", "worker", "admin", "app")))
    with psycopg.connect(server, autocommit=True) as admin:
        found = admin.execute(
            "select rolname from pg_roles where rolname like %s", (f"r_{mark}%",)
        ).fetchall()
        for (name,) in found:
            admin.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.fixture
def granted(names, empty_database):
    """A migrated database with the roles; it asks for the names, so that it goes before them."""
    Migrator(empty_database).up()
    Migrator(empty_database).roles(names)
    return empty_database


def test_an_upgrade_grants_anew(granted, names):
    with psycopg.connect(granted, autocommit=True) as owner:
        # as for a release that brings a new function, which nobody has been granted yet
        owner.execute("drop function tributary.submit_intent")
        owner.execute(STALE)
        assert Migrator(granted).up().functions
        assert owner.execute(MAY, (names.submit,)).fetchone() == (True,)
        assert owner.execute(MAY, (names.read,)).fetchone() == (False,)
        assert owner.execute(MAY, ("public",)).fetchone() == (False,)


def test_it_can_be_repeated_and_takes_back_what_somebody_granted(granted, names):
    with psycopg.connect(granted, autocommit=True) as owner:
        owner.execute(sql.SQL("grant delete on tributary.steps to {}").format(sql.Identifier(names.submit)))
        assert Migrator(granted).roles() == names, "the names of the last time"
        held = "select has_table_privilege(%s, 'tributary.steps', 'delete')"
        assert owner.execute(held, (names.submit,)).fetchone() == (False,)


def test_roles_that_are_gone_hinder_no_upgrade(granted, names):
    with psycopg.connect(granted, autocommit=True) as owner:
        for name in (names.read, names.admin):
            owner.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(name)))
        owner.execute(STALE)
        assert Migrator(granted).up().functions
        Migrator(granted).roles()
        assert owner.execute(MAY, (names.admin,)).fetchone() == (True,)


def test_an_owner_without_createrole_is_told_what_to_have_created(empty_database, names):
    """No superuser and no CREATEROLE is needed for anything but the roles themselves."""
    user = f"{names.submit}_owner"
    with psycopg.connect(empty_database, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(user)))
        admin.execute(
            sql.SQL("grant create on database {} to {}").format(
                sql.Identifier(admin.info.dbname), sql.Identifier(user)
            )
        )
        url = make_conninfo(empty_database, user=user, password="x")
        try:
            Migrator(url).up()
            with pytest.raises(SchemaError, match="not granted") as caught:
                Migrator(url).roles(names)
            assert f"CREATE ROLE {names.worker} NOLOGIN" in caught.value.hint
            for name in names.names:
                admin.execute(sql.SQL("create role {} nologin").format(sql.Identifier(name)))
            assert Migrator(url).roles(names) == names
            assert admin.execute(MAY, (names.submit,)).fetchone() == (True,)
            with pytest.raises(InvalidInput, match="owns the schema"):
                Migrator(url).roles(replace(names, admin=user))
        finally:
            admin.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(user)))


def test_a_schema_of_another_release_gets_no_roles(granted, names):
    with psycopg.connect(granted, autocommit=True) as owner:
        owner.execute(STALE)
        with pytest.raises(SchemaError, match="not that of this release"):
            Migrator(granted).roles(names)


def test_roles_of_a_release_without_one_for_applications_are_granted_anew_and_get_it_when_asked(
    granted, names
):
    with psycopg.connect(granted, autocommit=True) as owner:
        owner.execute(sql.SQL("drop owned by {0}; drop role {0}").format(sql.Identifier(names.app)))
        owner.execute("update tributary.meta set value = (value::jsonb - 'app')::text where key = 'roles'")
        owner.execute("drop function tributary.submit_intent")
        owner.execute(STALE)
        assert Migrator(granted).up().functions
        assert owner.execute(MAY, (names.submit,)).fetchone() == (True,)
        assert Migrator(granted).roles(names) == names
        assert owner.execute(MAY, (names.app,)).fetchone() == (True,)


@pytest.mark.parametrize(
    "given",
    [{"read": "a", "admin": "a"}, {"read": ""}, {"read": "pg_x"}, {"read": "x" * 64}, {"read": "\udced"}],
)
def test_what_cannot_be_four_roles_is_refused(given):
    with pytest.raises(InvalidInput):
        RoleNames(**given)
