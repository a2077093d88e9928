"""Functions and views beside the migrations, ``meta``, and what commands check before they start."""

from __future__ import annotations

import io
import shutil
import subprocess
from types import MappingProxyType

import psycopg
import pytest
from psycopg import sql

from tributary_daemon.config import Config
from tributary_daemon.daemon import embedded_binaries
from tributary_daemon.errors import SchemaError
from tributary_daemon.store import db
from tributary_daemon.store.migrations import Migrator, check, check_schema, ensure_schema, outdated

ONE, TWO = "20260101000001_one", "20260101000002_two"


@pytest.fixture
def folder(tmp_path):
    migrations, functions = tmp_path / "migrations", tmp_path / "functions"
    migrations.mkdir()
    functions.mkdir()
    (migrations / f"{ONE}.up.sql").write_text("create table tributary.one (id int, name text)")
    (migrations / f"{ONE}.down.sql").write_text("drop table tributary.one")
    # calls a function whose file comes later, as SQL functions are checked when they are made
    (functions / "a_total.sql").write_text(
        "create or replace function tributary.a_total() returns int language sql "
        "as 'select tributary.b_one()'"
    )
    (functions / "b_one.sql").write_text(
        "create or replace function tributary.b_one() returns int language sql as 'select 1'"
    )
    (functions / "view_one.sql").write_text(
        "create or replace view tributary.ones as select id from tributary.one"
    )
    return tmp_path


@pytest.fixture
def make(empty_database, folder):
    def build(**options):
        return Migrator(
            empty_database, directory=folder / "migrations", functions=folder / "functions", **options
        )

    return build


@pytest.fixture
def rows(empty_database):
    def query(text):
        with psycopg.connect(empty_database, autocommit=True) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else []

    return query


def add_two(folder):
    (folder / "migrations" / f"{TWO}.up.sql").write_text("create table tributary.two (id int)")
    (folder / "migrations" / f"{TWO}.down.sql").write_text("drop table tributary.two")


def test_functions_are_applied_when_their_text_changes_and_only_then(make, folder, rows):
    assert make().up().functions
    assert rows("select tributary.a_total()") == [(1,)]
    assert not make().up().functions
    (folder / "functions" / "b_one.sql").write_text(
        "create or replace function tributary.b_one() returns int language sql as 'select 2'"
    )
    report = make().up()
    assert (report.names, report.functions) == ((), True)
    assert rows("select tributary.a_total()") == [(2,)]


def test_replacing_keeps_grants_and_a_changed_shape_is_dropped_first(make, folder, rows):
    make().up()
    rows("grant execute on function tributary.b_one() to pg_monitor")
    path = folder / "functions" / "b_one.sql"
    path.write_text(path.read_text().replace("select 1", "select 3"))
    make().up()
    granted = "select proacl::text like '%pg_monitor=X%' from pg_proc where proname = 'b_one'"
    assert rows(granted) == [(True,)]
    for name in ("a_total", "b_one"):
        file = folder / "functions" / f"{name}.sql"
        file.write_text(
            file.read_text().replace("returns int", "returns bigint").replace("select 3", "select 3::bigint")
        )
    (folder / "functions" / "view_one.sql").write_text(
        "create or replace view tributary.ones as select name, id from tributary.one"
    )
    assert make().up().functions
    assert rows("select pg_typeof(tributary.a_total())::text") == [("bigint",)]


def test_a_bad_function_changes_nothing_and_is_named(make, folder, rows):
    make().up()
    (folder / "functions" / "b_one.sql").write_text(
        "create or replace function tributary.b_one() returns int language sql as 'select 9'"
    )
    (folder / "functions" / "c_bad.sql").write_text(
        "create or replace function tributary.c_bad() returns int language sql "
        "as 'select id from tributary.nowhere'"
    )
    with pytest.raises(SchemaError, match=r"sql/functions/c_bad\.sql was refused"):
        make().up()
    assert rows("select tributary.b_one()") == [(1,)]
    (folder / "functions" / "c_bad.sql").unlink()
    assert make().up().functions


def test_down_drops_the_functions_first_and_brings_them_back_if_they_fit(make, folder, rows):
    make().up()
    add_two(folder)
    make().up()
    report = make().down()
    assert (report.names, report.functions) == ((TWO,), True)
    assert rows("select tributary.a_total()") == [(1,)]
    report = make().down()
    assert (report.names, report.functions) == ((ONE,), False)
    assert rows("select proname from pg_proc where pronamespace = 'tributary'::regnamespace") == []
    assert make().up().names == (ONE, TWO)


def test_functions_that_no_longer_fit_stay_away_until_the_next_up(make, folder, rows):
    make().up()
    add_two(folder)
    (folder / "functions" / "view_two.sql").write_text(
        "create view tributary.twos as select * from tributary.two"
    )
    (folder / "functions" / "view_two.sql").write_text(
        "create or replace view tributary.twos as select * from tributary.two"
    )
    make().up()
    report = make().down()
    assert not report.functions
    assert "functions not applied" in report.notes[0]
    assert rows("select to_regproc('tributary.a_total')") == [(None,)]
    assert make().up().functions
    assert rows("select tributary.a_total(), count(*) from tributary.twos") == [(1, 0)]


def test_a_function_that_a_table_leans_on_is_not_dropped(make, folder, rows):
    (folder / "migrations" / f"{TWO}.up.sql").write_text(
        "create function tributary.fresh() returns int language sql as 'select 7';"
        "create table tributary.two (id int default tributary.fresh())"
    )
    (folder / "migrations" / f"{TWO}.down.sql").write_text("select 1")
    make().up()
    (folder / "functions" / "b_one.sql").write_text(
        "create or replace function tributary.b_one() returns text language sql as 'select null::text'"
    )
    (folder / "functions" / "a_total.sql").unlink()
    make().up()
    assert rows("insert into tributary.two default values returning id") == [(7,)]


def test_somebody_elses_view_is_never_dropped_along(make, rows):
    make().up()
    rows("create view public.mine as select * from tributary.ones")
    with pytest.raises(SchemaError, match=r"built on it: public\.mine"):
        make().down()
    assert rows("select count(*) from public.mine") == [(0,)]


def test_an_older_release_leaves_newer_functions_alone(make, folder, rows):
    add_two(folder)
    make().up()
    for path in (folder / "migrations").glob(f"{TWO}*"):
        path.unlink()
    path = folder / "functions" / "b_one.sql"
    path.write_text(path.read_text().replace("select 1", "select 0"))
    report = make().up()
    assert (report.names, report.functions) == ((), False)
    assert TWO in report.notes[0]
    assert rows("select tributary.b_one()") == [(1,)]


def test_a_schema_that_needs_a_newer_protocol_is_refused_and_untouched(make, folder, rows):
    make().up()
    rows(f"insert into tributary.meta values ('min_protocol', '{check.PROTOCOL + 1}')")
    before = rows("select * from tributary.meta order by key"), rows("select * from tributary.migrations")
    add_two(folder)
    for action in (make().up, make().down):
        with pytest.raises(SchemaError, match=r"newer release .* Nothing was written"):
            action()
    assert before == (
        rows("select * from tributary.meta order by key"),
        rows("select * from tributary.migrations"),
    )


def find_psql():
    beside = embedded_binaries.choose(None).directory / "psql"
    return str(beside) if beside.exists() else shutil.which("psql")


def test_a_dry_run_changes_nothing_and_its_script_does_the_same_in_psql(make, folder, rows, empty_database):
    add_two(folder)
    (folder / "migrations" / "20260101000003_index.up.sql").write_text(
        "-- trib:no-transaction\ncreate index concurrently two_id on tributary.two (id) -- last words"
    )
    out = io.StringIO()
    report = make(dry_run=True, out=out).up()
    assert report.dry_run
    assert len(report.names) == 3
    assert rows("select 1 from pg_namespace where nspname = 'tributary'") == []
    psql = [find_psql(), "-X", "-q", "-d", empty_database]
    done = subprocess.run(psql, input=out.getvalue(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.state for line in make().status()] == ["applied"] * 3
    assert rows("select tributary.a_total()") == [(1,)]
    assert (make().up().names, make().up().functions) == ((), False)

    out = io.StringIO()
    (folder / "migrations" / "20260101000003_index.down.sql").write_text("drop index tributary.two_id")
    make(dry_run=True, out=out).down()
    assert rows("select tributary.a_total()") == [(1,)]
    done = subprocess.run(psql, input=out.getvalue(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows("select to_regclass('tributary.one')") == [(None,)]


def test_a_script_with_a_python_migration_stops_in_psql(make, folder, rows, empty_database):
    (folder / "migrations" / f"{TWO}.py").write_text("def up(c): pass\ndef down(c): pass\n")
    out = io.StringIO()
    make(dry_run=True, out=out).up()
    done = subprocess.run(
        [find_psql(), "-X", "-q", "-d", empty_database],
        input=out.getvalue(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "is a Python migration" in done.stderr
    assert [line.state for line in make().status()] == ["applied", "pending"]


def test_the_whole_protocol_goes_up_down_and_up_again(empty_database, rows):
    migrator = Migrator(empty_database)
    assert migrator.up().functions
    assert not migrator.up().functions
    migrator.down()
    left = rows(
        "select relname from pg_class where relnamespace = 'tributary'::regnamespace"
        " and relkind in ('r', 'p', 'v', 'S')"
    )
    assert {name for (name,) in left} == {"meta", "migrations"}
    assert rows("select proname from pg_proc where pronamespace = 'tributary'::regnamespace") == []
    assert migrator.up().functions


def test_nothing_is_dropped_that_a_file_creates_and_a_new_schema_holds_nothing_outdated(connection):
    texts = [path.read_text() for path in (db.sql_dir() / "functions").glob("*.sql")]
    signatures = [signature for text in texts for signature in outdated.split(text)[1]]
    assert len(signatures) >= 6
    scope = sql.SQL("set local search_path to tributary, pg_temp").format()
    assert outdated.find(connection, scope, signatures) == []
    assert outdated.find(connection, scope, ["tributary.wake(text[])"]) == ["tributary.wake(text[])"]


def test_no_call_fits_both_a_function_and_its_signature_before(connection):
    """PostgreSQL finds a call ambiguous that fits the old one, and the new one by its defaults."""
    for path in (db.sql_dir() / "functions").glob("*.sql"):
        for signature in outdated.split(path.read_text())[1]:
            number = signature.count(",") + 1
            query = (
                "select pronargs - pronargdefaults, pronargs from pg_proc"
                " where proname = %s and pronamespace = 'tributary'::regnamespace"
            )
            [(least, most)] = connection.execute(query, (path.stem,)).fetchall()
            assert not least <= number <= most, signature


def test_check_schema_tells_all_cases(empty_database, rows):
    with db.connect(empty_database, application_name="test", autocommit=False) as connection:
        assert check_schema(connection).verdict == "missing"
        assert connection.execute("select 1").fetchone() == (1,)
    with db.connect(empty_database, application_name="test") as connection:
        assert check_schema(connection).verdict == "missing"
        Migrator(empty_database).up()
        status = check_schema(connection)
        assert (status.verdict, status.functions_current) == ("ok", True)
        assert status.version == status.expected
        rows("update tributary.meta set value = 'of others' where key = 'functions'")
        status = check_schema(connection)
        assert (status.verdict, status.functions_current) == ("ok", False)
        rows("update tributary.meta set value = '' where key = 'functions'")
        assert check_schema(connection).verdict == "unfinished"
        rows("update tributary.meta set value = '20000101000000_old' where key = 'version'")
        assert check_schema(connection).verdict == "older"
        rows("update tributary.meta set value = '99990101000000_new' where key = 'version'")
        assert check_schema(connection).verdict == "newer_ok"
        rows("insert into tributary.meta values ('min_protocol', '99')")
        assert check_schema(connection).verdict == "too_new"
        assert check_schema(connection, protocol=99).verdict == "newer_ok"


def test_ensure_schema_creates_what_is_missing_unless_forbidden(empty_database, rows):
    with pytest.raises(SchemaError, match="auto_migrate = false") as caught:
        ensure_schema(empty_database, Config(auto_migrate=False))
    assert caught.value.exit_code == 7
    assert "trib migrate up" in caught.value.hint
    assert rows("select 1 from pg_namespace where nspname = 'tributary'") == []
    assert ensure_schema(empty_database, Config()).verdict == "ok"


def test_ensure_schema_upgrades_an_older_one_only_when_told_on_the_command_line(database):
    def fall_back():
        with psycopg.connect(database) as connection:
            connection.execute("update tributary.meta set value = '2' where key = 'version'")
            # back to one that cannot be applied twice
            connection.execute("delete from tributary.migrations where name >= '20261124000002'")

    fall_back()
    with pytest.raises(SchemaError, match="older than this release"):
        ensure_schema(database, Config())
    said = Config(auto_migrate=True, sources=MappingProxyType({"auto_migrate": "flag"}))
    with psycopg.connect(database) as connection:
        connection.execute("update tributary.meta set value = '0' where key = 'version'")
    with pytest.raises(SchemaError, match="already exists"):
        # it does try; the columns of the forgotten migration are still there
        ensure_schema(database, said)


def test_ensure_schema_refuses_a_too_new_one(database):
    with psycopg.connect(database) as connection:
        connection.execute("insert into tributary.meta values ('min_protocol', '99')")
    with pytest.raises(SchemaError, match="upgrade tributary-daemon"):
        ensure_schema(database, Config())


def test_a_good_schema_costs_one_query(database):
    with db.connect(database, application_name="test") as connection:
        seen = []
        execute = connection.execute
        connection.execute = lambda *args, **kwargs: seen.append(args) or execute(*args, **kwargs)
        assert ensure_schema(database, Config(), connection=connection).verdict == "ok"
        assert len(seen) == 1
