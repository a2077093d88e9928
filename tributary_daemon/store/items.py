"""Single items of fan-outs: one as what undoes it sees it, and the first that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.model.control import undone
from tributary_daemon.store import places
from tributary_daemon.store.opener import Unreadable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.store.db import Connection
    from tributary_daemon.store.opener import Opener

_UNDONE_ITEM: Final = """
    select s.state::text, s.attempt, s.result
    from tributary.steps s
    where s.shard = %s::smallint and s.run_id = %s::uuid and s.step_id = %s and s.item_key = %s
      and s.flags & 256 = 256
    order by s.ordinal limit 1
"""
_CAUSE: Final = """
    select t.error
    from tributary.progress f
    cross join lateral (
        select k.ordinal, k.seq, k.finished_at from tributary.steps k
        where k.shard = f.shard and k.run_id = f.run_id and k.ordinal >= (f.details -> 'first')::integer
          and k.ordinal < (f.details -> 'first')::integer + (f.details -> 'items')::integer
          and k.state = 'discarded'
        order by k.finished_at, k.ordinal limit 1
    ) as s
    join tributary.attempts t on t.shard = f.shard and t.run_id = f.run_id and t.ordinal = s.ordinal
    where f.shard = %s::smallint and f.run_id = %s::uuid and f.ordinal = %s and t.error is not null
    order by t.seq desc limit 1
"""


def undone_item(  # noqa: PLR0917 - what the context has at hand
    connection: Connection, shard: int, run_id: str, step_id: str, key: str, opener: Opener
) -> dict[str, Mapping[str, Any]]:
    """Return an item as what undoes it sees it: under the id of its step."""
    name = undone(step_id)[0]
    row = connection.execute(_UNDONE_ITEM, (shard, run_id, name, key)).fetchone()
    if row is None:
        return {}
    result = opener.open(connection, shard, run_id, row[2], places.result(run_id, places.label(name, key)))
    return {name: {"state": row[0], "attempt": row[1], "result": result}}


def first_cause(
    connection: Connection, shard: int, run_id: str, ordinal: int, opener: Opener
) -> Mapping[str, Any] | None:
    """Return the last error of the item of a fan-out that failed first; None if none has left one."""
    row = connection.execute(_CAUSE, (shard, run_id, ordinal)).fetchone()
    found: Any = None if row is None else opener.open(connection, shard, run_id, row[0], places.error(run_id))
    # what cannot be read does not keep the fan-out from ending
    return None if type(found) is Unreadable else found
