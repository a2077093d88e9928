"""sql/citus.sql names each table once, and each function that takes the shard. None of it ran on Citus."""

from __future__ import annotations

import pytest

from tests.guards.citus_sql import CITUS, FUNCTIONS, TABLES, UNDO, classes, sharded
from tests.guards.sql_reading import ROOT, functions, statements_of, tables, walk
from tests.guards.test_shard_rule import findings


def named(kinds):
    return [name for kind in kinds for name in classes()[kind]]


@pytest.mark.parametrize("path", [CITUS, UNDO], ids=lambda path: path.name)
def test_the_file_is_sql(path):
    assert [next(iter(one)) for one in statements_of(path.read_text(encoding="utf-8"))] == [
        "VariableSetStmt",
        "DoStmt",
    ]


def test_every_table_is_in_one_class():
    assert sorted(named(TABLES)) == sorted(tables() | {"migrations"})


def test_every_function_that_takes_the_shard_is_in_one_class():
    assert sorted(named(FUNCTIONS)) == sorted(name for name, one in functions().items() if one.shard)


def test_who_is_given_a_row_of_a_table_is_not_delegated():
    assert set(classes()["inner"]) == {
        name
        for name, one in functions().items()
        if one.shard and any(kind.removesuffix("[]") in tables() for _, kind in one.parameters)
    }


def test_whoever_is_delegated_touches_one_shard():
    found = findings()
    assert {
        name: [one for one in found[name] if one.endswith("of any shard")]
        for name in classes()["delegated"]
        if any(one.endswith("of any shard") for one in found.get(name, ()))
    } == {}


def relations(statement):
    return {
        below["relname"] for _, below in walk(statement) if isinstance(below, dict) and "relname" in below
    }


def test_no_statement_of_one_shard_joins_what_stays_on_the_coordinator():
    """Such a function runs on other nodes, too, and there those tables are empty."""
    away = {*classes()["at_home"], *classes()["counters"]}
    read = {name: map(relations, functions()[name].statements) for name in classes()["delegated"]}
    assert [
        name for name, found in read.items() if any(one & away and one & sharded() for one in found)
    ] == []


def test_delegated_functions_read_nothing_that_is_only_on_the_coordinator():
    away = set(classes()["at_home"])
    delegated = classes()["delegated"]
    assert [name for name in delegated if relations(list(functions()[name].statements)) & away] == []


def test_nobody_says_that_it_works():
    """Until somebody has run it: then this test goes, with the word *prepared*."""
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    said = {path.name: path.read_text(encoding="utf-8").lower() for path in pages}
    assert [name for name, text in said.items() if "works on citus" in text or "runs on citus" in text] == []
    assert said["citus.md"].startswith("# citus: prepared, not run")
