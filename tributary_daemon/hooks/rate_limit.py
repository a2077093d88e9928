"""The hook ``rate_limit``: no more attempts in a span of time than may be, over all processes."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.config import values
from tributary_daemon.config.values import Refused
from tributary_daemon.engine.hooking import tell
from tributary_daemon.errors import DatabaseError, Snooze
from tributary_daemon.handlers.hooks import Hook
from tributary_daemon.hooks.keys import Shared
from tributary_daemon.hooks.options import option, seconds
from tributary_daemon.store import flow
from tributary_daemon.store.side import Side

if TYPE_CHECKING:
    from datetime import timedelta

    from tributary_daemon.handlers.hooks import Host
    from tributary_daemon.handlers.step import Step

_RATE: Final = re.compile(r"([1-9][0-9]{0,8})/(?:([1-9][0-9]{0,5})?(s)|([mhd]))", re.ASCII)
_SPAN: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_JITTER: Final = 0.1
_RANDOM: Final = Random()  # noqa: S311 - jitter, not secrets


class RateLimit(Hook):
    """Lets so many attempts start in a span of time; the others are snoozed, which uses none up.

    A bucket of tokens in the database, shared by all processes of all workers: it fills by the rate up to
    ``burst``, and each attempt takes one. While the database cannot be reached all pass.

    Args:
        rate: ``100/s``, ``600/m``, ``5000/h``, ``20/d`` or ``1/90s``.
        burst: tokens that it holds at most: so many may start at once; by default what a second brings.
        group: one bucket under this name for all handlers of the hook, instead of one for each.
        key: path into the payload (``customer``): a bucket for each value.
        per_tenant: a bucket for each tenant.
        longest: how long an attempt is put off at most before it asks again.

    Raises:
        ConfigError: an option does not fit.
    """

    blocking = True

    def __init__(
        self,
        *,
        rate: str,
        burst: int | None = None,
        group: str | None = None,
        key: str | None = None,
        per_tenant: bool = False,
        longest: float | str | timedelta = "5m",
    ) -> None:
        self._rate = option("rate", rate, _rate)
        count, span = self._rate
        self._burst = (
            max(1, count // span) if burst is None else option("burst", burst, values.whole(1, 10**9))
        )
        self._shared = Shared(group, key, per_tenant=option("per_tenant", per_tenant, values.flag))
        self._longest = seconds("longest", longest, 0.001)
        self._side: Side | None = None

    def open(self, host: Host) -> None:
        """Find the database."""
        self._side = Side(host.url)

    def close(self) -> None:
        """Close the connections."""
        if self._side is not None:
            self._side.close()

    def before_work(self, step: Step, payload: Any) -> None:
        """Take a token, or put the attempt off until there may be one."""
        if self._side is None:
            return
        shared = self._shared.of(step, payload)
        try:
            wait = self._side.run(lambda: flow.take_token(*shared, self._rate, self._burst))
        except DatabaseError as error:
            # a limit that cannot be asked for stops no work
            tell(self, "rate_limit", step.name, error)
            return
        if wait > 0:
            raise Snooze(min(wait * _RANDOM.uniform(1, 1 + _JITTER), self._longest))


def _rate(value: Any) -> tuple[int, int]:
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise Refused("a rate such as 100/s, 600/m, 5000/h, 20/d or 1/90s is expected")
    count, several, _, unit = found.groups()
    return int(count), _SPAN[unit] if unit else int(several or 1)
