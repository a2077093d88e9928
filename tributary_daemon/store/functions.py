"""Workflow functions as workers offer them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tributary_daemon.store.db import Connection


def register(connection: Connection, functions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Register workflow functions; return the names that workflows of files have.

    Args:
        connection: of a supervisor.
        functions: ``{"name", "description", "function": plan}`` each.
    """
    if not functions:
        return []
    told = [
        {"name": given["name"], "description": given["description"], "plan": given["function"]}
        for given in functions
    ]
    row = connection.execute("select tributary.register_functions(%s::jsonb)", (json.dumps(told),)).fetchone()
    return list(row[0]) if row else []


def release_parked(connection: Connection, shards: int, names: Sequence[str]) -> None:
    """Try those anew whose code did not fit their history: there may be other code now."""
    if names:
        for shard in range(shards):
            connection.execute(
                "select tributary.release_parked(%s::smallint, %s::text[])", (shard, list(names))
            )
