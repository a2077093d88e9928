"""From the call of submit to the handler's first line: on an idle worker, and at half of the peak load."""

from __future__ import annotations

import random
import time
from statistics import quantiles
from typing import TYPE_CHECKING

import psycopg

from bench import product
from bench.charts import Lines
from bench.scenario import Outcome, row, scenario
from bench.server import finish_rate, recycle_wal
from bench.systems import PROCESSES
from tributary_daemon import Client

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OFFERED = 50.0  # intents per second on an idle worker
WAL_PER_INTENT = 1_500  # bytes, full-page images included
TICK = 0.01  # seconds between the batches of a load that single submits could not make
PATIENCE = 60.0  # seconds
# The argument is the time of the submit in microseconds: nothing has to be remembered meanwhile.
WAITS = """
    select ((s.result ->> 'at')::float8 - (coalesce(s.payload, p.payload) ->> 'i')::float8 / 1e6) * 1000
    from tributary.steps s left join tributary.payloads p using (shard, run_id, ordinal)
    where s.name = 'bench.stamp.v1' and s.state = 'completed'
"""


@scenario(
    "latency",
    short={"seconds": 15.0, "loaded": 8.0, "burst": 50_000},
    full={"seconds": 180.0, "loaded": 60.0, "burst": 200_000},
)
def latency(at: str, *, seconds: float, loaded: float, burst: int) -> Outcome:
    """Submit to handler's first line: at 50/s on an idle worker, and at half of the peak load."""
    idle = waits(at, singles(seconds))
    peak = peak_rate(at, burst)
    rate = peak / 2
    recycle_wal(at, int(loaded * rate * WAL_PER_INTENT / 1e6))
    busy = waits(at, batches(loaded, rate))
    return Outcome(
        rows=[
            row("50/s: p50", percentile(idle, 50), "ms", at_most=4),
            row("50/s: p99", percentile(idle, 99), "ms", at_most=15),
            row("peak: submitted and worked off at once", peak, "/s"),
            row("half of it: p50", percentile(busy, 50), "ms"),
            row("half of it: p99", percentile(busy, 99), "ms", at_most=50),
        ],
        raw={"idle_ms": curve(idle), "peak_per_second": peak, "busy_ms": curve(busy)},
        charts=[
            Lines(
                "From submit to the handler's first line",
                "percentile",
                "milliseconds",
                {f"{OFFERED:g}/s offered": curve(idle), f"{rate:,.0f}/s offered": curve(busy)},
                log_y=True,
            )
        ],
        notes=[
            (
                f"{len(idle):,} and {len(busy):,} samples. At half of the peak, batches are submitted every"
                f" {TICK * 1000:g} ms; the time of an intent counts from the call that stores its batch."
                " WAL goes into recycled files, as on any server that has been at work for a while."
            )
        ],
    )


def waits(at: str, arrivals: Iterable[int]) -> list[float]:
    """Submit batches as they arrive to a running worker; return milliseconds per intent.

    Raises:
        RuntimeError: the worker did not finish them within a minute after the last one.
    """
    url = product.database(at)
    with (
        product.worker(url, PROCESSES),
        Client(url) as client,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        client.submit("bench.noop.v1", {"i": 0}).wait(timeout=30)
        for count in arrivals:
            now = int(time.time() * 1e6)
            if count == 1:
                client.submit("bench.stamp.v1", {"i": now})
            else:
                client.submit_many("bench.stamp.v1", [{"i": now}] * count)
        finished(connection)
        return [milliseconds for (milliseconds,) in connection.execute(WAITS)]


def peak_rate(at: str, count: int) -> float:
    """Return how many intents a second a running worker finishes while all of them are being submitted."""
    url = product.database(at)
    with (
        product.worker(url, PROCESSES),
        Client(url) as client,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        client.submit_many("bench.noop.v1", ({"i": i} for i in range(count)))
        finished(connection)
        return finish_rate(url, product.FINISH_TIMES)


def finished(connection: psycopg.Connection) -> None:
    """Wait until no intent is left."""

    def ended() -> bool:
        return connection.execute(product.UNFINISHED_INTENTS).fetchone() == (False,)

    product.wait(ended, PATIENCE, "all intents to be finished")


def singles(seconds: float) -> Iterable[int]:
    """Yield 1 at random times, OFFERED of them a second."""
    chance = random.Random(1)
    began = time.monotonic()
    due = 0.0
    while (due := due + chance.expovariate(OFFERED)) < seconds:
        time.sleep(max(0.0, began + due - time.monotonic()))
        yield 1


def batches(seconds: float, rate: float) -> Iterable[int]:
    """Yield sizes of batches at regular times, ``rate`` intents a second in all."""
    began = time.monotonic()
    for tick in range(int(seconds / TICK)):
        time.sleep(max(0.0, began + tick * TICK - time.monotonic()))
        yield max(1, round(rate * TICK))


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of many values."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def curve(values: Sequence[float]) -> list[tuple[float, float]]:
    """Return the percentiles from 1 to 99, and the greatest value as the 100th."""
    cuts = quantiles(values, n=100, method="inclusive")
    return [*((float(k), cut) for k, cut in enumerate(cuts, 1)), (100.0, max(values))]
