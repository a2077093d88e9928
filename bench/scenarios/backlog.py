"""What piles up: work that is ready, work that is done."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from bench import load, product
from bench.charts import Lines
from bench.scenario import Outcome, row, scenario
from bench.server import settle
from tributary_daemon import Client

if TYPE_CHECKING:
    from collections.abc import Callable

PROBED = "A connection of its own times claims beside the worker: 100 rows, up to 25 times a second."
IMAGES = (
    "There is no checkpoint between loading and draining. After one, the first change of a page logs the page"
    " whole. Rows that are picked out of a large backlog lie on a page each and pay for it, over 10 µs each;"
    " a backlog that is drained in its order pays once for 50 rows. Over the whole backlog it is the same."
)


@scenario(
    "backlog",
    short={"few": 60_000, "many": 600_000, "rounds": 1},
    full={"few": 100_000, "many": 1_000_000, "rounds": 3},
)
def backlog(at: str, *, few: int, many: int, rounds: int) -> Outcome:
    """Drain rate and claims with few rows ready, with many, with 90% of them blocked, with 50 priorities."""
    variants = {
        f"{few:,} ready": {"count": few},
        f"{many:,} ready": {"count": many},
        f"{many:,} of which 90% are blocked": {"count": many, "blocked": 90},
        f"{many:,} in 50 priorities": {"count": many, "priorities": 50},
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    claims: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, wanted in variants.items():
            url = product.database(at)
            load.ready(url, **wanted)
            # a tenth of a backlog would pay for the images of nearly all its pages (IMAGES)
            settle(url, analyze=True, checkpoint=False)
            most = min(few, wanted["count"] * (100 - wanted.get("blocked", 0)) // 100) * 9 // 10
            prober = load.Prober(url)
            rates[name].append(load.drain_rate(url, most, beside=prober))
            claims[name] += prober.seconds
    first, *others = variants
    rows = [row(f"drain rate, {name}", rates[name], "/s") for name in variants]
    rows += [
        row(
            f"rate lost, {name}",
            [100 * (1 - there / here) for here, there in zip(rates[first], rates[name], strict=True)],
            "%",
            at_most=15,
        )
        for name in others
    ]
    rows += [
        row(f"claim p99, {name}", load.percentile(claims[name], 99) * 1000, "ms", at_most=20)
        for name in variants
    ]
    notes = [PROBED, IMAGES]
    return Outcome(rows, {"rates": rates, "claims": claims}, notes=notes)


@scenario(
    "history",
    short={"steps": [0, 300_000], "drained": 80_000, "rounds": 1},
    full={"steps": [0, 1_000_000, 5_000_000], "drained": 150_000, "rounds": 3},
)
def history(at: str, *, steps: list[int], drained: int, rounds: int) -> Outcome:
    """Drain rate and look-ups, with ever more finished work kept."""
    url = product.database(at)
    rates: dict[int, list[float]] = {}
    looks: dict[str, list[tuple[float, float]]] = {}
    kept = 0
    for count in steps:
        load.finished(url, count - kept)
        kept = count
        for _ in range(rounds):
            load.ready(url, drained * 11 // 10)
            settle(url, analyze=True)
            rates.setdefault(count, []).append(load.drain_rate(url, drained))
        for name, seconds in _looks(url).items():
            looks.setdefault(name, []).append((count, seconds * 1000))
    middles = [(float(count), median(found)) for count, found in rates.items()]
    lost = 100 * (1 - middles[-1][1] / middles[0][1])
    return Outcome(
        rows=[
            *(row(f"drain rate over {count:,} finished rows", found, "/s") for count, found in rates.items()),
            row(f"rate lost from {steps[0]:,} to {steps[-1]:,}", lost, "%", at_most=15),
            *(
                row(f"{name}, over {steps[-1]:,}", found[-1][1], "ms", at_most=50)
                for name, found in looks.items()
            ),
        ],
        raw={"rates": rates, "looks": looks},
        charts=[
            Lines("Drain rate by history kept", "finished rows", "intents/s", {"trib": middles}),
            Lines("Look-ups by history kept", "finished rows", "ms", looks),
        ],
    )


def _looks(url: str) -> dict[str, float]:
    """Return the median seconds of what `trib status` and `trib list` ask."""
    with Client(url) as client:
        newest = client.list(limit=1).items[0].id
        wanted: dict[str, Callable[[], object]] = {
            "status": lambda: client.get(newest),
            "list": client.list,
            "list --state failed": lambda: client.list(state="failed"),
            "list --state running": lambda: client.list(state="running"),
            "list --name": lambda: client.list(name="bench.noop.v1"),
            "list --since 24h": lambda: client.list(since="24h"),
            "list --kind run": lambda: client.list(kind="run"),
        }
        return {name: _median(look) for name, look in wanted.items()}


def _median(look: Callable[[], object]) -> float:
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        look()
        taken.append(time.perf_counter() - began)
        if sum(taken) > 5:
            break
    return sorted(taken)[len(taken) // 2]
