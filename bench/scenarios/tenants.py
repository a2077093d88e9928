"""Tenants: how long one with much work delays another's single steps, and what fairness costs."""

from __future__ import annotations

import time

from bench import load, product
from bench.scenario import Outcome, row, scenario
from bench.server import settle
from tributary_daemon import Client

_EVERY = 0.1
_SMALL = """
    select (extract(epoch from started_at - created_at) * 1000)::float8
    from tributary.steps where tenant_id like 'small%' and state = 'completed' order by created_at
"""
WATCHED = (
    "Beside the drain a client submits one no-op intent every 100 ms for another tenant. Its delay is"
    " started_at less created_at, by the database's clock: how long it waited for a slot."
)


class Submitter(load.Beside):
    """Submits one intent every 100 ms, for one small tenant or for a new one each time."""

    def __init__(self, url: str, *, new: bool) -> None:
        super().__init__(url)
        self._new = new

    def _run(self) -> None:
        due = time.monotonic()
        number = 0
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += _EVERY
            number += 1
            with Client(self._url, tenant=f"small{number if self._new else ''}") as client:
                client.submit("bench.noop.v1", {"i": number})


@scenario(
    "tenants",
    short={"count": 200_000, "rounds": 2},
    full={"count": 400_000, "rounds": 5},
)
def tenants(at: str, *, count: int, rounds: int) -> Outcome:
    """Drain rate and another tenant's delay beside one tenant with much ready, and beside 60 of them."""
    rates: dict[str, list[float]] = {}
    delays: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, big, beside in (
            ("one large tenant alone", 1, None),
            ("beside it a small tenant", 1, False),
            ("beside it a new tenant every time", 1, True),
            ("60 large tenants alone", 60, None),
            ("beside 60 a small tenant", 60, False),
        ):
            url = product.database(at)
            load.ready(url, count, tenants=big)
            settle(url, analyze=True, checkpoint=False)
            submitter = None if beside is None else Submitter(url, new=beside)
            rate = load.drain_rate(url, count * 9 // 10, beside=submitter)
            rates.setdefault(name, []).append(rate)
            if submitter is not None:
                with load.opened(url) as connection:
                    found = [seen[0] for seen in connection.execute(_SMALL).fetchall()]
                delays.setdefault(name, []).extend(found)
    alone = {1: rates["one large tenant alone"], 60: rates["60 large tenants alone"]}
    rows = [row(f"drain rate, {name}", found, "/s") for name, found in rates.items()]
    for name, found in delays.items():
        base = alone[60 if "60" in name else 1]
        lost = [100 * (1 - with_ / without) for without, with_ in zip(base, rates[name], strict=True)]
        rows.append(row(f"rate lost, {name}", lost, "%", at_most=10))
        rows.append(row(f"delay p50, {name}", load.percentile(found, 50), "ms"))
        rows.append(row(f"delay p99, {name}", load.percentile(found, 99), "ms", at_most=100))
    return Outcome(rows, {"rates": rates, "delays": delays}, notes=[WATCHED])
