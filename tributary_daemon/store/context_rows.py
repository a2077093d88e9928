"""Rows of steps as expressions see them, opened where they are sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tributary_daemon.model.caching import CacheKey, Claim, Holder
from tributary_daemon.sealing.envelope import Field
from tributary_daemon.store import context_queries as sql
from tributary_daemon.store import places
from tributary_daemon.store.opener import Opener, Unreadable
from tributary_daemon.store.places import label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tributary_daemon.store.db import Connection

    Pairs = Iterable[tuple[str, int]]
    """(run_id, ordinal) of steps."""


class Rows(Opener):
    """Reads results, items and progress of many steps at once."""

    def results(
        self, connection: Connection, shard: int, pairs: Sequence[tuple[str, int]]
    ) -> dict[tuple[str, int], tuple[str, Mapping[str, Any], bool]]:
        """Return for each step its id, what is seen of it, and whether it ended well."""
        if not pairs:
            return {}
        rows = connection.execute(sql.RESULTS, (*_columns(pairs), shard)).fetchall()
        return {
            (run_id, ordinal): (
                step_id,
                {
                    "state": state,
                    "attempt": attempt,
                    "result": self.open(connection, shard, run_id, result, places.result(run_id, step_id)),
                },
                good,
            )
            for run_id, ordinal, step_id, state, attempt, result, good in rows
        }

    def items(
        self, connection: Connection, shard: int, pairs: Pairs
    ) -> dict[tuple[str, int], list[Mapping[str, Any]]]:
        """Return the items of fan-outs in their order; one whose items do not exist is left out."""
        rows = connection.execute(sql.ITEMS, (*_columns(pairs), shard)).fetchall()
        found: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
        for run_id, fan, _, key, state, result, payload, step_id in rows:
            name = label(step_id, key)
            given = self.open(connection, shard, run_id, payload, places.exact(run_id, name, Field.ITEM))
            # an item is addressed by what it was made of
            parts = {"item": given} if type(given) is Unreadable else given or {}
            shown = self.open(connection, shard, run_id, result, places.result(run_id, name))
            found.setdefault((run_id, fan), []).append({"key": key, "state": state, "result": shown, **parts})
        return found

    def progress(self, connection: Connection, shard: int, pairs: Pairs) -> dict[tuple[str, int], Any]:
        """Return what earlier attempts have reported."""
        rows = connection.execute(sql.PROGRESS, (*_columns(pairs), shard)).fetchall()
        return {
            (run_id, ordinal): self.open(
                connection, shard, run_id, details, places.exact(run_id, str(ordinal), Field.PROGRESS)
            )
            for run_id, ordinal, details in rows
        }

    def aggregate(
        self, connection: Connection, shard: int, run_id: str, number: int
    ) -> tuple[str, Any] | None:
        """Return state and result of the step that has aggregated the items of a fan-out."""
        row = connection.execute(sql.AGGREGATE, (shard, run_id, number)).fetchone()
        if row is None:
            return None
        rule = places.result(run_id, label(row[2], row[3]))
        return row[0], self.open(connection, shard, run_id, row[1], rule)

    def ended_child(
        self, connection: Connection, shard: int, run_id: str, ordinal: int
    ) -> tuple[Any, Claim] | None:
        """Return the result of the child run that a step has started and keeps, and as what it keeps it."""
        row = connection.execute(sql.ENDED_CHILD, (shard, run_id, ordinal)).fetchone()
        if row is None:
            return None
        child, result, noted = row
        holder = Holder(run_id, ordinal, noted["seq"])
        key = CacheKey(**{name: noted[name] for name in CacheKey._fields})
        return self.open(connection, shard, child, result, places.run_result(child)), Claim(key, holder)


def _columns(pairs: Pairs) -> tuple[list[str], list[int]]:
    wanted = list(dict.fromkeys(pairs))
    return [run_id for run_id, _ in wanted], [ordinal for _, ordinal in wanted]
