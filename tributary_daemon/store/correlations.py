"""Work found by the ids that it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


class Sought(NamedTuple):
    """The ids that work must carry, all of them; None restricts nothing."""

    correlation: str | None = None
    business: str | None = None
    trace: str | None = None


def ids(sought: Sought, tenant: str | None, after: str | None, limit: int) -> Operation[Sequence[str]]:
    """Find runs and intents, child runs included, newest first.

    Args:
        sought: at least one id.
        tenant: None for every tenant.
        after: only those before this id.
        limit: how many at most.
    """
    rows = yield Query(
        query("correlated_ids"),
        {**sought._asdict(), "tenant": tenant, "after": after or _LAST, "limit": limit},
    )
    return [row[0] for row in rows]
