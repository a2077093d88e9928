"""No-op intents beside the queues of others, and beside the yardstick."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from bench import product, systems
from bench.charts import Bars
from bench.environments import UnavailableError
from bench.rounds import Measure, fastest, interleave
from bench.scenario import Outcome, row, scenario
from bench.systems import PROCESSES, QUEUES, Peer, amount
from bench.yardsticks import realistic_loop

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OURS, LOOP = "trib worker", "yardstick: bare Python loop"
BARS = {"PgQueuer": 1.5, "graphile-worker": 1.0, "awa": 3.0, "procrastinate": 75.0, LOOP: 0.6}


@scenario(
    "intents",
    short={"counts": [100_000], "rounds": 3, "seconds": 2.5, "tries": 0},
    full={"counts": [100_000, 400_000], "rounds": 5, "seconds": 6.0, "tries": 2},
)
def intents(at: str, *, counts: Sequence[int], rounds: int, seconds: float, tries: int) -> Outcome:
    """No-op jobs with one small argument, loaded, then drained by two processes."""
    outcome = Outcome(raw={})
    chosen = choose(at, min(counts), seconds, tries, outcome)
    for count in counts:
        measures: Measure = {
            OURS: partial(product.intents, at, count=count, processes=PROCESSES),
            LOOP: partial(realistic_loop.measure, at, count=count, processes=PROCESSES),
        }
        for peer, variant in chosen:
            work = {"jobs": amount(peer, count, seconds)}
            measures[peer.name] = partial(systems.drain, at, peer, variant, work)
        found = interleave(measures, rounds)
        outcome.raw[str(count)] = found.rates
        outcome.notes += found.notes()
        size = f"{count:,}"
        outcome.rows += [row(f"{name}, {size}", rates, "/s") for name, rates in found.rates.items()]
        outcome.rows += [
            row(f"trib / {name}, {size}", found.ratios(OURS, name), "x", at_least=bar)
            for name, bar in BARS.items()
            if name in found.rates
        ]
        title = f"Draining {size} no-op jobs with two processes"
        outcome.charts.append(Bars(title, "jobs finished per second, log scale", found.rates, log=True))
    return outcome


def choose(
    at: str, count: int, seconds: float, tries: int, outcome: Outcome
) -> list[tuple[Peer, Mapping[str, Any]]]:
    """Return every peer that can be installed with its fastest settings; note them, and who is missing."""
    chosen = []
    for peer in QUEUES:
        try:
            variant, note = fastest(at, peer, {"jobs": amount(peer, count, seconds)}, tries)
        except UnavailableError as error:
            outcome.notes.append(f"{peer.name} is missing: {error}")
            continue
        outcome.notes.append(note)
        chosen.append((peer, variant))
    return chosen
