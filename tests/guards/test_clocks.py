"""Time is the database's, waits are monotonic: a jump of a machine's clock changes nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "tributary_daemon"
WALL = {("time", "time"), ("time", "time_ns"), ("time", "localtime"), ("time", "gmtime"), ("datetime", "now"),
        ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}  # fmt: skip
FLOORS = ("daemon", "store", "engine", "model", "observers", "handlers")
ALLOWED = {
    "model/ids.py",  # an id only has to grow roughly with time
    "handlers/builtin/http.py",  # a Retry-After that is a date says so by the wall clock
    "handlers/builtin/webhook.py",  # a receiver compares the time of a webhook with its own clock
    "observers/otel_metrics.py",  # points are dated for the collector, as the SDK dates its own
    "observers/logs.py",  # lines are for people
    "handlers/registry.py",  # when code was loaded is compared with the time of its file
    "store/cache/memory.py",  # stores beside PostgreSQL have no clock but the worker's
    "store/cache/redis_store.py",  # as above
    "store/cache/tables.py",  # as above
    "store/migrations/files.py",  # names of new files
}


def wall_clock_calls(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in WALL
    ]


@pytest.mark.parametrize("floor", FLOORS)
def test_no_wall_clock_is_read(floor):
    found = [
        call
        for path in sorted((ROOT / floor).rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in ALLOWED
        for call in wall_clock_calls(path)
    ]
    assert not found
