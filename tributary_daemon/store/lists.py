"""Pages of runs and intents, and ids found by their head or tail.

The filters are parameters of one fixed statement: no SQL is put together here, so its plan is one plan.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.store import correlations
from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.sight import OfTenant

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from tributary_daemon.store.correlations import Sought

WINDOW: Final = 100_000
# rows of each kind that one page may look at: 10 to 20 ms
LOOKED_AT: Final = 50_000
_CARRIERS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a page is restricted to; None restricts nothing.

    Attributes:
        state: as shown (derived states included).
        kind: ``run`` or ``intent``.
        name: of the workflow or intent, exactly.
        labels: all of these; only runs have labels.
        since: only what was created at or after this time.
        age: the same as seconds before now, by the database's clock.
        tenant: None for every tenant.
        sought: ids that it carries; None for any.
        after: id of the last row of the page before.
        limit: rows.
    """

    state: str | None = None
    kind: str | None = None
    name: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    since: datetime | None = None
    age: float | None = None
    tenant: str | None = None
    sought: Sought | None = None
    after: str | None = None
    limit: int = 50


class ListRow(NamedTuple):
    """A run or an intent in a list; what the kind lacks is None."""

    work_id: UUID
    kind: str
    name: str
    state: str
    reason: str | None
    queue: str | None
    attempt: int | None
    max_attempts: int | None
    priority: int
    labels: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    steps_ended: int | None
    steps_total: int | None
    warnings: int
    tenant: str


class FoundRow(NamedTuple):
    """An id that a head or tail may mean."""

    work_id: UUID
    kind: str
    name: str
    state: str
    created_at: datetime


def page(wanted: Filter) -> Operation[tuple[list[ListRow], str | None]]:
    """Read one page, newest first, and the id before which to go on: None when nothing older fits.

    A page may be short and not the last: what hardly any row has is looked for in `LOOKED_AT` rows at a time.
    """
    if wanted.sought is not None:
        return (yield from _correlated(wanted, wanted.sought))
    rows = yield Query(
        query("list"),
        {**_filters(wanted), "after": wanted.after, "limit": wanted.limit, "window": LOOKED_AT},
    )
    found: list[ListRow] = []
    for work_id, fits, ended, *rest in rows:
        if fits:
            found.append(ListRow(work_id, *rest))
        if ended or len(found) == wanted.limit:
            return found, str(work_id)
    return found, None


def _filters(wanted: Filter) -> dict[str, Any]:
    return {
        "state": wanted.state,
        "kind": wanted.kind,
        "name": wanted.name,
        "labels": json.dumps(wanted.labels) if wanted.labels else None,
        "since": wanted.since,
        "age": wanted.age,
        "tenant": wanted.tenant,
    }


def _correlated(wanted: Filter, sought: Sought) -> Operation[tuple[list[ListRow], str | None]]:
    """Read one page of what carries some ids, looking at `_CARRIERS` of those at most."""
    found: list[ListRow] = []
    after, looked = wanted.after, 0
    while looked < _CARRIERS:
        ids = yield from correlations.ids(sought, wanted.tenant, after, wanted.limit)
        rows = yield Query(query("list_these"), {**_filters(wanted), "ids": ids})
        for row in rows:
            found.append(ListRow(*row))
            if len(found) == wanted.limit:
                return found, str(found[-1].work_id)
        if len(ids) < wanted.limit:
            return found, None
        after = ids[-1]
        looked += len(ids)
    return found, after


def matching(part: str, limit: int) -> Operation[list[FoundRow]]:
    """Find ids among the newest 100,000 of each kind that start or end with ``part``, lower-case digits."""
    return (yield from _newest(part, WINDOW, limit))


def latest() -> Operation[FoundRow | None]:
    """Find the newest run or intent."""
    found = yield from _newest(None, 1, 1)
    return found[0] if found else None


def _newest(part: str | None, window: int, limit: int) -> Operation[list[FoundRow]]:
    given = {"part": part, "window": window, "limit": limit, "tenant": None}
    rows = yield OfTenant(query("matching_ids"), given)
    return [FoundRow(*row) for row in rows]
