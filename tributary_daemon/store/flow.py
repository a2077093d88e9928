"""What hooks share over all processes: circuit breakers and buckets of tokens."""

from __future__ import annotations

from typing import NamedTuple

from tributary_daemon.store.db import Operation, Query, query


class Passage(NamedTuple):
    """What a breaker says: ``closed``, ``half_open`` with a probe's token, or ``open`` for some seconds."""

    state: str
    opens_in: float | None
    token: int | None


class BreakerTerms(NamedTuple):
    """When a breaker opens and closes.

    Attributes:
        failures: so many open it,
        window: within so many seconds;
        wait: seconds after which it is tried;
        probes: attempts that try it at once, and have to succeed.
    """

    failures: int
    window: float
    wait: float
    probes: int


def ask_breaker(tenant: str, name: str, terms: BreakerTerms) -> Operation[Passage]:
    """Return whether an attempt may pass."""
    values = {"tenant": tenant, "name": name, "wait": terms.wait, "probes": terms.probes}
    rows = yield Query(query("ask_breaker"), values)
    return Passage(*rows[0])


def tell_breaker(
    tenant: str, name: str, terms: BreakerTerms, *, good: bool | None, token: int | None
) -> Operation[str | None]:
    """Say how an attempt has ended; return ``opened`` or ``closed`` where that has changed something.

    Args:
        tenant: of the breaker.
        name: of the breaker.
        terms: of the breaker.
        good: None for neither well nor badly.
        token: of a probe.
    """
    values = {"tenant": tenant, "name": name, "good": good, "token": token, **terms._asdict()}
    rows = yield Query(query("tell_breaker"), values)
    changed: str | None = rows[0][0]
    return changed


def take_token(tenant: str, name: str, rate: tuple[int, int], burst: int) -> Operation[float]:
    """Return 0 when a token was taken, else the seconds after which to ask again.

    Args:
        tenant: of the bucket.
        name: of the bucket.
        rate: so many tokens in so many seconds.
        burst: most tokens that it holds.
    """
    values = {"tenant": tenant, "name": name, "rate": rate[0], "per": rate[1], "burst": burst}
    rows = yield Query(query("take_token"), values)
    return float(rows[0][0])
