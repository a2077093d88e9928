"""sql/citus.sql and its undoing, on PostgreSQL with stand-ins for what Citus brings: they name what is there.

Whether Citus takes it is another question, which tests/store/test_on_citus.py asks where there is one.
"""

from __future__ import annotations

import psycopg
import pytest

from tests import citus
from tests.guards.citus_sql import classes, sharded
from tests.store import test_on_citus as there

STANDINS = """
    create schema standin;
    create table standin.calls (n integer generated always as identity, call text, name text, said text);
    create table standin.pg_dist_partition (logicalrelid regclass primary key);
    create function standin.created(call text, name regclass, said text) returns void language plpgsql as $$
    begin
        insert into standin.pg_dist_partition values (name);
        insert into standin.calls (call, name, said) values (call, name::text, said);
    end $$;
    create function standin.create_distributed_table(table_name regclass, distribution_column text, colocate_with text default 'default')
    returns void language sql as $$ select standin.created('distributed', table_name, distribution_column || ' ' || colocate_with) $$;
    create function standin.create_reference_table(table_name regclass)
    returns void language sql as $$ select standin.created('reference', table_name, null) $$;
    create function standin.citus_add_local_table_to_metadata(table_name regclass, cascade_via_foreign_keys boolean default false)
    returns void language sql as $$ select standin.created('local', table_name, null) $$;
    create function standin.create_distributed_function(
        function_name regprocedure, distribution_arg_name text default null, colocate_with text default 'default', force_delegation boolean default null
    ) returns void language sql as $$
        insert into standin.calls (call, name, said)
        select 'function', p.proname, distribution_arg_name || ' ' || colocate_with from pg_proc p where p.oid = function_name
    $$;
    create function standin.undistribute_table(table_name regclass, cascade_via_foreign_keys boolean default false) returns void language plpgsql as $$
    begin
        -- those that refer to it, or that it refers to, come back with it
        delete from standin.pg_dist_partition d
        where d.logicalrelid = table_name or cascade_via_foreign_keys and exists (
            select from pg_constraint c where c.contype = 'f'
            and (c.conrelid, c.confrelid) in ((d.logicalrelid, table_name), (table_name, d.logicalrelid)));
        insert into standin.calls (call, name) values ('undistributed', table_name::text);
    end $$;
    set search_path to standin, public;
"""  # noqa: E501 - signatures as Citus has them
UNIQUE = """
    select c.relname, i.indexrelid::regclass::text,
           array(select a.attname::text from pg_attribute a where a.attrelid = i.indexrelid)
    from pg_index i join pg_class c on c.oid = i.indrelid
    where i.indisunique and c.relnamespace = 'tributary'::regnamespace
"""


@pytest.fixture
def prepared(connection):
    connection.execute(STANDINS)
    return connection


def calls(connection, call):
    rows = connection.execute(
        "select name, said from standin.calls where call = %s order by n", (call,)
    ).fetchall()
    return {name.removeprefix("tributary."): said for name, said in rows}


def test_each_table_is_distributed_as_its_class_says(prepared):
    citus.apply(prepared, "citus.sql")
    told = calls(prepared, "distributed")
    assert tuple(told) == classes()["sharded"]
    assert told == dict.fromkeys(told, "shard tributary.steps") | {"steps": "shard none"}
    assert tuple(calls(prepared, "reference")) == classes()["everywhere"]
    assert tuple(calls(prepared, "local")) == classes()["counters"]


def test_what_a_reference_table_refers_to_is_one_and_comes_first(prepared):
    order = [*classes()["everywhere"], *classes()["sharded"], *classes()["counters"], *classes()["at_home"]]
    references = prepared.execute(
        "select conrelid::regclass::text, confrelid::regclass::text from pg_constraint"
        " where contype = 'f' and connamespace = 'tributary'::regnamespace"
    ).fetchall()
    assert references
    for pair in references:
        name, other = (one.removeprefix("tributary.") for one in pair)
        assert {name, other} <= set(classes()["everywhere"]) or {name, other} <= set(classes()["at_home"])
        assert order.index(other) < order.index(name)


def test_every_function_is_made_on_all_nodes_and_delegated_where_it_is_said_to_be(prepared):
    citus.apply(prepared, "citus.sql")
    told = calls(prepared, "function")
    there = prepared.execute(
        "select proname from pg_proc where pronamespace = 'tributary'::regnamespace"
        " and prorettype <> 'trigger'::regtype"
    )
    assert set(told) == {name for (name,) in there}
    assert {name for name, said in told.items() if said} == set(classes()["delegated"])
    assert {said for said in told.values() if said} == {"p_shard tributary.steps"}


def test_it_can_be_repeated(prepared):
    citus.apply(prepared, "citus.sql")
    before = {call: calls(prepared, call) for call in ("distributed", "reference", "local")}
    citus.apply(prepared, "citus.sql")
    assert {call: calls(prepared, call) for call in before} == before


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ("create table tributary.newcomer (shard smallint)", "newcomer"),
        ("create function tributary.stranger(p_shard smallint) returns integer return 1", "stranger"),
    ],
)  # fmt: skip
def test_a_schema_of_another_release_is_refused_whole(prepared, extra, name):
    prepared.execute(extra)
    with pytest.raises(psycopg.errors.RaiseException, match=name):
        citus.apply(prepared, "citus.sql")
    assert prepared.execute("select count(*) from standin.calls").fetchone() == (0,)


def test_it_is_undone_table_by_table(prepared):
    citus.apply(prepared, "citus.sql")
    citus.apply(prepared, "citus_undo.sql")
    assert prepared.execute("select count(*) from standin.pg_dist_partition").fetchone() == (0,)
    undone = calls(prepared, "undistributed")
    once = {*classes()["sharded"], *classes()["everywhere"], *classes()["counters"]}
    assert once - set(undone) == {"workflows"}, "it refers to revisions, and came back with these"
    citus.apply(prepared, "citus_undo.sql")
    assert calls(prepared, "undistributed") == undone


@pytest.mark.parametrize(
    "name", [name for name in vars(there) if name.startswith("test_") and "tables_lie" not in name]
)
def test_the_tests_for_a_cluster_pass_where_nothing_is_distributed(prepared, name):
    """So that they are right when there is one."""
    prepared.execute(
        "insert into tributary.meta (key, value) values ('shards', %s)"
        " on conflict (key) do update set value = excluded.value",
        (str(citus.SHARDS),),
    )
    citus.apply(prepared, "citus.sql")
    getattr(there, name)(prepared)


def test_whatever_is_unique_in_a_shard_names_it(connection):
    """Citus keeps no other promise: each node looks at its own rows."""
    found = [row for row in connection.execute(UNIQUE) if row[0] in sharded()]
    assert {name for name, _, _ in found} == sharded()
    assert [index for _, index, of in found if "shard" not in of] == []


def test_the_shard_is_a_smallint_that_is_always_there_and_refers_to_nothing(connection):
    columns = connection.execute(
        "select c.relname, format_type(a.atttypid, null), a.attnotnull from pg_attribute a"
        " join pg_class c on c.oid = a.attrelid"
        " where c.relnamespace = 'tributary'::regnamespace and c.relkind = 'r' and a.attname = 'shard'"
    ).fetchall()
    assert {row[0] for row in columns} == sharded()
    assert {row[1:] for row in columns} == {("smallint", True)}
    assert not connection.execute(
        "select from pg_trigger t join pg_class c on c.oid = t.tgrelid where not t.tgisinternal"
        " and c.relkind = 'r' and c.relnamespace = 'tributary'::regnamespace"
    ).fetchall(), "triggers of tables would have to be on every node"
