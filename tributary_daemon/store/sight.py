"""For whom a client asks: what is another tenant's is not found, whatever the rights of its login."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.sealed import Keys, opened_rows

if TYPE_CHECKING:
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Row

T = TypeVar("T")


class OfTenant(Query):
    """A Query whose parameter ``tenant`` is that of the client that asks; null for all."""

    __slots__ = ()


class Whose(OfTenant):
    """A Query that only tells whether the client sees something: not sent for one that sees all."""

    __slots__ = ()


def sees(work_id: str) -> Operation[bool]:
    """Return whether the client that asks sees the work of this id; True as well where it sees all."""
    rows = yield Whose(query("whose"), {"id": work_id, "tenant": None})
    return bool(rows[0][0])


def within(tenant: str | None, operation: Operation[T], keys: Ring | None = None) -> Operation[T]:
    """Run an operation for a client that sees one tenant's work, or all.

    Args:
        tenant: whose; None for everybody's.
        operation: what is run; its Queries pass, those of a tenant with this one.
        keys: with which what it reads is opened, and what it writes is sealed; None for none.
    """
    rows: list[Row] | None = None
    while True:
        try:
            asked = next(operation) if rows is None else operation.send(rows)
        except StopIteration as end:
            result: T = end.value
            return result
        if isinstance(asked, Whose) and tenant is None:
            rows = [(True,)]
        elif isinstance(asked, Keys):
            rows = [(keys,)]
        else:
            if isinstance(asked, OfTenant):
                asked = asked._replace(params={**dict(asked.params), "tenant": tenant})
            rows = yield from opened_rows(asked, (yield asked), keys)
