"""`TenantFace`: tenants, their limits and the logins that act for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tributary_daemon.client import tenancy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.client.link import Link
    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.records import LimitsDocument
    from tributary_daemon.client.tenancy import TenantDocument


class TenantFace:
    """Part of a client: reads tenants, limits them, and binds logins to them."""

    _link: Link
    _settings: Settings

    def tenants(self) -> tuple[TenantDocument, ...]:
        """Read the tenants with work at hand, a limit or a login; of a client of one tenant, that one."""
        return self._link.run(lambda: tenancy.listed(self._settings.sees), again=True)

    def set_tenant(
        self, name: str, *, concurrency: int | Literal["none"] | None = None, rate: str | None = None
    ) -> LimitsDocument:
        """Limit a tenant over all workers and queues; return its limits as they are then.

        Args:
            name: of the tenant; empty for work without one.
            concurrency: how many of its attempts run at once; "none" for any number, None leaves it as it is.
            rate: how many of its attempts start, like "100/s" or "5000/h"; "none" and None likewise.

        Raises:
            InvalidInput: there is no such limit.
        """
        return self._link.run(lambda: tenancy.limit(name, concurrency, rate), again=True)

    def bind_login(self, login: str, tenants: Sequence[str] | None) -> tuple[str, ...] | None:
        """Bind a login of the database to tenants: it sees, reaches and submits for these alone.

        Args:
            login: its name.
            tenants: names, one at least; None unbinds it, so that it acts for all.

        Returns:
            those it acts for; None for all.

        Raises:
            InvalidInput: no tenant is named, or the login may write the tables, as workers and admins may.
            NotFound: there is no such login.
        """
        return self._link.run(lambda: tenancy.bind(login, tenants), again=True)
