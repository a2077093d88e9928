"""Connections, the runner of operations, and what goes wrong on them."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from tributary_daemon.errors import (
    DatabaseError,
    DatabaseUnreachable,
    InvalidInput,
    KeyConflict,
    NotFound,
    NotPossible,
    SchemaError,
)
from tributary_daemon.store import db


@pytest.fixture
def connection(empty_database):
    with db.connect(empty_database, application_name="test") as opened:
        yield opened


def both(url, operation, *, autocommit=True):
    """Run an operation on a connection of each kind; both must agree."""

    async def later():
        async with await db.aconnect(url, application_name="test", autocommit=autocommit) as opened:
            return await db.arun(opened, operation())

    with db.connect(url, application_name="test", autocommit=autocommit) as opened:
        first = db.run(opened, operation())
    assert asyncio.run(later()) == first
    return first


def ask(sql, params=()):
    rows = yield db.Query(sql, params)
    return rows


def test_rows_are_sent_back_and_the_result_is_returned(empty_database):
    def operation():
        one = yield db.Query("select %(a)s::int, %(b)s::text", {"a": 1, "b": "x"})
        none = yield db.Query("set local work_mem = '4MB'")
        empty = yield db.Query("select 1 where false")
        positional = yield db.Query("select %s::int + 1", [one[0][0]])
        literal = yield db.Query("select '100%%' like '%%', %s::int", [5])
        return one, none, empty, positional, literal

    expected = ([(1, "x")], [], [], [(2,)], [(True, 5)])
    assert both(empty_database, operation) == expected
    assert both(empty_database, operation, autocommit=False) == expected


@pytest.mark.parametrize("autocommit", [True, False])
def test_read_committed_is_said_even_where_the_database_says_otherwise(empty_database, autocommit):
    name = psycopg.conninfo.conninfo_to_dict(empty_database)["dbname"]
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(f"alter database {name} set default_transaction_isolation = 'serializable'")
    shown = both(empty_database, lambda: ask("show transaction_isolation"), autocommit=autocommit)
    assert shown == [("read committed",)]


def test_each_query_commits_by_itself_unless_the_caller_has_a_transaction(empty_database, connection):
    db.run(connection, ask("create table t (id int)"))
    with psycopg.connect(empty_database) as other:
        assert other.execute("select count(*) from t").fetchone() == (0,)
    with connection.transaction(force_rollback=True):
        db.run(connection, ask("insert into t values (1)"))
    assert db.run(connection, ask("select count(*) from t")) == [(0,)]


def test_an_error_leaves_the_connection_usable_and_a_callers_transaction_to_the_caller(connection):
    with pytest.raises(DatabaseError):
        db.run(connection, ask("select 1/0"))
    assert db.run(connection, ask("select 1")) == [(1,)]
    with connection.transaction():
        with pytest.raises(DatabaseError), connection.transaction():
            db.run(connection, ask("select 1/0"))
        assert db.run(connection, ask("select 2")) == [(2,)]


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("TR001", InvalidInput),
        ("TR002", KeyConflict),
        ("TR003", NotFound),
        ("TR004", NotPossible),
        ("TR005", SchemaError),
    ],
)
def test_our_own_states_become_our_errors_with_detail_and_hint(empty_database, state, kind):
    text = (
        "do $$ begin raise exception 'refused' using errcode = '"
        + state
        + "', detail = 'because', hint = 'do that'; end $$"
    )
    with pytest.raises(kind) as caught:
        both(empty_database, lambda: ask(text))
    assert type(caught.value) is kind
    assert caught.value.message == "refused\n  because"
    assert caught.value.hint == "do that"


def test_foreign_states_get_a_hint(empty_database, connection):
    with pytest.raises(SchemaError) as caught:
        db.run(connection, ask("select * from tributary.steps"))
    assert "trib migrate up" in caught.value.hint
    with pytest.raises(SchemaError):
        db.run(connection, ask("select tributary.claim(1)"))
    with pytest.raises(InvalidInput, match="NUL"):
        db.run(connection, ask("select %s::text", ["a\0b"]))
    with pytest.raises(InvalidInput):
        db.run(connection, ask("select %s::jsonb", ['"\\u0000"']))
    with pytest.raises(DatabaseError, match="division by zero"):
        db.run(connection, ask("select 1/0"))
    connection.execute("set default_transaction_read_only = on")
    with pytest.raises(DatabaseError, match="only reads"):
        db.run(connection, ask("create table x ()"))


def test_a_lost_connection_is_unreachable(connection):
    with pytest.raises(DatabaseUnreachable, match="connection to the database was lost"):
        db.run(connection, ask("select pg_terminate_backend(pg_backend_pid())"))
    with pytest.raises(DatabaseUnreachable):
        db.run(connection, ask("select 1"))


def test_a_missing_right_is_named(empty_database, connection):
    role = f"guest_{abs(hash(empty_database))}"
    connection.execute(f"create role {role}; create table secret ()")
    try:
        connection.execute(f"set role {role}")
        with pytest.raises(
            DatabaseError, match="no permission: permission denied for table secret"
        ) as caught:
            db.run(connection, ask("select * from secret"))
        assert "GRANT" in caught.value.hint
        assert caught.value.exit_code == 7
    finally:
        connection.execute(f"reset role; drop role {role}")


def test_a_missing_database_and_user_are_named(empty_database):
    missing = psycopg.conninfo.make_conninfo(empty_database, dbname="nowhere")
    with pytest.raises(DatabaseUnreachable, match="database 'nowhere' does not exist on") as caught:
        db.connect(missing, application_name="test")
    assert "createdb" in caught.value.hint
    stranger = psycopg.conninfo.make_conninfo(empty_database, user="nobody_here", password="s3cret")
    with pytest.raises(DatabaseUnreachable, match="nobody_here") as caught:
        db.connect(stranger, application_name="test")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('FATAL:  password authentication failed for user "me"', "does not accept the password of user 'me'"),
        ("fe_sendauth: no password supplied", "does not accept the password of user 'me'"),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4"', "does not let user 'me' in"),
        ('FATAL:  permission denied for database "db"', "may not connect to database 'db'"),
        ("FATAL:  sorry, too many clients already", "no free connection left"),
        ("FATAL:  the database system is starting up", "starting or stopping"),
        ("could not translate host name", "cannot be resolved"),
        ("connection timeout expired", "did not answer in time"),
        ("something else with pa55 in it", "cannot connect to host:5433: something else with *** in it"),
    ],
)
def test_refused_logins_say_what_to_do(text, message):
    error = db.faults.unreachable(psycopg.OperationalError(text), "postgresql://me:pa55@host:5433/db")
    assert message in error.message
    assert error.hint
    assert "pa55" not in str(error)


def test_nobody_listens():
    with pytest.raises(DatabaseUnreachable, match=r"no PostgreSQL answers at 127\.0\.0\.1:1"):
        db.connect("postgresql://me:pw@127.0.0.1:1/db", application_name="test")
    with pytest.raises(DatabaseUnreachable):
        asyncio.run(db.aconnect("postgresql://me:pw@127.0.0.1:1/db", application_name="test"))


def test_a_url_that_cannot_be_parsed_does_not_show_its_password():
    with pytest.raises(DatabaseUnreachable, match="cannot be parsed") as caught:
        db.connect("postgresql://me:top:s3cret/x@host:99a/db?q", application_name="test")
    assert "s3cret" not in str(caught.value)


def test_dead_peers_are_noticed_and_the_url_has_the_last_word(connection, empty_database):
    parameters = connection.info.get_parameters()
    assert parameters["tcp_user_timeout"] == "30000"
    assert parameters["keepalives_idle"] == "20"
    assert parameters["application_name"] == "test"
    own = psycopg.conninfo.make_conninfo(empty_database, tcp_user_timeout=5000)
    with db.connect(own, application_name="test") as opened:
        assert opened.info.get_parameters()["tcp_user_timeout"] == "5000"


def test_unknown_queries_are_said_plainly():
    assert (db.sql_dir() / "migrations").is_dir()
    with pytest.raises(SchemaError, match="no query 'nowhere'"):
        db.query("nowhere")
