# ruff: noqa: E501 - lists of words
"""The source runs nothing that came from outside: no eval, no pickle but one, no shell, no SQL made of text."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "tributary_daemon").rglob("*.py"))
FUNCTIONS = sorted((ROOT / "sql" / "functions").glob("*.sql"))
# modules that make objects, code or memory out of bytes; and who may use them
MODULES = {
    "pickle": {"daemon/wire.py"},  # between a process and its own child; answers by a closed list
    "marshal": set(), "shelve": set(), "dbm": set(), "dill": set(), "cloudpickle": set(), "jsonpickle": set(),
    "ctypes": {"daemon/threads.py"},  # PyThreadState_SetAsyncExc
    "code": set(), "codeop": set(), "pty": set(), "xmlrpc": set(), "telnetlib": set(),
}  # fmt: skip
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "subprocess.getoutput",
    "getoutput",
}
EXECUTES = {"execute", "executemany", "copy", "stream", "Query", "SQL", "prepare"}
# texts of SQL that are put together: constants of the module, an integer
COMPOSED = {
    "daemon/embedded.py": 1,  # CREATE DATABASE of a constant
    "store/membership.py": 1,  # one of two names of functions
    "store/migrations/functions.py": 1,  # off, on
    "store/migrations/lock.py": 1,  # a number
    "store/notify.py": 1,  # a constant channel
}


def name_of(path):
    return path.relative_to(ROOT / "tributary_daemon").as_posix()


@cache
def looked_at():
    """Return what these tests look at, per file: reading the whole source takes a second."""
    kinds = ast.Import | ast.ImportFrom | ast.Call | ast.Attribute
    return [
        (name_of(path), node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, kinds)
    ]


def nodes(kind):
    return ((path, node) for path, node in looked_at() if isinstance(node, kind))


def imported():
    for path, node in nodes(ast.Import | ast.ImportFrom):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        for name in names:
            yield path, name.partition(".")[0]


def test_modules_that_make_objects_of_bytes_stay_where_they_are():
    used = {module: {path for path, name in imported() if name == module} for module in MODULES}
    assert {
        module: found - MODULES[module] for module, found in used.items() if found - MODULES[module]
    } == {}
    assert used["pickle"], "the guard sees imports"


def test_nothing_is_evaluated_and_no_shell_is_spliced_into():
    found = [
        f"{path}:{node.lineno} {ast.unparse(node)[:60]}"
        for path, node in nodes(ast.Call)
        if ast.unparse(node.func) in CALLS
        or any(word.arg == "shell" and ast.unparse(word.value) == "True" for word in node.keywords)
    ]
    assert found == []


def test_yaml_is_read_without_constructors():
    """The loader composes nodes by itself: no tag makes an object, and nobody calls yaml.load."""
    found = [
        f"{path}:{node.lineno}"
        for path, node in nodes(ast.Attribute)
        if ast.unparse(node)
        in {
            "yaml.load",
            "yaml.load_all",
            "yaml.full_load",
            "yaml.unsafe_load",
            "yaml.UnsafeLoader",
            "yaml.Loader",
        }
    ]
    assert found == []


def is_composed(node):
    """Return whether a text is put together where it stands: an f-string, + or %, or format."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        inner = node.func.value
        if node.func.attr == "encode":
            return is_composed(inner)
        if node.func.attr == "format":
            # psycopg.sql quotes what it puts in
            return not (isinstance(inner, ast.Call) and ast.unparse(inner.func) in {"sql.SQL", "SQL"})
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod)


def test_values_reach_sql_as_parameters_only():
    found: dict[str, int] = {}
    for path, node in nodes(ast.Call):
        if ast.unparse(node.func).rpartition(".")[2] in EXECUTES and node.args and is_composed(node.args[0]):
            found[path] = found.get(path, 0) + 1
    assert found == COMPOSED


def test_the_guard_sees_what_it_guards_against():
    bad = ("f'select {x}'", "f'select {x}'.encode()", "'a' + x", "'a %s' % x", "'{}'.format(x)")
    good = ("'select %s'", "_TEXT", "query('x')", "sql.SQL('{}').format(x)", "f'a'")
    assert [text for text in bad if not is_composed(ast.parse(text, mode="eval").body)] == []
    assert [text for text in good if is_composed(ast.parse(text, mode="eval").body)] == []


def test_no_function_of_sql_executes_text():
    found = [
        path.name
        for path in FUNCTIONS
        if re.search(
            r"^\s*(return query )?execute\b(?! function)",
            path.read_text(encoding="utf-8"),
            re.MULTILINE | re.IGNORECASE,
        )
    ]
    assert found == []


def test_every_plpgsql_function_that_names_a_table_has_a_fixed_search_path():
    """Or names it with its schema: what a caller puts into his own search_path is never found."""
    loose = []
    for path in FUNCTIONS:
        text = path.read_text(encoding="utf-8")
        body = text.partition("$$")[2]
        if "set search_path to tributary, pg_temp" in text or not body:
            continue
        tables = re.findall(r"\b(?:from|join|into|update)\s+(?!tributary\.)([a-z_]+)\b(?!\s*\()", body)
        if set(tables) & {"runs", "steps", "payloads", "keys", "workers", "registry", "queues", "meta"}:
            loose.append(path.name)
    assert loose == []
