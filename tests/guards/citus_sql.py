"""What sql/citus.sql says of each table and function."""

from __future__ import annotations

import re
from functools import cache

from tests.guards.sql_reading import ROOT

CITUS = ROOT / "sql" / "citus.sql"
UNDO = ROOT / "sql" / "citus_undo.sql"
TABLES = ("sharded", "everywhere", "counters", "at_home")
FUNCTIONS = ("delegated", "beyond", "inner")
_ARRAY = re.compile(r"^    v_(\w+) text\[\] := array\[(.*?)\]", re.MULTILINE | re.DOTALL)


@cache
def classes() -> dict[str, tuple[str, ...]]:
    """Return the names in each class, in their order."""
    found = _ARRAY.findall(CITUS.read_text(encoding="utf-8"))
    return {name: tuple(re.findall(r"'(\w+)'", names)) for name, names in found}


def sharded() -> frozenset[str]:
    """Return the tables that are distributed by their shard."""
    return frozenset(classes()["sharded"])


def shared() -> frozenset[str]:
    """Return the tables that all nodes know, and that have no shard."""
    return frozenset(classes()["everywhere"] + classes()["counters"])
