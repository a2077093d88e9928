"""Clients with and without keys on the test's own database, and all that is stored there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import psycopg
import pytest

from tributary_daemon import app
from tributary_daemon import config as configuration
from tributary_daemon.sealing import sources

FLOWS = Path(__file__).with_name("flows.py")
OLD = sources.generate("old", None)
NEW = sources.generate("new", None)


@pytest.fixture
def connect(database):
    """Return a function that opens a client with these keys."""
    opened = []

    def make(*keys, tenant=None):
        config = dataclasses.replace(configuration.load({}, environ={}), encryption_keys=keys)
        client = app.Client(database, config=config, tenant=tenant)
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def keyed(connect):
    return connect(OLD)


@pytest.fixture
def blind(connect):
    return connect()


class Dump:
    """Reads every row of every table."""

    def __init__(self, url):
        self.sql = psycopg.connect(url, autocommit=True)

    def tables(self):
        return [
            row[0]
            for row in self.sql.execute(
                "select relname from pg_class"
                " where relnamespace = 'tributary'::regnamespace and relkind in ('r', 'p')"
            )
        ]

    def holding(self, word):
        """Return the tables in which a word stands, with the rows."""
        found = {}
        for table in self.tables():
            query = psycopg.sql.SQL("select t::text from tributary.{} t where t::text ilike %s")
            rows = self.sql.execute(query.format(psycopg.sql.Identifier(table)), [f"%{word}%"]).fetchall()
            if rows:
                found[table] = [row[0] for row in rows]
        return found


@pytest.fixture
def dump(database):
    opened = Dump(database)
    yield opened
    opened.sql.close()


@pytest.fixture
def crypt_worker(worker):
    """Return a function that starts a worker with these keys."""

    def start(*keys, env=None):
        given = {"TRIB_ENCRYPTION_KEYS": ",".join(keys)} if keys else {}
        return worker("--processes", "1", "--import", FLOWS, env={**given, **(env or {})})

    return start
