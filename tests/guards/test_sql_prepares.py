"""Every query file: a head, one statement that prepares against the migrated schema, one Python caller."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from psycopg.pq import ExecStatus

ROOT = Path(__file__).resolve().parents[2]
QUERIES = sorted((ROOT / "sql" / "queries").glob("*.sql"))
FUNCTIONS = sorted((ROOT / "sql" / "functions").glob("*.sql"))
COMPOSED = re.compile(r"\{\w+\}")  # filters put in by psycopg.sql; prepared without any
CREATED = re.compile(
    r"^create (?:or replace )?(function|procedure|view|trigger) (?:tributary\.)?(\w+)", re.MULTILINE
)
HEAD_LINES = 4


def names(paths):
    return [path.stem for path in paths]


def with_numbers(sql):
    """Turn psycopg's named placeholders into $1, $2 …"""
    order: list[str] = []

    def number(match):
        if match[1] not in order:
            order.append(match[1])
        return f"${order.index(match[1]) + 1}"

    return re.sub(r"%\((\w+)\)s", number, sql).replace("%%", "%")


@pytest.mark.parametrize("path", QUERIES, ids=names(QUERIES))
def test_the_query_prepares(path, unchanged):
    statement = with_numbers(COMPOSED.sub("", path.read_text(encoding="utf-8"))).strip().rstrip(";")
    answer = unchanged.pgconn.prepare(b"", statement.encode())
    assert answer.status == ExecStatus.COMMAND_OK, answer.error_message.decode()


@pytest.mark.parametrize("path", QUERIES, ids=names(QUERIES))
def test_the_query_says_what_it_does(path):
    head = path.read_text(encoding="utf-8").splitlines()[:HEAD_LINES]
    assert all(line.startswith("--") for line in head), "four lines: what, locks, index, caller"


def callers():
    """Return, per query, the places in the package that ask for it by name."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tributary_daemon").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in {"query", "db.query"}
                and isinstance(node.args[0], ast.Constant)
            ):
                place = f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"
                found.setdefault(node.args[0].value, []).append(place)
    return found


def test_every_query_has_exactly_one_caller():
    found = callers()
    assert set(found) == set(names(QUERIES))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


@pytest.mark.parametrize("path", FUNCTIONS, ids=names(FUNCTIONS))
def test_a_function_file_is_named_as_what_it_creates(path):
    created = CREATED.findall(path.read_text(encoding="utf-8"))
    assert created
    kind, name = created[0]
    if kind in {"function", "procedure"}:
        assert {name for _, name in created} == {path.stem}
    elif kind == "view":
        assert path.stem == f"view_{name}"
