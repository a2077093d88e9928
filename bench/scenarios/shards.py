"""What it costs to split a database into shards: the same drain with 1 shard and with 16, in turns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench import product
from bench.rounds import Measure, interleave
from bench.scenario import Outcome, row, scenario
from bench.systems import PROCESSES

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE = "1 shard"


@scenario(
    "shards",
    short={"count": 100_000, "runs": 0, "rounds": 3, "numbers": [16]},
    full={"count": 300_000, "runs": 10_000, "rounds": 5, "numbers": [4, 16, 64]},
)
def shards(at: str, *, count: int, runs: int, rounds: int, numbers: Sequence[int]) -> Outcome:
    """No-op intents, and chains of ten steps at full size, with 1 shard and with several."""
    outcome = Outcome(raw={})
    work = {"intents": partial(product.intents, at, count=count, processes=PROCESSES)}
    if runs:
        work["chains"] = partial(product.chains, at, runs=runs, steps=10, processes=PROCESSES)
    for kind, drain in work.items():
        measures: Measure = {ONE: partial(drain, shards=1)}
        measures |= {f"{number} shards": partial(drain, shards=number) for number in numbers}
        found = interleave(measures, rounds)
        outcome.raw[kind] = found.rates
        outcome.rows += [row(f"{kind}, {name}", rates, "/s") for name, rates in found.rates.items()]
        outcome.rows += [
            # what is promised is for 16
            row(
                f"{kind}, {name} / {ONE}",
                found.ratios(name, ONE),
                "x",
                at_least=0.85 if name == "16 shards" else None,
            )
            for name in found.rates
            if name != ONE
        ]
    return outcome
