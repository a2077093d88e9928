"""Tests on a Citus cluster, where one is given: TRIB_TEST_CITUS_URL or --citus. None was there so far."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tributary_daemon.store.migrations import Migrator

if TYPE_CHECKING:
    from collections.abc import Iterator

SQL = Path(__file__).resolve().parents[1] / "sql"
SHARDS = 8
HELP = "a Citus coordinator's database, emptied by the tests that use it; all use it with --postgres=citus"
_ONE_AT_A_TIME = 7_243_392_117  # any number of our own: one database, and tests run side by side


def chosen(config) -> bool:
    """Return whether all tests are to run on Citus."""
    return config.getoption("--postgres") == "citus" and bool(config.getoption("--citus"))


def choice(config) -> str:
    """Return what --postgres says, or the URL of the cluster where it says citus."""
    return config.getoption("--citus") if chosen(config) else config.getoption("--postgres")


def apply(connection: psycopg.Connection, name: str) -> None:
    """Run a file of sql/ as `psql -1` does."""
    with connection.transaction():
        connection.execute((SQL / name).read_text(encoding="utf-8"))


@contextmanager
def fresh(url: str) -> Iterator[str]:
    """Migrate the given database anew and distribute it: Citus cannot clone one from a template."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", (_ONE_AT_A_TIME,))
        connection.execute("create extension if not exists citus")
        connection.execute("drop schema if exists tributary cascade")
        Migrator(url).up()
        connection.execute(
            "insert into tributary.meta (key, value) values ('shards', %s)"
            " on conflict (key) do update set value = excluded.value",
            (str(SHARDS),),
        )
        apply(connection, "citus.sql")
        try:
            yield url
        finally:
            connection.execute("drop schema if exists tributary cascade")
