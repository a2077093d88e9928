"""The number of shards: told when the schema is made, changed by `trib migrate shards`."""

from __future__ import annotations

import io
import re

import psycopg
import pytest

from tests.store import protocol_kit as kit
from tributary_daemon.errors import InvalidInput, NotPossible
from tributary_daemon.model.ids import slot_of
from tributary_daemon.store import db
from tributary_daemon.store.migrations import Migrator

pytestmark = pytest.mark.one_shard("begins with one shard, and changes that")

SHARDED = """
    select table_name
    from information_schema.columns c join information_schema.tables t using (table_schema, table_name)
    where c.table_schema = 'tributary' and c.column_name = 'shard' and t.table_type = 'BASE TABLE' order by 1
"""
UNIQUE = """select * from tributary.submit('t.work.v1', '{}', '{"unique": {"key": "only"}}'::jsonb)"""
WORK = kit.workflow("t.flow.v1", {"a": (), "b": ("a",), "c": ("a", "b")})


@pytest.fixture
def filled(database, connection):
    """Fill a database of one shard with work in many states; return the connection."""
    kit.offer(connection)
    with_key = [kit.intent(connection, idempotency_key=f"key {n}") for n in range(12)]
    loose = [kit.intent(connection) for _ in range(12)]
    runs = [kit.start(connection, WORK, key=f"run {n}") for n in range(6)]
    process = kit.Process(connection)
    first = process.claim(8)
    process.finish(first[:4])
    process.finish(first[4:6], "discarded")
    process.finish(first[6:], "retry", delay=3600.0)
    connection.execute("delete from tributary.processes")
    connection.execute(UNIQUE)
    assert len({slot_of(one) % 4 for one in [*with_key, *loose, *runs]}) == 4
    return connection


def places(connection):
    """Return {table: rows that are not where their id leads}."""
    count = kit.scalar(connection, "select tributary.shard_count()")
    wrong = {}
    for (table,) in connection.execute(SHARDED).fetchall():
        key = {
            "keys": "tributary.slot_of_key(tenant_id, key)",
            "unique_keys": "tributary.slot_of_key(tenant_id, name || E'\\x1f' || key)",
            "step_cache": "('x' || right(key, 3))::bit(12)::integer",
        }.get(table, "('x' || right(run_id::text, 3))::bit(12)::integer")
        wrong[table] = kit.scalar(
            connection, f"select count(*) from tributary.{table} where shard <> {key} % {count}"
        )
    return {table: count for table, count in wrong.items() if count}


def test_every_table_with_shards_is_spread(connection):
    tables = {row[0] for row in connection.execute(SHARDED).fetchall()}
    text = (db.sql_dir() / "reshard.sql").read_text(encoding="utf-8")
    assert set(re.findall(r"update tributary\.(\w+) set shard", text)) == tables
    locked = re.search(r"lock table (tributary\.runs.*?) in access exclusive mode;", text, re.DOTALL)
    assert set(re.findall(r"tributary\.(\w+)", locked[1])) == tables


def test_a_schema_is_split_when_it_is_made(empty_database):
    Migrator(empty_database, shards=3).up()
    Migrator(empty_database, shards=5).up()
    with psycopg.connect(empty_database, autocommit=True) as connection:
        assert kit.scalar(connection, "select tributary.shard_count()") == 3, "it was told once"


def test_from_one_to_four_and_back_and_all_work_is_done(filled, database):
    filled.execute(
        "insert into tributary.step_cache (shard, key, step_name, scope, state, value, created_at)"
        " select 0, encode(sha256(n::text::bytea), 'hex'), 't.work.v1', 'global', 'filled', '1',"
        " tributary.clock() from generate_series(1, 20) as n"
    )
    assert Migrator(database).reshard(4) == (1, 4)
    assert kit.scalar(filled, "select tributary.shard_count()") == 4
    assert places(filled) == {}
    assert kit.scalar(filled, "select count(distinct shard) from tributary.step_cache") > 1
    kit.check_invariants(filled)
    again = [kit.intent(filled, idempotency_key=f"key {n}") for n in range(12)]
    assert kit.scalar(filled, "select count(*) from tributary.keys") == 18, "keys hold"
    assert all(kit.row(filled, one) for one in again)
    filled.execute(UNIQUE)
    assert kit.scalar(filled, "select count(*) from tributary.unique_keys") == 1
    assert kit.scalar(filled, "select count(*) from tributary.steps where kind = 'intent'") == 25
    process = kit.Process(filled)
    assert process.work_off() > 0
    filled.execute("delete from tributary.processes")

    assert Migrator(database).reshard(1) == (4, 1)
    assert places(filled) == {}
    kit.check_invariants(filled)
    left = filled.execute(
        "select distinct state::text from tributary.steps where kind <> 'closing'"
    ).fetchall()
    assert {row[0] for row in left} <= {"completed", "discarded", "scheduled", "cancelled"}
    assert kit.scalar(filled, "select count(*) from tributary.runs where state = 'running'") <= 6


def test_it_refuses_while_workers_live_and_changes_nothing(filled, database):
    kit.Process(filled)
    with pytest.raises(NotPossible, match="while workers are at work: test"):
        Migrator(database).reshard(4)
    assert kit.scalar(filled, "select tributary.shard_count()") == 1
    assert places(filled) == {}


def test_a_dry_run_prints_and_changes_nothing(filled, database):
    out = io.StringIO()
    assert Migrator(database, dry_run=True, out=out).reshard(4) == (1, 4)
    assert "update tributary.steps" in out.getvalue()
    assert kit.scalar(filled, "select tributary.shard_count()") == 1


@pytest.mark.parametrize("number", [0, 4097])
def test_there_are_no_such_numbers(database, number):
    with pytest.raises(InvalidInput, match="cannot be"):
        Migrator(database).reshard(number)
