# ruff: noqa: E501 - cases
"""Every statement of the protocol names its shard: what Citus needs, and what several shards of one database live from.

A finding is fixed, or has its reason in shard_rule_exceptions.py; a finding that is gone leaves that file.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from tests.guards.citus_sql import sharded, shared
from tests.guards.shard_rule import BUILT_IN, Rule, called, check
from tests.guards.shard_rule_exceptions import EXCEPTIONS
from tests.guards.sql_reading import ROOT, functions, functions_in, queries, texts_in

STORE = ROOT / "tributary_daemon" / "store"


def volatility(name):
    own = functions().get(name)
    return own.volatility if own else BUILT_IN.get(name, "immutable")


def of_function(function):
    rule = Rule(
        sharded(), shared(), volatility, function.shard, frozenset(name for name, _ in function.parameters)
    )
    return Counter(one for statement in function.statements for one in check(statement, rule))


@cache
def findings():
    """Return what is found in each place, as often as it is there."""
    anywhere = Rule(sharded(), shared(), volatility, None)
    found = {name: of_function(function) for name, function in functions().items()}
    found |= {f"query:{name}": Counter(check(statement, anywhere)) for name, statement in queries().items()}
    found |= {
        f"python:{path.relative_to(STORE).as_posix()}": Counter(
            one for statement in texts_in(path) for one in check(statement, anywhere)
        )
        for path in sorted(STORE.rglob("*.py"))
    }
    return {place: dict(counted) for place, counted in found.items() if counted}


def test_statements_keep_the_rule_or_are_known_not_to():
    frozen = {place: known for places in EXCEPTIONS.values() for place, known in places.items()}
    assert sum(map(len, EXCEPTIONS.values())) == len(frozen), "a place stands under two reasons"
    new = {place: found for place, found in findings().items() if frozen.get(place) != found}
    assert new == {}, "fix these, or write down why they stay"
    assert set(frozen) - set(findings()) == set(), "these are gone: take them out of the list"


def test_what_is_checked_is_what_there_is():
    assert sum(1 for one in functions().values() if one.shard) > 100
    assert sum(len(one.statements) for one in functions().values()) > 2000
    assert sum(1 for path in STORE.rglob("*.py") for _ in texts_in(path)) > 40


def test_volatilities_are_those_of_the_server(connection):
    names = {name for one in functions().values() for name in called(list(one.statements))} - set(functions())
    names |= {name for statement in queries().values() for name in called(statement)} - set(functions())
    rows = connection.execute(
        "select proname, min(provolatile::text) from pg_proc"
        " where pronamespace = 'pg_catalog'::regnamespace and proname = any (%s) group by proname",
        (sorted(names),),
    )
    # of several with one name the mildest counts
    told = {name: {"s": "stable", "v": "volatile"}[kind] for name, kind in rows if kind != "i"}
    assert {name: BUILT_IN.get(name) for name in told} == told


def found_in(
    body, arguments="p_shard smallint, p_id uuid, p_tids tid[]", declared="v_n integer; v_row runs;"
):
    text = f"""create or replace function tributary.broken({arguments}) returns void language plpgsql volatile as $$
#variable_conflict use_column
declare
    {declared.replace("; ", ";" + chr(10) + "    ")}
begin
    {body}
end $$;
"""
    (function,) = functions_in(text)
    return sorted(of_function(function))


GOOD = [
    "perform from runs r where r.shard = p_shard and r.run_id = p_id;",
    "perform from runs r where p_shard = r.shard::smallint;",
    "perform from runs where shard = p_shard;",
    "perform from runs r join steps s on s.shard = p_shard and s.run_id = r.run_id where r.shard = p_shard;",
    "perform from registry r where r.name = 'a';",
    "update steps s set state = 'available' where s.ctid = any (p_tids) and s.shard = p_shard;",
    "delete from steps using registry g where steps.shard = p_shard and steps.name = g.name;",
    "insert into edges (run_id, parent, child, shard) values (p_id, 1, 2, p_shard);",
    "insert into edges (run_id, parent, child, shard) select p_id, u.a, 1, p_shard from unnest(array[1]) as u(a);",
    "with steps as (select 1 as a) select count(*) into v_n from steps;",
    "v_n := (select count(*) from steps s where s.shard = broken.p_shard);",
    "if exists (select from steps s where s.shard = p_shard and s.run_id = p_id) then return; end if;",
    "for v_row in select * from runs r where r.shard = p_shard loop return; end loop;",
    "update runs r set result = coalesce(r.result, '{}'), remaining = case when r.failed > 0 then 0 else 1 end where r.shard = p_shard;",
    "insert into steps (run_id, created_at, shard) values (p_id, clock(), p_shard);",
]  # fmt: skip
BROKEN = [
    ("perform from runs r where r.run_id = p_id;", "runs of any shard"),
    ("perform from runs r where r.shard = 0;", "runs of any shard"),
    ("perform from runs r where r.shard <> p_shard;", "runs of any shard"),
    ("perform from runs r where r.shard = p_shard or r.failed = 1;", "runs of any shard"),
    ("perform from runs r where r.failed = p_shard;", "runs of any shard"),
    ("perform from tributary.runs r left join steps s on s.shard = r.shard where r.shard = p_shard;", "steps of any shard"),
    ("perform from runs r left join steps s on r.shard = p_shard and s.shard = p_shard;", "runs of any shard"),
    ("perform from runs r where r.shard = p_shard and exists (select from steps s where s.run_id = r.run_id);", "steps of any shard"),
    ("perform from runs r, lateral (select from steps s where s.shard = r.shard offset 0) as x where r.shard = p_shard;", "steps of any shard"),
    ("with a as (select * from steps) select count(*) into v_n from a;", "steps of any shard"),
    ("perform 1 from runs r where r.shard = p_shard union all select 1 from steps;", "steps of any shard"),
    ("v_n := (select count(*) from steps s where s.run_id = p_id);", "steps of any shard"),
    ("if exists (select from steps s where s.run_id = p_id) then return; end if;", "steps of any shard"),
    ("for v_row in select * from runs loop return; end loop;", "runs of any shard"),
    ("while exists (select from keys) loop return; end loop;", "keys of any shard"),
    ("update steps s set state = 'available' where s.ctid = any (p_tids);", "steps of any shard"),
    ("update steps s set unmet = 0 from runs r where s.shard = p_shard and r.run_id = s.run_id;", "runs of any shard"),
    ("delete from steps s where s.ctid = any (array(select k.ctid from steps k where k.shard = p_shard));", "steps of any shard"),
    ("insert into edges (run_id, parent, child) values (p_id, 1, 2);", "stores edges of any shard"),
    ("insert into edges (run_id, parent, child, shard) values (p_id, 1, 2, p_shard), (p_id, 1, 3, 0);", "stores edges of any shard"),
    ("insert into edges select e.* from edges e where e.shard = p_shard;", "stores edges of any shard"),
    ("insert into edges (shard, run_id) select r.shard, r.run_id from runs r where r.shard = p_shard;", "stores edges of any shard"),
    ("perform from workflow_executions;", "reads the view workflow_executions"),
    ("update runs r set created_at = case when r.failed > 0 then now() else r.created_at end where r.shard = p_shard;",
     "stable now() in CASE or COALESCE"),
    ("update runs r set created_at = coalesce(r.created_at, current_timestamp) where r.shard = p_shard;",
     "stable current_timestamp() in CASE or COALESCE"),
    ("perform coalesce(r.failed, random()) from runs r where r.shard = p_shard;", "volatile random() in CASE or COALESCE"),
    ("insert into steps (seq, shard) values (coalesce(v_n, nextval('a')), p_shard);", "volatile nextval() in CASE or COALESCE"),
    ("update steps s set seq = greatest(s.seq, clock_us()) where s.shard = p_shard;", "volatile clock_us() where it writes"),
    ("delete from steps s where s.shard = p_shard and s.run_at < clock();", "volatile clock() where it writes"),
    ("update workers w set beat_at = clock() where w.worker_id = 1;", "volatile clock() where it writes"),
    ("update runs r set result = to_jsonb(r.failed) where r.shard = p_shard;", "stable to_jsonb() of columns where it writes"),
    ("update runs r set failed = 1 where r.shard = p_shard returning clock() into v_row;", "volatile clock() in RETURNING"),
    ("insert into keys (shard, key) values (p_shard, '') on conflict (shard, key) do update set name = now();", "stable now() in DO UPDATE"),
    ("perform s.ordinal, wake(array[s.queue]) from steps s where s.shard = p_shard;",
     "wake(), which touches tables, beside tables of shards"),
]  # fmt: skip


@pytest.mark.parametrize("body", GOOD)
def test_a_statement_that_keeps_the_rule_passes(body):
    assert found_in(body) == []


@pytest.mark.parametrize(("body", "finding"), BROKEN)
def test_a_statement_that_breaks_the_rule_is_found(body, finding):
    assert finding in found_in(body)


ELSEWHERE = [
    ("perform from runs r where r.shard = v_n;", []),
    ("perform from runs r where r.shard = shard_of(id);", []),
    ("perform from runs r join steps s on s.shard = r.shard where r.shard = v_n;", []),
    ("perform from runs r where r.shard = v_n and exists (select from steps s where s.shard = r.shard);", []),
    ("perform from runs r join steps s on s.shard = r.shard;", ["runs of any shard", "steps of any shard"]),
    ("perform from unnest(array[1]) as u(n) join runs r on r.shard = u.n;", ["runs of any shard"]),
    ("perform from runs r where r.shard = (select shard_of(id));", ["runs of any shard"]),
]


@pytest.mark.parametrize(("body", "found"), ELSEWHERE)
def test_who_finds_the_shard_itself_names_it_too(body, found):
    assert found_in(body, arguments="id uuid") == found


def test_the_first_parameter_counts_only_as_a_smallint_named_so():
    assert found_in("perform from runs r where r.shard = p_shard;", arguments="p_shard integer") == []
    assert found_in("perform from runs r where r.shard = p_other;", arguments="p_shard smallint, p_other smallint") == [
        "runs of any shard"
    ]  # fmt: skip
