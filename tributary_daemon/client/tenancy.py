"""Tenants as a client shows and steers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tributary_daemon.client.operations import at_once
from tributary_daemon.client.records import LimitsDocument
from tributary_daemon.errors import InvalidInput
from tributary_daemon.store import tenants

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.store.db import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantDocument:
    """A tenant that has work at hand, a limit or a login.

    Attributes:
        name: empty for work without a tenant.
        available: steps and intents that are ready, over all queues.
        more: whether ``available`` is a lower bound.
        oldest_age: seconds since the oldest of them became ready; None when none is.
        running: attempts.
        concurrency: how many run at once over all workers; None for any number.
        rate: how many start, like ``100/s``; None for any number.
        opens_in: 0 if its limits let an attempt start now, else seconds until its rate does; None while as
            many run as may.
        logins: that act for it, and for nobody else who is not named with it.
    """

    name: str
    available: int
    more: bool
    oldest_age: float | None
    running: int
    concurrency: int | None
    rate: str | None
    opens_in: float | None
    logins: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the tenant as ``tenant list`` prints it."""
        return {
            "name": self.name,
            "available": self.available,
            "more": self.more,
            "oldest_age": self.oldest_age,
            "running": self.running,
            "concurrency": self.concurrency,
            "rate": self.rate,
            "opens_in": self.opens_in,
            "logins": list(self.logins),
        }


def listed(sees: str | None) -> Operation[tuple[TenantDocument, ...]]:
    """Read all tenants, or the one whose work the client sees."""
    rows = yield from tenants.tenants()
    return tuple(
        TenantDocument(
            name=row.name,
            available=row.ready,
            more=row.more,
            oldest_age=row.oldest,
            running=row.running,
            concurrency=row.concurrency,
            rate=row.rate,
            opens_in=row.opens_in,
            logins=tuple(row.logins),
        )
        for row in rows
        if sees is None or row.name == sees
    )


def limit(
    name: str, concurrency: int | Literal["none"] | None, rate: str | None
) -> Operation[LimitsDocument]:
    """Limit a tenant over all workers; return its limits as they are then.

    Raises:
        InvalidInput: there is no such limit.
    """
    held, started = yield from tenants.limit(name, at_once(concurrency), rate)
    return LimitsDocument(name=name, concurrency=held, rate=started)


def bind(login: str, names: Sequence[str] | None) -> Operation[tuple[str, ...] | None]:
    """Bind a login to tenants, or unbind it; return those it acts for, None for all.

    Raises:
        InvalidInput: a text stands where several names are wanted, or the database refuses.
        NotFound: there is no such login.
    """
    if isinstance(names, str):
        raise InvalidInput("tenants is a list of names", hint=f"give [{names!r}]")
    bound = yield from tenants.bind(login, names)
    return None if bound is None else tuple(bound)
