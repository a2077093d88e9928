"""Logins that are members of the roles of `sql/roles.sql`, in a database of their own."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import asdict

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.conftest import _fresh
from tributary_daemon.store.migrations import Migrator, RoleNames

KINDS = ("submit", "read", "worker", "admin", "app")


@contextmanager
def logins(server, template, *, one_shard=False):
    """Yield the URLs of a fresh database by who logs in: owner, the five roles, and a nobody.

    Roles belong to the whole server: their names are random, and they go with the database.
    """
    mark = secrets.token_hex(6)
    names = RoleNames(**{kind: f"t_{mark}_{kind}" for kind in KINDS})
    users = [f"u_{mark}_{kind}" for kind in (*KINDS, "nobody")]
    try:
        with _fresh(server, template, one_shard=one_shard) as url:
            Migrator(url).roles(names)
            with psycopg.connect(url, autocommit=True) as owner:
                for user, group in zip(users, (*asdict(names).values(), None), strict=True):
                    owner.execute(sql.SQL("create role {} login password 'x'").format(sql.Identifier(user)))
                    if group is not None:
                        owner.execute(
                            sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(user))
                        )
            yield {
                "owner": url,
                **{
                    kind: make_conninfo(url, user=user, password="x")
                    for kind, user in zip((*KINDS, "nobody"), users, strict=True)
                },
            }
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            for name in (*users, *names.names):
                admin.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(name)))
