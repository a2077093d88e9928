"""Migration files: names, directives, creation. No database."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.errors import InvalidInput, NotFound, SchemaError
from tributary_daemon.store.migrations import Migrator, files

ONE = "20260101000001_one"


def test_pairs_are_found_in_order_of_their_numbers(tmp_path):
    for name in ("20260102000000_b.up.sql", f"{ONE}.tx.up.sql", f"{ONE}.down.sql", "README.md", "_notes.sql"):
        (tmp_path / name).write_text("select 1")
    (tmp_path / "20260103000000_c.py").write_text("")
    found = files.find(tmp_path)
    assert [file.name for file in found] == [ONE, "20260102000000_b", "20260103000000_c"]
    assert found[0].down is not None
    assert found[1].down is None
    assert found[2].python is not None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["1_x.up.sql"], "not named as a migration"),
        (["20260101000001_Upper.up.sql"], "not named as a migration"),
        ([f"{ONE}.sql"], "not named as a migration"),
        ([f"{ONE}.down.sql"], "has a down file only"),
        ([f"{ONE}.up.sql", f"{ONE}.py"], "exists as SQL and as Python"),
        ([f"{ONE}.up.sql", f"{ONE}.tx.up.sql"], "are the same migration"),
        ([f"{ONE}.up.sql", "20260101000001_two.up.sql"], "share the version 20260101000001"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_text("")
    with pytest.raises(SchemaError, match=message) as caught:
        files.find(tmp_path)
    assert caught.value.hint


def test_a_missing_directory_and_a_foreign_encoding_are_said_plainly(tmp_path):
    with pytest.raises(SchemaError, match="no migration directory"):
        files.find(tmp_path / "nowhere")
    (tmp_path / f"{ONE}.up.sql").write_bytes(b"\xff\xfe")
    with pytest.raises(SchemaError, match="cannot read"):
        files.find(tmp_path)


@pytest.mark.parametrize(
    ("text", "batches", "transaction"),
    [
        ("select 1", ("select 1",), True),
        ("select 1;\n--bun:split\nselect 2", ("select 1;", "select 2"), True),
        ("select 1;\r\n  -- bun:split  \r\nselect 2\r\n", ("select 1;", "select 2"), True),
        ("-- trib:no-transaction\nvacuum", ("-- trib:no-transaction\nvacuum",), False),
        ("select 1\n-- trib:no-transaction", ("select 1\n-- trib:no-transaction",), True),
        ("-- a comment only\n--bun:split\n\n--bun:split\nselect 1", ("select 1",), True),
        ("select '--bun:split'", ("select '--bun:split'",), True),
        ("", (), True),
    ],
)
def test_directives(text, batches, transaction):
    script = files.parse(text)
    assert (script.batches, script.transaction) == (batches, transaction)


@given(st.lists(st.text(alphabet="select 1;'\n", min_size=1).filter(str.strip), min_size=1, max_size=5))
def test_splitting_loses_nothing(parts):
    script = files.parse("\n--bun:split\n".join(parts))
    assert script.batches == tuple(part.strip() for part in parts)


def test_names_resolve_by_name_number_words_and_file():
    names = [ONE, "20260101000002_two"]
    for text in (ONE, "20260101000001", "one", f"{ONE}.up.sql", f"{ONE}.tx.down.sql", f"{ONE}.py"):
        assert files.resolve(text, names) == ONE
    with pytest.raises(NotFound, match="fits several"):
        files.resolve("2026", names)
    with pytest.raises(NotFound) as caught:
        files.resolve("onee", names)
    assert "did you mean 'one'?" in caught.value.hint


def test_created_files_are_migrations_in_order(tmp_path):
    folder = tmp_path / "new" / "folder"
    up, down = Migrator.create("Add users-table", "sql", folder)
    assert re.fullmatch(r"\d{14}_add_users_table\.up\.sql", up.name)
    assert down.name == up.name.replace(".up.", ".down.")
    (python,) = Migrator.create("backfill", "python", folder)
    assert python.name > up.name
    assert [file.name[15:] for file in files.find(folder)] == ["add_users_table", "backfill"]
    assert files.find(folder)[0].script("up").batches == ()
    compile(python.read_text(), python.name, "exec")


@pytest.mark.parametrize("name", ["", "a/b", "ünicode", "x;y", "_x"])
def test_names_that_cannot_be_files_are_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="cannot name a migration"):
        files.create(name, "sql", tmp_path)
