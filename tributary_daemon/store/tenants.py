"""Tenants: what they have at work, their limits, and the logins that act for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Sequence


_ANY_DECLARED: Final = (
    "select exists (select from tributary.tenants) or exists (select from tributary.tenant_logins)"
)


class TenantRow(NamedTuple):
    """A tenant that something is known of; ``ready`` is a lower bound if ``more`` is set; ages in seconds."""

    name: str
    ready: int
    more: bool
    oldest: float | None
    running: int
    concurrency: int | None
    rate: str | None
    opens_in: float | None
    logins: list[str]


def tenants() -> Operation[list[TenantRow]]:
    """Read the tenants with work at hand, a limit or a login, by name."""
    rows = yield Query(query("tenants"), {})
    return [TenantRow(*row) for row in rows]


def declared() -> Operation[list[TenantRow]]:
    """Read the tenants if any has a limit or a login; else nothing is asked of the steps."""
    found = yield Query(_ANY_DECLARED, {})
    return (yield from tenants()) if found[0][0] else []


def limit(name: str, concurrency: int | None, rate: str | None) -> Operation[tuple[int | None, str | None]]:
    """Limit a tenant over all workers; return its concurrency and its rate as they are then.

    Args:
        name: of the tenant; empty for work without one.
        concurrency: attempts at once; 0 for no limit, None to leave it as it is.
        rate: attempts that start, like ``100/s``; ``none`` for no limit, None to leave it as it is.

    Raises:
        InvalidInput: there is no such limit.
    """
    rows = yield Query(query("set_tenant"), {"name": name, "concurrency": concurrency, "rate": rate})
    return rows[0][0], rows[0][1]


def bind(login: str, tenants: Sequence[str] | None) -> Operation[list[str] | None]:
    """Bind a login to tenants, or unbind it; return the tenants it acts for, None for all.

    Raises:
        InvalidInput: no tenant is named, or the login may write the tables.
        NotFound: there is no such login.
    """
    rows = yield Query(
        query("set_tenants"), {"login": login, "tenants": None if tenants is None else list(tenants)}
    )
    bound: list[str] | None = rows[0][0]
    return bound
