"""`trib tenant`: what tenants have at work, their limits, and the logins that act for them."""

from __future__ import annotations

import json
import secrets

import psycopg
import pytest
from psycopg import sql


@pytest.fixture
def login(database):
    name = f"u_{secrets.token_hex(6)}"
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        yield name
        owner.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_tenants_are_limited_and_listed(trib):
    assert trib("tenant", "list").stdout == "no tenant has work that is ready or runs, a limit or a login\n"
    done = trib("tenant", "set", "acme", "beta", "--concurrency", 4, "--rate", "5000/h")
    assert done.stdout == "acme  at most 4 at once, 5000/h\nbeta  at most 4 at once, 5000/h\n"
    assert json.loads(trib("tenant", "set", "beta", "--rate", "none", "-o", "json").stdout) == [
        {"name": "beta", "concurrency": 4, "rate": None}
    ]
    table = trib("tenant", "list").stdout
    assert "0/4 at once, 5000/h" in table
    assert trib("tenant", "list", "-o", "name").stdout == "acme\nbeta\n"
    assert trib("tenant", "set", "beta", "--concurrency", "none").stdout == "beta  no limit\n"
    trib("submit", "t.unknown.v1", "--tenant", "acme")
    assert [row["name"] for row in json.loads(trib("tenant", "list", "-o", "json").stdout)] == ["acme"]


def test_logins_are_bound_and_unbound(trib, login):
    assert trib("tenant", "bind", login, "beta", "acme").stdout == f"{login}  acts for acme, beta\n"
    rows = json.loads(trib("tenant", "list", "-o", "json").stdout)
    assert {row["name"]: row["logins"] for row in rows} == {"acme": [login], "beta": [login]}
    assert trib("tenant", "unbind", login).stdout == f"{login}  acts for all tenants\n"
    assert json.loads(trib("tenant", "list", "-o", "json").stdout) == []


@pytest.mark.parametrize("wrong", [(), ("--concurrency", "0"), ("--rate", "fast")])
def test_what_is_no_limit_of_a_tenant_is_a_usage_error(trib, wrong):
    done = trib("tenant", "set", "acme", *wrong)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_a_login_that_is_not_there_is_not_bound(trib):
    done = trib("tenant", "bind", "nobody_here", "acme")
    assert done.returncode == 4
    assert "there is no login 'nobody_here'" in done.stderr
    assert "CREATE ROLE" in done.stderr


def test_the_work_of_another_tenant_is_not_found(trib):
    work = trib("submit", "t.unknown.v1", "--tenant", "beta", "-o", "name").stdout.strip()
    for command in ("status", "cancel", "why", "logs", "events"):
        done = trib(command, work, "--tenant", "acme")
        assert done.returncode == 4, command
        assert "no run or intent has the id" in done.stderr
    assert trib("status", work, "--tenant", "beta").returncode == 0


def test_the_list_has_a_column_of_tenants_where_somebody_has_one(trib):
    trib("submit", "t.unknown.v1")
    assert "tenant" not in trib("list").stdout
    trib("submit", "t.unknown.v1", "--tenant", "beta")
    table = trib("list").stdout.splitlines()
    assert "tenant" in table[0]
    assert "beta" in table[1]
    assert [row["tenant"] for row in json.loads(trib("list", "-o", "json").stdout)] == ["beta", ""]
