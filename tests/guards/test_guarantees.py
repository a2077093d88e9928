"""docs/guarantees.md: the promises in their words, tests that exist, clauses that stand in the SQL."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
PROMISES = [
    "Recorded work is never lost",
    "An attempt is accepted at most once, from the newest lease only",
    "Execution is at-least-once (at most once where max_attempts is 1)",
    "Effects in step.connection() are exactly-once",
    "A finished state never changes but by an explicit retry",
    "Dependants never start early",
]
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PARTS = ("**For you.**", "**Not.**", "**How.**", "**Shown by.**")
TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")
CLAUSE = re.compile(r"\[`(\w+)`\]\(\.\./sql/functions/(\w+)\.sql\): `([^`]+)`")


def names_in(path):
    """Return the names of a file's tests, those of classes as CLASS::TEST."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


def words(text):
    return " ".join(text.split())


def test_the_promises_are_made_in_these_words():
    assert list(SECTIONS) == PROMISES


@pytest.mark.parametrize("promise", PROMISES)
def test_each_says_what_it_means_what_not_how_and_what_shows_it(promise):
    section = SECTIONS[promise]
    places = [section.find(part) for part in PARTS]
    assert -1 not in places
    assert places == sorted(places)
    *_, how, shown = re.split("|".join(map(re.escape, PARTS)), section)
    assert CLAUSE.search(how), "it names no clause"
    assert len(set(TEST.findall(shown))) >= 3


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST.findall(PAGE))))
def test_each_test_that_is_named_exists(file, name):
    assert (ROOT / file).exists()
    assert name in names_in(ROOT / file)


@pytest.mark.parametrize(("shown", "file", "clause"), sorted(set(CLAUSE.findall(PAGE))))
def test_each_clause_stands_where_it_is_said_to(shown, file, clause):
    assert shown == file
    assert words(clause) in words((ROOT / "sql" / "functions" / f"{file}.sql").read_text(encoding="utf-8"))


def test_nothing_that_looks_like_a_test_or_a_clause_escapes():
    assert PAGE.count("tests/") == len(TEST.findall(PAGE))
    assert PAGE.count("../sql/functions/") == len(CLAUSE.findall(PAGE))
