"""What an intent costs in write-ahead log, and what a database costs that was never analyzed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import load, product
from bench.scenario import Outcome, row, scenario
from bench.server import server, settle
from tributary_daemon import Client

if TYPE_CHECKING:
    import psycopg

# no full-page images, and nothing of autovacuum between two looks
_QUIET = {"full_page_writes": "off", "wal_compression": "off", "autovacuum": "off"}


class _Written:
    """Counts bytes of write-ahead log between two looks."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._at = self._now()

    def _now(self) -> float:
        return load.number(self._connection, "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn")

    def since(self) -> float:
        """Return the bytes since the last look."""
        before, self._at = self._at, self._now()
        return self._at - before


@scenario("wal", short={"count": 10_000, "single": 500}, full={"count": 200_000, "single": 5_000})
def wal(_at: str, *, count: int, single: int) -> Outcome:
    """Bytes of write-ahead log per no-op intent, full-page images left out."""
    with server(settings=_QUIET) as own:
        small, one_by_one, work = _bytes(own, count, single, {"i": 1}, "bench.noop.v1")
        kilobyte = {"text": "x" * 1_000}
        large, _, large_work = _bytes(own, count, 1, kilobyte, "bench.swallow.v1")
    return Outcome(
        rows=[
            row("submit, one by one", one_by_one, "B", at_most=450),
            row("submit_many", small, "B", at_most=450),
            row("claim and finish", work, "B", at_most=1024),
            row("with 1 KB of payload, submit_many, claim and finish", large + large_work, "B", at_most=2560),
        ],
        raw={"submit": one_by_one, "submit_many": small, "work": work, "large": [large, large_work]},
    )


def _bytes(at: str, count: int, single: int, payload: object, name: str) -> tuple[float, float, float]:
    """Return bytes per intent: submitted together, submitted one by one, claimed and finished."""
    url = product.database(at)
    with load.opened(url) as connection, Client(url) as client:
        # names that nobody has offered would have to be released first
        with product.worker(url, 1):
            pass
        written = _Written(connection)
        client.submit_many(name, (payload for _ in range(count)))
        together = written.since() / count
        for _ in range(single):
            client.submit(name, payload)
        alone = written.since() / single
        load.drain_rate(url, count + single)
        return together, alone, written.since() / (count + single)


@scenario("never-analyzed", short={"count": 40_000, "rounds": 1}, full={"count": 200_000, "rounds": 3})
def never_analyzed(at: str, *, count: int, rounds: int) -> Outcome:
    """The first intents right after `trib migrate up`, against an analyzed database."""
    fresh: list[float] = []
    analyzed: list[float] = []
    for _ in range(rounds):
        for rates, analyze in ((fresh, False), (analyzed, True)):
            url = product.database(at)
            load.ready(url, count)
            settle(url, analyze=analyze)
            rates.append(load.drain_rate(url, count))
    ratios = [here / there for here, there in zip(fresh, analyzed, strict=True)]
    return Outcome(
        rows=[
            row("drain rate, never analyzed", fresh, "/s"),
            row("drain rate, analyzed", analyzed, "/s"),
            row("never analyzed against analyzed", ratios, "x", at_least=0.8),
        ],
        raw={"fresh": fresh, "analyzed": analyzed},
    )
