"""A server that says nothing is given up; one that is slow but talks is not."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from tests.servers import Relay
from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store import db, session


@pytest.fixture
def relay(database):
    opened = Relay(database)
    yield opened
    opened.close()


@pytest.fixture
def watched(relay):
    with db.connect(relay.url, application_name="test") as opened:
        opened.silence = 0.3
        yield opened


def silent_call(connection, call):
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match=r"nothing was heard from the server for 0\.3 s"):
        call()
    assert 0.3 <= time.monotonic() - began < 2
    assert connection.closed


def test_a_swallowed_statement_ends_with_a_lost_connection(relay, watched):
    assert watched.execute("select 1").fetchone() == (1,)
    assert relay.swallow() == 1
    silent_call(watched, lambda: watched.execute("select 2"))


def test_so_does_a_pipeline(relay, watched):
    def exchange():
        with watched.pipeline():
            watched.execute("begin")
            watched.execute("select 2")
            watched.execute("commit")

    exchange()
    relay.swallow()
    silent_call(watched, exchange)


def test_so_does_a_commit(relay, watched):
    watched.autocommit = False
    watched.execute("create table t ()")
    relay.swallow()
    silent_call(watched, watched.commit)


def test_so_does_an_async_statement(relay):
    async def run():
        async with await db.aconnect(relay.url, application_name="test") as opened:
            opened.silence = 0.3
            relay.swallow()
            with pytest.raises(psycopg.OperationalError, match="nothing was heard"):
                await opened.execute("select 1")
            return opened.closed

    assert asyncio.run(run())


def test_without_a_limit_and_while_something_is_heard_nobody_is_cut(connection):
    assert connection.silence is None
    assert connection.execute("select pg_sleep(0.5)").fetchall()
    connection.silence = 0.3
    # a byte now and then is enough: each row comes after a pause, all of them after more than the limit
    connection.execute(
        "create function talk() returns void language plpgsql as $$ begin"
        " for n in 1..4 loop perform pg_sleep(0.2); raise notice '%', n; end loop; end $$"
    )
    assert connection.execute("select talk()").fetchall()
    # what waits for notifications has a timeout of its own
    assert list(connection.notifies(timeout=0.5)) == []
    assert connection.execute("select 1").fetchone() == (1,)


def test_a_login_that_nobody_answers_ends(relay):
    relay.swallow_new = True
    began = time.monotonic()
    with pytest.raises(DatabaseUnreachable, match="did not answer in time"):
        db.connect(relay.url, application_name="test", connect_timeout=1)
    assert time.monotonic() - began < 5


def test_own_limits_are_set_and_what_the_user_has_set_stands(database):
    shown = "select current_setting('statement_timeout'), current_setting('lock_timeout')"
    with db.connect(database, application_name="test", limits=session.OWN) as opened:
        assert opened.execute(shown).fetchone() == ("1min", "5s")
        assert opened.execute("show default_transaction_isolation").fetchone() == ("read committed",)
    with db.connect(database, application_name="test", limits=session.STEP) as opened:
        assert opened.execute(shown).fetchone() == ("0", "0")
    url = psycopg.conninfo.make_conninfo(database, options="-c lock_timeout=7s")
    with db.connect(url, application_name="test", limits=session.OWN) as opened:
        assert opened.execute(shown).fetchone() == ("1min", "7s")
        name = opened.info.dbname
        opened.execute(f"alter database {name} set statement_timeout = '90s'")
    with db.connect(database, application_name="test", limits=session.OWN) as opened:
        assert opened.execute(shown).fetchone() == ("90s", "5s")
    with db.connect(database, application_name="test") as opened:
        assert opened.execute(shown).fetchone() == ("90s", "0")


@pytest.mark.parametrize(
    ("url", "attributes", "timeout"),
    [
        ("postgresql://a/db", None, "10"),
        ("postgresql://a,b:5433/db", "read-write", "3"),
        ("host=a,b", "read-write", "3"),
        ("postgresql://a,b/db?target_session_attrs=any&connect_timeout=7", "any", "7"),
    ],
)
def test_of_several_hosts_the_one_that_takes_writes_is_looked_for(monkeypatch, url, attributes, timeout):
    asked = {}

    def refuse(given, **_):
        asked.update(psycopg.conninfo.conninfo_to_dict(given))
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(db.Watched, "connect", refuse)
    with pytest.raises(DatabaseUnreachable):
        db.connect(url, application_name="test")
    assert asked.get("target_session_attrs") == attributes
    assert str(asked["connect_timeout"]) == timeout
