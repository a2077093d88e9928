"""The shard rule: a statement of the protocol touches rows of one shard, and names that shard itself.

What Citus asks of a statement (docs/citus.md), checked on what PostgreSQL's parser makes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from tests.guards.sql_reading import KINDS, functions, tables, views, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WRITES = ("InsertStmt", "UpdateStmt", "DeleteStmt")
IMMUTABLE, STABLE, VOLATILE = "immutable", "stable", "volatile"
_STABLE = """
        array_to_string concat convert_to current_database current_setting current_user enum_range
        format has_database_privilege has_table_privilege jsonb_agg jsonb_build_array
        jsonb_build_object jsonb_object_agg jsonb_to_recordset pg_backend_pid pg_column_compression
        pg_column_size pg_has_role pg_stat_get_last_analyze_time pg_stat_get_last_autoanalyze_time
        row_security_active session_user to_char to_jsonb
        current_date current_timestamp localtimestamp now statement_timestamp transaction_timestamp
"""
_VOLATILE = """
        clock_timestamp gen_random_uuid pg_control_system pg_is_in_recovery pg_notify random set_config
        nextval timeofday
"""
BUILT_IN = {**dict.fromkeys(_STABLE.split(), STABLE), **dict.fromkeys(_VOLATILE.split(), VOLATILE)}
"""The server's own functions that are not immutable: those in use, and what somebody might begin to use."""
# of a value, computed before the statement goes to its shard
KNOWN_BEFORE = frozenset({"shard_of", "shard_count"})


@dataclass(frozen=True)
class Rule:
    """What is known of the schema, and who is asked.

    Attributes:
        sharded: tables that are distributed by their column shard.
        shared: tables that are the same on all nodes.
        volatility: of a function by its name.
        parameter: the name under which a function has its shard; None: it may have found it itself.
        variables: names that stand for values, beside those that begin with p_ or v_.
    """

    sharded: frozenset[str]
    shared: frozenset[str]
    volatility: Callable[[str], str]
    parameter: str | None
    variables: frozenset[str] = frozenset()


@dataclass
class Level:
    """One level of a statement: what stands in its FROM, and the conditions that hold for it."""

    relations: list[tuple[str, str]] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    equals: list[tuple[str | None, Any]] = field(default_factory=list)


def columns(node: Any) -> Iterator[list[str]]:
    """Yield the parts of each name in an expression."""
    for kind, below in walk(node):
        if kind == "ColumnRef":
            yield [part["String"]["sval"] if "String" in part else "*" for part in below["fields"]]


def called(node: Any) -> Iterator[str]:
    """Yield the name of each function that an expression calls."""
    for kind, below in walk(node):
        if kind == "FuncCall":
            yield below["funcname"][-1]["String"]["sval"]
        elif kind == "SQLValueFunction":
            yield below["op"].removeprefix("SVFOP_").lower()


def conjuncts(node: Any) -> Iterator[Any]:
    """Yield the conditions that all have to hold."""
    if node and "BoolExpr" in node and node["BoolExpr"]["boolop"] == "AND_EXPR":
        for one in node["BoolExpr"]["args"]:
            yield from conjuncts(one)
    elif node:
        yield node


def _name(node: Any) -> list[str]:
    while "TypeCast" in node:
        node = node["TypeCast"]["arg"]
    return next(columns(node), []) if "ColumnRef" in node else []


def _shard_of(condition: Any) -> Iterator[tuple[str | None, Any]]:
    """Yield (alias, value) where a condition says that the shard of a relation is a value."""
    equal = condition.get("A_Expr")
    if equal is None or equal["kind"] != "AEXPR_OP" or equal["name"][0]["String"]["sval"] != "=":
        return
    for here, there in ((equal["lexpr"], equal["rexpr"]), (equal["rexpr"], equal["lexpr"])):
        parts = _name(here)
        if parts[-1:] == ["shard"]:
            yield (parts[-2] if len(parts) > 1 else None), there


def _from(items: list[Any], level: Level, inner: list[Any]) -> set[str]:
    """Note what stands in FROM; subselects go to ``inner``. Return the aliases that were found."""
    found: set[str] = set()
    for item in items:
        ((kind, node),) = item.items()
        if kind == "RangeVar":
            alias = node.get("alias", {}).get("aliasname", node["relname"])
            level.relations.append((node["relname"], alias))
            found.add(alias)
        elif kind == "JoinExpr":
            left = _from([node["larg"]], level, inner)
            right = _from([node["rarg"]], level, inner)
            bound = {"JOIN_INNER": left | right, "JOIN_LEFT": right, "JOIN_RIGHT": left}.get(
                node["jointype"], set()
            )
            for condition in conjuncts(node.get("quals")):
                level.equals += [pair for pair in _shard_of(condition) if pair[0] in bound]
            inner.append(node.get("quals"))
            found |= left | right
        else:
            found.add(node.get("alias", {}).get("aliasname", ""))
            inner.append(node)
    level.sources |= found
    return found


@dataclass(frozen=True)
class Scope:
    """What the levels around bring: aliases, those of them whose shard is known, names of WITH."""

    aliases: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()


def _is_shard(value: Any, rule: Rule, scope: Scope) -> bool:
    """Return whether a value is the shard that the statement is for."""
    if rule.parameter is not None:
        parts = _name(value)
        return parts[-1:] == [rule.parameter] and not set(parts[:-1]) & scope.aliases
    if any(kind in KINDS for kind, _ in walk(value)):
        return False
    # a variable, a parameter, shard_of(…) of one; or the shard of a relation that has one
    return all(
        parts[0] in scope.pinned and parts[-1] == "shard"
        if parts[0] in scope.aliases
        else len(parts) > 1 or parts[0][:2] in {"p_", "v_"} or parts[0] in rule.variables
        for parts in columns(value)
    )


def _targets(select: Any) -> Iterator[list[Any]]:
    """Yield what each branch of the SELECT of an INSERT stores."""
    if "larg" in select:
        yield from _targets(select["larg"])
        yield from _targets(select["rarg"])
    elif "valuesLists" in select:
        for row in select["valuesLists"]:
            yield row["List"]["items"]
    else:
        yield [one["ResTarget"]["val"] for one in select.get("targetList", [])]


def _stores_shard(insert: Any, rule: Rule) -> bool:
    names = [one["ResTarget"]["name"] for one in insert.get("cols", [])]
    if "shard" not in names or "selectStmt" not in insert:
        return False
    select = insert["selectStmt"]["SelectStmt"]
    level = Level()
    _from(select.get("fromClause", []), level, [])
    scope = Scope(aliases=frozenset(level.sources))
    return all(
        len(row) == len(names) and _is_shard(row[names.index("shard")], rule, scope)
        for row in _targets(select)
    )


class Check:
    """Findings in one statement."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.findings: list[str] = []
        self.touched: set[str] = set()

    def statement(self, kind: str, node: Any, scope: Scope = Scope()) -> None:
        """Look at one level and all below it."""
        scope = self._with(node, scope)
        if "larg" in node:
            for side in ("larg", "rarg"):
                self.statement(kind, node[side], scope)
            return
        level, inner = Level(), []
        _from(node.get("fromClause", []) + node.get("usingClause", []), level, inner)
        written = node.get("relation") if kind in WRITES else None
        if written is not None:
            alias = written.get("alias", {}).get("aliasname", written["relname"])
            level.sources.add(alias)
            if kind != "InsertStmt":
                level.relations.append((written["relname"], alias))
            elif written["relname"] in self.rule.sharded:
                self.touched.add(written["relname"])
                if not _stores_shard(node, self.rule):
                    self.findings.append(f"stores {written['relname']} of any shard")
        for condition in conjuncts(node.get("whereClause")):
            level.equals += _shard_of(condition)
        below = self._filtered(level, scope)
        if written is not None and written["relname"] in self.rule.sharded | self.rule.shared:
            self._written(kind, node, level)
        done = {"fromClause", "usingClause", "withClause", "relation"}
        self._below([{name: part for name, part in node.items() if name not in done}, inner], below)

    def _with(self, node: Any, scope: Scope) -> Scope:
        clause = node.get("withClause", {})
        for one in clause.get("ctes", []):
            after = replace(scope, known=scope.known | {one["CommonTableExpr"]["ctename"]})
            self._below(one["CommonTableExpr"]["ctequery"], after if clause.get("recursive") else scope)
            scope = after
        return scope

    def _below(self, node: Any, scope: Scope) -> None:
        """Go to the next statements below, wherever they stand."""
        if isinstance(node, list):
            for one in node:
                self._below(one, scope)
        elif isinstance(node, dict):
            for kind, one in node.items():
                if kind in KINDS:
                    self.statement(kind, one, scope)
                else:
                    self._below(one, scope)

    def _filtered(self, level: Level, scope: Scope) -> Scope:
        """Find relations whose shard is not said; return what the levels below know."""
        over = [one for one in level.relations if one[0] in self.rule.sharded and one[0] not in scope.known]
        self.touched |= {name for name, _ in over}
        self.findings += [f"reads the view {name}" for name, _ in level.relations if name in views()]
        pinned = scope.pinned - level.sources
        while True:
            here = replace(scope, aliases=scope.aliases | level.sources, pinned=pinned)
            said = {of for of, value in level.equals if _is_shard(value, self.rule, here)}
            if None in said and len(level.sources) == 1:
                said |= level.sources
            more = pinned | ({alias for _, alias in level.relations} & said)
            if more == pinned:
                break
            pinned = more
        self.findings += [f"{name} of any shard" for name, alias in over if alias not in pinned]
        return here

    def _written(self, kind: str, node: Any, level: Level) -> None:
        """What Citus refuses in statements that write."""
        changed = [node.get("whereClause"), [] if kind == "InsertStmt" else node.get("targetList")]
        for name in sorted(set(called(changed))):
            if self.rule.volatility(name) == VOLATILE:
                self.findings.append(f"volatile {name}() where it writes")
        for word, part in (
            ("RETURNING", node.get("returningList")),
            ("DO UPDATE", node.get("onConflictClause")),
        ):
            for name in sorted(set(called(part))):
                if self.rule.volatility(name) != IMMUTABLE:
                    self.findings.append(f"{self.rule.volatility(name)} {name}() in {word}")
        for one, below in walk(changed):
            if one == "FuncCall":
                name = below["funcname"][-1]["String"]["sval"]
                if self.rule.volatility(name) == STABLE and any(
                    p[0] in level.sources for p in columns(below.get("args"))
                ):
                    self.findings.append(f"stable {name}() of columns where it writes")


@cache
def touching() -> frozenset[str]:
    """Return the functions that read or write a table, or call one that does."""
    statements = {name: list(function.statements) for name, function in functions().items()}
    calls = {name: set(called(of)) for name, of in statements.items()}
    found = {
        name
        for name, of in statements.items()
        if any(isinstance(below, dict) and below.get("relname") in tables() for _, below in walk(of))
    }
    while more := {name for name, others in calls.items() if others & found} - found:
        found |= more
    return frozenset(found)


def check(statement: Any, rule: Rule) -> list[str]:
    """Return what is wrong with a statement."""
    ((kind, node),) = statement.items()
    if kind not in KINDS:
        return []
    found = Check(rule)
    found.statement(kind, node)
    if not found.touched:
        return found.findings
    choices = [below for one, below in walk(statement) if one in {"CaseExpr", "CoalesceExpr"}]
    found.findings += [
        f"{rule.volatility(name)} {name}() in CASE or COALESCE"
        for name in sorted(set(called(choices)))
        if rule.volatility(name) != IMMUTABLE
    ]
    found.findings += [
        f"{name}(), which touches tables, beside tables of shards"
        for name in sorted(set(called(statement)) & touching() - KNOWN_BEFORE)
    ]
    return found.findings
