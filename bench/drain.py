"""Throughput beside the yardsticks, interleaved in one sitting: `python -m bench.drain`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median

from bench import product
from bench.report import publish, table
from bench.server import server
from bench.yardsticks import ceiling_dag, realistic_loop

Measure = Callable[[str], float]


def main() -> None:
    """Measure, print a table, keep it in bench/results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intents", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=2_000)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each, interleaved (default 5)")
    options = parser.parse_args()
    many = {"count": options.intents, "processes": options.processes}
    dags = {"runs": options.runs, "steps": options.steps, "processes": options.processes}
    loads: dict[str, tuple[Measure, Measure]] = {
        f"{options.intents:,} intents": (
            lambda at: product.intents(at, **many),
            lambda at: realistic_loop.measure(at, **many),
        ),
        f"{options.runs:,} runs x {options.steps} steps": (
            lambda at: product.chains(at, **dags),
            lambda at: ceiling_dag.measure(at, **dags),
        ),
    }
    rows = []
    with server() as at:
        for load, (ours, yardstick) in loads.items():
            pairs = [(ours(at), yardstick(at)) for _ in range(options.rounds)]
            ratios = [own / limit for own, limit in pairs]
            rows.append(
                (
                    load,
                    f"{median(own for own, _ in pairs):,.0f}/s",
                    f"{median(limit for _, limit in pairs):,.0f}/s",
                    f"{min(ratios):.2f}",
                    f"{median(ratios):.2f}",
                    f"{max(ratios):.2f}",
                )
            )
    heads = ("load", "trib worker", "yardstick", "ratio min", "median", "max")
    note = (
        f"{options.processes} processes, {options.rounds} rounds, interleaved; rates between the first and"
        " last twentieth of all finishes. Every row was checked: completed, attempt 1, result equal to input."
    )
    publish("drain", f"{table(heads, rows)}\n\n{note}")


if __name__ == "__main__":
    main()
