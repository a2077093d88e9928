"""The large database, made once per session; tests look at it in transactions that are rolled back."""

from __future__ import annotations

import os
import re
from pathlib import Path

import psycopg
import pytest

from tests.conftest import _ROOT, _session_lock, url_of
from tests.plans.filling import Size, load
from tributary_daemon.store import db
from tributary_daemon.store.sealed import Keys

SMALL = Size(ready=100_000, finished=300_000)
FULL = Size(ready=1_000_000, finished=5_000_000)


def pytest_addoption(parser):
    parser.addoption("--plans", action="store_true", help="plans over 1M ready and 5M finished rows")


@pytest.fixture(scope="session")
def size(request):
    return FULL if request.config.getoption("--plans", default=False) else SMALL


@pytest.fixture(scope="session")
def large(server, template, size):
    """URLs of the database: as it is when nobody has analyzed it, and analyzed."""
    tag = Path(os.environ[_ROOT]).name.replace("-", "_").lower()
    names = {"never analyzed": f"plans_{tag}", "analyzed": f"plans_known_{tag}"}
    with _session_lock("plans"), psycopg.connect(server, autocommit=True) as admin:
        found = admin.execute("select from pg_database where datname = %s", (names["analyzed"],)).fetchone()
        if found is None:
            _make(admin, server, template, names, size)
    return {state: url_of(server, name) for state, name in names.items()}


def _make(admin, server, template, names, size):
    unknown, known = names.values()
    for name in (unknown, known):
        admin.execute(f"drop database if exists {name}")
    admin.execute(f"create database {unknown} template {template} strategy file_copy")
    with psycopg.connect(url_of(server, unknown), autocommit=True) as connection:
        # the bounds are those of one shard, and everything is in it
        connection.execute("delete from tributary.meta where key = 'shards'")
        processes = load(connection, size)
        connection.execute("create table public.held (process_id bigint)")
        connection.execute("insert into public.held select unnest(%s::bigint[])", (processes,))
    admin.execute(f"create database {known} template {unknown} strategy file_copy")
    with psycopg.connect(url_of(server, known), autocommit=True) as connection:
        connection.execute("analyze")


class Look:
    """What statements cost on the large database; all that they write is rolled back.

    Attributes:
        connection: in a transaction.
        processes: ids of two processes that hold running rows.
    """

    def __init__(self, connection):
        self.connection = connection
        self.processes = [row[0] for row in connection.execute("select process_id from public.held")]
        connection.execute("update tributary.processes set beat_at = clock_timestamp()")

    def pages(self, statement, *params):
        """Return how many pages a statement touches, nested ones included, when run for the second time."""
        self._pages(statement, params)
        return self._pages(statement, params)

    def first_pages(self, statement, *params):
        """Return the same of a statement whose first run leaves nothing for a second one."""
        return self._pages(statement, params)

    def pages_of(self, operation):
        """Return the same of the one statement of an operation of the store."""
        asked = next(operation)
        if isinstance(asked, Keys):
            asked = operation.send([(None,)])
        operation.close()
        return self.pages(asked.sql, asked.params) if asked.params else self.pages(asked.sql)

    def _pages(self, statement, params):
        given = params[0] if len(params) == 1 and isinstance(params[0], dict) else params
        explained = f"explain (analyze, buffers, timing off, costs off) {statement}"
        text = "\n".join(row[0] for row in self.connection.execute(explained, given or None).fetchall())
        found = re.findall(r"^\s*Buffers: (.*)$", text, re.MULTILINE)[0]
        return sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", found))


@pytest.fixture(params=["never analyzed", "analyzed"])
def look(request, large):
    with db.connect(large[request.param], application_name="plans") as connection:
        # one at a time: versions of rows that another test is writing count, too
        connection.execute("select pg_advisory_lock(1)")
        connection.execute("begin")
        yield Look(connection)
        connection.execute("rollback")
        # who first meets an index entry of what was rolled back marks it, for others to pass by
        connection.execute("set enable_seqscan to off; set enable_bitmapscan to off")
        for state in ("available", "running"):
            connection.execute(f"select count(seq) from tributary.steps where state = '{state}'")
