"""Migrations beside those who work: tables in use, functions of another shape, commands that come."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tributary_daemon.config import Config
from tributary_daemon.errors import SchemaError, TributaryError
from tributary_daemon.store.migrations import Migrator, ensure_schema, outdated
from tributary_daemon.store.migrations.lock import migration_lock
from tributary_daemon.store.migrations.migrator import LOCK

NAME = "20260101000001_one"
BLOCKED = (
    "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
)


@pytest.fixture
def folder(tmp_path):
    for name in ("migrations", "functions"):
        (tmp_path / name).mkdir()
    (tmp_path / "migrations" / f"{NAME}.up.sql").write_text(
        "create table one (id int); create table two (id int)"
    )
    (tmp_path / "migrations" / f"{NAME}.down.sql").write_text("drop table one; drop table two")
    return tmp_path


@pytest.fixture
def make(empty_database, folder):
    def build(**more):
        paths = {"directory": folder / "migrations", "functions": folder / "functions"}
        return Migrator(empty_database, **paths, **more)

    return build


def alter(folder):
    name = folder / "migrations" / "20260101000002_more"
    name.with_suffix(".up.sql").write_text(
        "alter table one add column a int; alter table two add column a int"
    )
    name.with_suffix(".down.sql").write_text("alter table one drop column a; alter table two drop column a")


def function(folder, name, returns, body):
    (folder / "functions" / f"{name}.sql").write_text(
        f"create or replace function tributary.{name}() returns {returns} language sql as $$ {body} $$"
    )


def test_a_migration_gives_way_to_who_holds_a_table_and_to_who_comes_meanwhile(make, folder, empty_database):
    make().up()
    alter(folder)
    said = threading.Event()
    with (
        psycopg.connect(empty_database) as holder,
        psycopg.connect(empty_database, autocommit=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        holder.execute("insert into tributary.one values (1)")
        migrating = pool.submit(make(progress=lambda text: said.set() if "in use" in text else None).up)
        assert said.wait(60)
        for number in range(20):
            # while it waits for its lock others wait behind it, but never for long
            other.execute("set statement_timeout = '20s'")
            other.execute("insert into tributary.one values (%s)", (number,))
        assert not migrating.done()
        holder.rollback()
        assert migrating.result(60).names == ("20260101000002_more",)
        assert other.execute("select count(*), count(a) from tributary.one").fetchone() == (20, 0)


def test_of_a_migration_and_a_worker_that_wait_for_each_other_the_worker_goes_on(
    make, folder, empty_database, eventually
):
    make().up()
    alter(folder)
    said = threading.Event()
    with psycopg.connect(empty_database) as worker, ThreadPoolExecutor(1) as pool:
        worker.execute("insert into tributary.two values (1)")
        migrating = pool.submit(make(progress=lambda text: said.set() if "in use" in text else None).up)
        assert said.wait(60)
        # it has table one in every try, and waits for table two
        for _ in range(5):
            worker.execute("insert into tributary.one values (1)")
        worker.commit()
        assert migrating.result(60).names == ("20260101000002_more",)


def test_who_holds_a_table_for_ever_is_named_and_nothing_has_changed(make, folder, empty_database):
    make().up()
    alter(folder)
    with psycopg.connect(empty_database) as holder:
        holder.execute("insert into tributary.one values (1)")
        with pytest.raises(SchemaError, match="was in use") as caught:
            make(lock_timeout=0.1).up()
        assert "pg_stat_activity" in caught.value.hint
        holder.rollback()
        assert [line.state for line in make().status()] == ["applied", "failed"]
        assert make().up().names == ("20260101000002_more",)


def test_a_function_of_another_shape_is_dropped_alone(make, folder, empty_database):
    function(folder, "changes", "int", "select 1")
    function(folder, "stays", "int", "select 2")
    (folder / "functions" / "view_both.sql").write_text(
        "create or replace view tributary.both as select tributary.changes() as a, tributary.stays() as b"
    )
    make().up()
    with psycopg.connect(empty_database, autocommit=True) as sql:
        sql.execute("grant execute on function tributary.stays() to pg_monitor")
        place = "select oid, proacl::text from pg_proc where proname = 'stays'"
        before = sql.execute(place).fetchone()
        function(folder, "changes", "text", "select 'one'::text")
        make().up()
        assert sql.execute(place).fetchone() == before, "who calls it at this moment still finds it"
        assert sql.execute("select a, b from tributary.both").fetchone() == ("one", 2)


INSIDE = """create or replace function tributary.outer() returns text language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared(7);
    return tributary.inner({arguments});
end $$"""


def another_signature(folder):
    """Have inner() take two numbers instead of one, and outer() call it so; return the text of now."""
    (folder / "functions" / "outer.sql").write_text(INSIDE.format(arguments="1, 2"))
    (folder / "functions" / "inner.sql").write_text(
        "-- With one number until lately.\n"
        "drop function if exists tributary.inner(\n    int);\n"
        "create or replace function tributary.inner(a int, b int) returns text language sql"
        " as $$ select 'two' $$"
    )


@pytest.fixture
def inside(make, folder, empty_database, eventually):
    """Yield what a statement that is inside outer() will say, and what lets it go on."""
    (folder / "functions" / "outer.sql").write_text(INSIDE.format(arguments="1"))
    (folder / "functions" / "inner.sql").write_text(
        "create or replace function tributary.inner(a int) returns text language sql as $$ select 'one' $$"
    )
    make().up()
    with (
        psycopg.connect(empty_database, autocommit=True) as gate,
        psycopg.connect(empty_database, autocommit=True) as caller,
        ThreadPoolExecutor(1) as pool,
    ):
        gate.execute("select pg_advisory_lock(7)")
        said = pool.submit(lambda: caller.execute("select tributary.outer()").fetchone())
        eventually(lambda: gate.execute(BLOCKED).fetchone() == (1,), 20, "it is inside")
        try:
            yield said, lambda: gate.execute("select pg_advisory_unlock(7)")
        finally:
            gate.execute("select pg_advisory_unlock_all()")


def signatures(url):
    with psycopg.connect(url, autocommit=True) as sql:
        query = "select pronargs from pg_proc where proname = 'inner' order by 1"
        return [number for (number,) in sql.execute(query)]


def test_a_statement_that_began_before_still_finds_what_it_calls(make, folder, inside, empty_database):
    statement, go_on = inside
    another_signature(folder)
    said = threading.Event()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(empty_database) as idle:
        # inside no function; nobody waits for it
        idle.execute("select 1")
        migrating = pool.submit(make(progress=lambda text: said.set() if "began before" in text else None).up)
        assert said.wait(60)
        assert signatures(empty_database) == [1, 2]
        assert not migrating.done()
        go_on()
        assert migrating.result(60).functions
    assert statement.result(20) == ("one",)
    assert signatures(empty_database) == [2]
    assert not make().up().functions


def test_a_statement_that_lasts_is_not_waited_for_for_ever(make, folder, inside, empty_database, monkeypatch):
    statement, go_on = inside
    another_signature(folder)
    monkeypatch.setattr(outdated, "_PATIENCE", 0.2)
    assert make().up().functions
    assert signatures(empty_database) == [2]
    go_on()
    with pytest.raises(psycopg.errors.UndefinedFunction):
        statement.result(20)


def test_an_up_that_was_killed_while_it_waited_is_completed_by_the_next(make, folder, inside, empty_database):
    statement, go_on = inside
    another_signature(folder)
    said = threading.Event()
    waits = make(progress=lambda text: said.set() if "began before" in text else None)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(empty_database, autocommit=True) as sql:
        migrating = pool.submit(waits.up)
        assert said.wait(60)
        sql.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name like 'trib migrate%'"
        )
        with pytest.raises(TributaryError):
            migrating.result(60)
    assert signatures(empty_database) == [1, 2]
    go_on()
    assert statement.result(20) == ("one",)
    assert make().up().functions
    assert signatures(empty_database) == [2]


def test_a_schema_whose_functions_are_missing_is_refused_until_up_was_run(database):
    with psycopg.connect(database, autocommit=True) as sql:
        sql.execute("update tributary.meta set value = '' where key = 'functions'")
    with pytest.raises(SchemaError, match="broke off") as caught:
        ensure_schema(database, Config())
    assert (caught.value.exit_code, "trib migrate up" in caught.value.hint) == (7, True)
    assert Migrator(database).up().functions
    assert ensure_schema(database, Config()).functions_current


def test_a_command_waits_for_a_migration_that_is_under_way(database, eventually):
    with (
        psycopg.connect(database, autocommit=True) as sql,
        ThreadPoolExecutor(1) as pool,
        migration_lock(database, LOCK, timeout=20, waiting=lambda: None),
    ):
        sql.execute("update tributary.meta set value = '' where key = 'functions'")
        command = pool.submit(ensure_schema, database, Config())
        trying = (
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and application_name = 'trib migrate lock'"
        )
        eventually(lambda: sql.execute(trying).fetchone() == (2,), 20, "it tries for the lock")
        assert not command.done()
        sql.execute("update tributary.meta set value = 'done' where key = 'functions'")
    assert command.result(20).verdict == "ok"


def test_first_commands_at_once_all_find_a_schema(empty_database):
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: ensure_schema(empty_database, Config()).verdict, range(6)))
    assert found == ["ok"] * 6
