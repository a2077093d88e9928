"""Runs of several shapes beside durable workflow engines, and beside the yardstick."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import psycopg

from bench import product, shapes, systems
from bench.charts import Bars
from bench.environments import UnavailableError
from bench.rounds import Measure, Rounds, fastest, interleave
from bench.scenario import Outcome, Row, row, scenario
from bench.systems import PROCESSES, WORKFLOWS, amount
from bench.yardsticks import ceiling_dag

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 10  # of a run of the peers, and of a narrow one of ours
CHAIN, FAN, WIDE, LONG = "chains of 10", "fans of 10", "one wide fan", "one long chain"
PEER_BAR, CEILING_BAR, HOP_BAR = 50.0, 0.6, 2.0
HOPS = """
    select extract(epoch from child.started_at - parent.finished_at)::float8 * 1000
    from tributary.edges e
    join tributary.steps parent on parent.run_id = e.run_id and parent.ordinal = e.parent
    join tributary.steps child on child.run_id = e.run_id and child.ordinal = e.child
"""


@scenario(
    "dags",
    short={"runs": 2_000, "wide": 20_000, "long": 500, "rounds": 2, "seconds": 2.5, "tries": 0},
    full={"runs": 5_000, "wide": 20_000, "long": 500, "rounds": 5, "seconds": 6.0, "tries": 2},
)
def dags(at: str, *, runs: int, wide: int, long: int, rounds: int, seconds: float, tries: int) -> Outcome:
    """Steps of runs with needs: many chains, many fans out and in, one wide fan, one long chain."""
    outcome = Outcome()
    hops: list[float] = []
    measures: Measure = {}
    # a long chain has one step ready at a time: the yardstick asks for few
    for name, shape, count, batch in (
        (CHAIN, shapes.chain(STEPS), runs, 500),
        (FAN, shapes.fan(STEPS), runs, 500),
        (WIDE, shapes.fan(wide), 1, 500),
        (LONG, shapes.chain(long), 1, 10),
    ):
        measures[f"trib, {name}"] = _ours(at, shape, count, hops if name == LONG else None)
        measures[f"yardstick, {name}"] = _ceiling(at, shape, count, batch)
    for peer in WORKFLOWS:
        work = {"runs": amount(peer, runs * STEPS, seconds) // STEPS, "steps": STEPS}
        try:
            variant, note = fastest(at, peer, work, tries)
        except UnavailableError as error:
            outcome.notes.append(f"{peer.name} is missing: {error}")
            continue
        outcome.notes.append(note)
        measures[peer.name] = lambda peer=peer, variant=variant, work=work: systems.drain(
            at, peer, variant, work
        )
    found = interleave(measures, rounds)
    outcome.notes += found.notes()
    outcome.raw = {"rates": found.rates, "hops_ms": hops}
    outcome.rows = [
        *rows(found),
        row("parent's end -> child's start, p50", median(hops), "ms", at_most=HOP_BAR),
    ]
    outcome.charts.append(
        Bars("Steps of runs, two processes", "steps finished per second, log scale", found.rates, log=True)
    )
    return outcome


def _ours(at: str, shape: shapes.Shape, runs: int, hops: list[float] | None) -> Callable[[], float]:
    def measure() -> float:
        url = product.shaped(at, shape, runs)
        rate = product.drain_runs(url, runs * len(shape), PROCESSES)
        if hops is not None:
            with psycopg.connect(url) as connection:
                hops.extend(milliseconds for (milliseconds,) in connection.execute(HOPS))
        return rate

    return measure


def _ceiling(at: str, shape: shapes.Shape, runs: int, batch: int) -> Callable[[], float]:
    return lambda: ceiling_dag.measure(at, shape=shape, runs=runs, processes=PROCESSES, batch=batch)


def rows(found: Rounds) -> list[Row]:
    """Return the rates, then the ratios to the yardstick and to every peer."""
    made = [row(name, rates, "/s") for name, rates in found.rates.items()]
    for shape in (CHAIN, FAN, WIDE, LONG):
        ours, ceiling = f"trib, {shape}", f"yardstick, {shape}"
        made.append(row(f"trib / yardstick, {shape}", found.ratios(ours, ceiling), "x", at_least=CEILING_BAR))
        if shape == LONG:
            continue
        made += [
            row(f"trib / {peer.name}, {shape}", found.ratios(ours, peer.name), "x", at_least=PEER_BAR)
            for peer in WORKFLOWS
            if peer.name in found.rates
        ]
    return made
