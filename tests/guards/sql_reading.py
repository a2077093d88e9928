"""Statements of functions, queries and Python files, as PostgreSQL's own parser reads them."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pgparse

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
_ASSIGNMENT, _WHOLE = (
    (3, 4, 5),
    0,
)  # what the parser says of an expression: target := value, a statement, else a value
_CREATED = re.compile(r"^create (?:unlogged )?table (?:if not exists )?(?:tributary\.)?(\w+)", re.MULTILINE)
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?s")
_COMPOSED = re.compile(r"\{\w*\}")


@dataclass(frozen=True)
class Function:
    """A function of sql/functions."""

    name: str
    parameters: tuple[tuple[str, str], ...]
    volatility: str
    kind: str
    statements: tuple[Any, ...]

    @property
    def shard(self) -> str | None:
        """Name of its first parameter, where that is the shard."""
        first = self.parameters[:1]
        return first[0][0] if first and first[0][0] == "p_shard" and first[0][1] == "int2" else None


def walk(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield each node of a tree with its kind, parents first."""
    if isinstance(node, dict):
        for kind, below in node.items():
            yield kind, below
            yield from walk(below)
    elif isinstance(node, list):
        for below in node:
            yield from walk(below)


def statements_of(sql: str) -> list[Any]:
    """Return the statements of a text, each as {kind: fields}."""
    return [one["stmt"] for one in _parsed(sql)]


def _parsed(sql: str) -> list[Any]:
    read = pgparse.parse(sql)
    return read if isinstance(read, list) else json.loads(read)["stmts"]


def _typed(node: Any) -> str:
    name = node["names"][-1]["String"]["sval"]
    return name + ("[]" if "arrayBounds" in node else "")


def _option(create: Any, name: str) -> Any:
    for option in create.get("options", []):
        if option["DefElem"]["defname"] == name:
            return option["DefElem"].get("arg")
    return None


@cache
def tables() -> frozenset[str]:
    """Return the names of all tables that migrations create."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "sql" / "migrations").glob("*.up.sql")]
    return frozenset({"meta"}.union(*(_CREATED.findall(text) for text in texts)))


def _as_records(text: str) -> str:
    """Return a function whose variables that are rows of tables are records: the parser knows no tables."""
    rows = "|".join(sorted(tables()))
    return re.sub(rf"^( +v_\w+) (?:tributary\.)?(?:{rows})(?= :=|;)", r"\1 record", text, flags=re.MULTILINE)


def _of_plpgsql(text: str) -> Iterator[Any]:
    for kind, node in walk(pgparse.parse_pgsql(_as_records(text))):
        if kind != "PLpgSQL_expr":
            continue
        query, mode = node["query"], node.get("parseMode", _WHOLE)
        if mode in _ASSIGNMENT:
            query = "select " + re.split(r":?=", query, maxsplit=1)[1]
        elif mode != _WHOLE:
            query = f"select {query}"
        yield from statements_of(query)


def functions_in(text: str) -> list[Function]:
    """Return the functions and procedures that a text creates."""
    found = []
    for statement in statements_of(text):
        create = statement.get("CreateFunctionStmt")
        if create is None:
            continue
        parameters = [one["FunctionParameter"] for one in create.get("parameters", [])]
        given = tuple(
            (one.get("name", ""), _typed(one["argType"]))
            for one in parameters
            if one.get("mode") not in {"FUNC_PARAM_TABLE", "FUNC_PARAM_OUT"}
        )
        language = _option(create, "language")["String"]["sval"]
        volatility = _option(create, "volatility")
        body = _option(create, "as")["List"]["items"][0]["String"]["sval"]
        read = list(_of_plpgsql(text)) if language == "plpgsql" else statements_of(body)
        found.append(
            Function(
                name=create["funcname"][-1]["String"]["sval"],
                parameters=given,
                volatility=volatility["String"]["sval"] if volatility else "volatile",
                kind="procedure" if create.get("is_procedure") else "function",
                statements=tuple(read),
            )
        )
    return found


@cache
def functions() -> dict[str, Function]:
    """Return all functions of sql/functions by name."""
    return {
        function.name: function
        for path in sorted((ROOT / "sql" / "functions").glob("*.sql"))
        for function in functions_in(path.read_text(encoding="utf-8"))
    }


@cache
def views() -> dict[str, Any]:
    """Return the statements of all views by the views' names."""
    found = {}
    for path in sorted((ROOT / "sql" / "functions").glob("view_*.sql")):
        for statement in statements_of(path.read_text(encoding="utf-8")):
            if "ViewStmt" in statement:
                view = statement["ViewStmt"]
                found[view["view"]["relname"]] = view["query"]
    return found


def _plain(sql: str) -> str:
    """Return a statement whose placeholders are variables, without what is composed into it."""
    return _PLACEHOLDER.sub(lambda match: f"p_{match[1] or 'given'}", _COMPOSED.sub("", sql)).replace(
        "%%", "%"
    )


@cache
def queries() -> dict[str, Any]:
    """Return the statement of each file of sql/queries."""
    return {
        path.stem: statements_of(_plain(path.read_text(encoding="utf-8")))[0]
        for path in sorted((ROOT / "sql" / "queries").glob("*.sql"))
    }


def texts_in(path: Path) -> Iterator[Any]:
    """Yield the statements that stand in a Python file as they are: texts that the parser takes."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            continue
        if re.match(r"\s*(select|insert|update|delete|with)\b", node.value, re.IGNORECASE):
            try:
                yield from statements_of(_plain(node.value))
            except pgparse.PGQueryError:
                continue  # prose that begins like one
