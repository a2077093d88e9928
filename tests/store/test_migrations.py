"""Up, down, status, failures: against a database."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
import pytest

from tributary_daemon.errors import DatabaseUnreachable, InvalidInput, NotFound, SchemaError
from tributary_daemon.store.migrations import Migrator

ONE, TWO, THREE = "20260101000001_one", "20260101000002_two", "20260101000003_three"


def sql(directory, name, up, down=""):
    (directory / f"{name}.up.sql").write_text(up)
    (directory / f"{name}.down.sql").write_text(down)


@pytest.fixture
def folder(tmp_path):
    sql(tmp_path, ONE, "create table one (id int)", "drop table one")
    sql(
        tmp_path, TWO, "create table two (id int);\n--bun:split\ninsert into two values (1)", "drop table two"
    )
    return tmp_path


@pytest.fixture
def migrator(empty_database, folder):
    return Migrator(empty_database, directory=folder, table="app")


@pytest.fixture
def rows(empty_database):
    def query(text, *params):
        with psycopg.connect(empty_database, autocommit=True) as connection:
            cursor = connection.execute(text, params or None)
            return cursor.fetchall() if cursor.description else []

    return query


def tables(rows):
    names = rows("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
    return {name for (name,) in names}


def states(migrator):
    return {line.name: line.state for line in migrator.status()}


def test_up_applies_what_is_pending_as_one_group(migrator, folder, rows):
    assert states(migrator) == {ONE: "pending", TWO: "pending"}
    assert migrator.version() is None
    report = migrator.up()
    assert (report.names, report.group) == ((ONE, TWO), 1)
    assert rows("select id from two") == [(1,)]
    assert migrator.version() == TWO
    assert migrator.up().names == ()

    sql(folder, THREE, "create table three (id int)", "drop table three")
    assert migrator.up().group == 2
    line = migrator.status()[-1]
    assert (line.name, line.state, line.group) == (THREE, "applied", 2)
    assert abs((datetime.now(tz=UTC) - line.applied_at).total_seconds()) < 60


def test_down_rolls_back_the_last_group_newest_first(migrator, folder, rows):
    migrator.up()
    sql(folder, THREE, "create table three (id int)", "drop table three")
    migrator.up()
    assert migrator.down().names == (THREE,)
    assert tables(rows) == {"one", "two"}
    report = migrator.down()
    assert (report.names, report.group) == ((TWO, ONE), 1)
    assert tables(rows) == set()
    assert migrator.down().names == ()
    assert migrator.version() is None


def test_up_to_and_down_to_stop_where_they_are_told(migrator, folder, rows):
    sql(folder, THREE, "create table three (id int)", "drop table three")
    assert migrator.up_to("two").names == (ONE, TWO)
    assert migrator.up_to(ONE).names == ()
    assert migrator.up().names == (THREE,)
    assert migrator.down_to("20260101000001").names == (THREE, TWO)
    assert tables(rows) == {"one"}
    assert migrator.up().names == (TWO, THREE)


def test_unknown_names_are_answered_with_the_nearest(migrator):
    with pytest.raises(NotFound) as caught:
        migrator.up_to("tow")
    assert "did you mean 'two'?" in caught.value.hint
    with pytest.raises(NotFound):
        migrator.down_to(ONE)


def test_a_failure_leaves_a_clear_state_and_the_fix_goes_on_from_there(migrator, folder, rows):
    sql(folder, TWO, "create table two (id int); insert into nowhere values (1)", "drop table two")
    sql(folder, THREE, "create table three (id int)", "drop table three")
    with pytest.raises(
        SchemaError, match=r'migration 20260101000002_two failed: relation "nowhere" does not'
    ) as caught:
        migrator.up()
    assert "trib migrate status" in caught.value.hint
    assert states(migrator) == {ONE: "applied", TWO: "failed", THREE: "pending"}
    assert 'relation "nowhere" does not exist' in migrator.status()[1].error
    assert tables(rows) == {"one"}
    assert migrator.version() == ONE

    sql(folder, TWO, "create table two (id int)", "drop table two")
    report = migrator.up()
    assert (report.names, report.group) == ((TWO, THREE), 2)
    assert set(states(migrator).values()) == {"applied"}
    assert migrator.status()[1].error is None


def test_a_failed_rolling_back_keeps_the_migration_applied(migrator, folder, rows):
    migrator.up()
    (folder / f"{TWO}.down.sql").write_text("drop table two; drop table nowhere")
    with pytest.raises(SchemaError, match="two could not be rolled back"):
        migrator.down()
    assert states(migrator) == {ONE: "applied", TWO: "applied"}
    assert "nowhere" in migrator.status()[1].error
    assert tables(rows) == {"one", "two"}
    (folder / f"{TWO}.down.sql").write_text("drop table two")
    assert migrator.down().names == (TWO, ONE)


def test_without_transaction_an_index_is_built_concurrently(migrator, folder, rows):
    sql(
        folder,
        THREE,
        "-- trib:no-transaction\ncreate index concurrently two_id on two (id);\n--bun:split\nvacuum two",
        "-- trib:no-transaction\ndrop index concurrently two_id",
    )
    migrator.up()
    assert rows("select indisvalid from pg_index where indexrelid = 'two_id'::regclass") == [(True,)]
    migrator.down()
    assert rows("select to_regclass('two_id')") == [(None,)]


def test_a_failure_outside_a_transaction_keeps_what_was_done_and_says_so(migrator, folder, rows):
    text = "-- trib:no-transaction\ncreate table if not exists half (id int);\n--bun:split\nselect 1/0"
    sql(folder, THREE, text, "drop table half")
    with pytest.raises(SchemaError, match="division by zero"):
        migrator.up()
    assert "half" in tables(rows)
    assert states(migrator)[THREE] == "failed"
    sql(folder, THREE, text.replace("1/0", "1/1"), "drop table half")
    assert migrator.up().names == (THREE,)


def test_python_migrations_run_in_the_transaction_of_their_record(migrator, folder, rows):
    body = (
        "def up(connection):\n    connection.execute('create table three (id int)')\n{more}\n"
        "def down(connection):\n    connection.execute('drop table three')\n"
    )
    path = folder / f"{THREE}.py"
    path.write_text(body.format(more="    raise KeyError('x')"))
    with pytest.raises(SchemaError, match="KeyError: 'x'"):
        migrator.up()
    assert "three" not in tables(rows)
    assert states(migrator)[THREE] == "failed"
    path.write_text(body.format(more=""))
    assert migrator.up().names == (THREE,)
    assert "three" in tables(rows)
    migrator.down()
    assert "three" not in tables(rows)


@pytest.mark.parametrize(
    ("text", "message"),
    [("def up(connection): pass", "no function down"), ("import nowhere_at_all", "nowhere_at_all")],
)
def test_python_migrations_that_cannot_run_are_named(migrator, folder, text, message):
    (folder / f"{THREE}.py").write_text(text)
    with pytest.raises(SchemaError, match=message):
        migrator.up()


def test_missing_files_are_shown_and_block_only_what_needs_them(migrator, folder, rows):
    migrator.up()
    for path in folder.glob(f"{TWO}*"):
        path.unlink()
    assert migrator.missing() == (TWO,)
    assert states(migrator)[TWO] == "missing"
    with pytest.raises(SchemaError, match=f"cannot roll back {TWO}: applied, but the files are gone"):
        migrator.down()
    assert tables(rows) == {"one", "two"}
    sql(folder, THREE, "create table three (id int)", "drop table three")
    assert migrator.up().names == (THREE,)


def test_a_group_without_a_down_file_is_not_half_rolled_back(migrator, folder, rows):
    (folder / f"{ONE}.down.sql").unlink()
    migrator.up()
    with pytest.raises(SchemaError, match="one has no down file"):
        migrator.down()
    assert tables(rows) == {"one", "two"}


def test_changed_files_are_marked(migrator, folder):
    migrator.up()
    assert not any(line.changed for line in migrator.status())
    sql(folder, ONE, "create table one (id bigint)", "drop table one")
    assert [line.changed for line in migrator.status()] == [True, False]


def test_a_late_migration_with_an_early_number_is_applied(migrator, folder):
    migrator.up()
    sql(folder, "20250101000000_late", "create table late (id int)", "drop table late")
    assert migrator.up().names == ("20250101000000_late",)
    assert migrator.version() == TWO


def test_two_folders_keep_their_own_records(empty_database, folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    sql(other, ONE, "create table other (id int)", "drop table other")
    Migrator(empty_database, directory=folder, table="app").up()
    assert Migrator(empty_database, directory=other, table="reports", schema="reporting").up().names == (ONE,)


def test_own_folders_must_not_write_into_tributarys_table(empty_database, folder):
    with pytest.raises(InvalidInput, match=r"tributary\.migrations is Tributary's own"):
        Migrator(empty_database, directory=folder)


def test_a_statement_limit_of_the_role_does_not_stop_a_migration(migrator, folder, rows):
    rows(
        "do $$ begin execute format('alter database %I set statement_timeout = 100', current_database());"
        " end $$"
    )
    sql(folder, THREE, "select pg_sleep(0.3)", "select 1")
    assert migrator.up().names == (ONE, TWO, THREE)


def test_a_lost_session_of_the_lock_stops_before_the_next_change(migrator, folder, rows):
    kill = (
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'trib migrate lock'"
        " and datname = current_database()"
    )
    sql(folder, THREE, "create table three (id int)", "drop table three")
    sql(folder, TWO, f"create table two (id int); {kill}", "drop table two")
    with pytest.raises(SchemaError, match="session that holds the migration lock was lost"):
        migrator.up()
    assert tables(rows) == {"one", "two"}


def test_a_server_that_cuts_the_connection_is_recorded_as_the_failure(migrator, folder):
    sql(folder, THREE, "select pg_terminate_backend(pg_backend_pid())", "select 1")
    with pytest.raises(SchemaError, match="terminating connection"):
        migrator.up()
    assert states(migrator)[THREE] == "failed"


def test_an_unreachable_server_is_said_plainly(folder):
    migrator = Migrator("postgresql://u@127.0.0.1:1/x", directory=folder, table="app")
    with pytest.raises(DatabaseUnreachable, match=r"no PostgreSQL answers at 127\.0\.0\.1:1"):
        migrator.up()


def test_a_user_without_the_right_to_create_is_told_so(empty_database, folder, rows):
    role = f"guest_{abs(hash(empty_database))}"
    rows(f"create role {role} login password 'x'")
    try:
        rows(
            "do $$ begin execute format('revoke create on database %I from public', current_database());"
            " end $$"
        )
        rows("revoke create on schema public from public")
        url = empty_database.replace("//trib@", f"//{role}:x@")
        if url == empty_database:
            pytest.skip("needs the session's own server")
        with pytest.raises(Exception, match="no permission: permission denied for database"):
            Migrator(url, directory=folder, table="app").up()
    finally:
        rows(f"drop role {role}")
