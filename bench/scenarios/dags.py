"""Runs of several shapes beside durable workflow engines, and beside the yardstick."""

from __future__ import annotations

from functools import partial
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
    from bench.systems import Peer

STEPS = 10  # of a run of the peers, and of a narrow one of ours
CHAIN, FAN, WIDE, LONG = "chains of 10 steps", "fans of 10 steps", "one wide fan", "one long chain"
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
        measures[f"trib, {name}"] = partial(_ours, at, shape, count, hops if name == LONG else [])
        measures[f"yardstick, {name}"] = partial(
            ceiling_dag.measure, at, shape=shape, runs=count, processes=PROCESSES, batch=batch
        )
    for peer in WORKFLOWS:
        many = {"runs": amount(peer, runs * STEPS, seconds) // STEPS, "steps": STEPS}
        try:
            variant, note = fastest(at, peer, many, tries)
        except UnavailableError as error:
            outcome.notes.append(f"{peer.name} is missing: {error}")
            continue
        outcome.notes.append(note)
        measures[f"{peer.name}, {CHAIN}"] = partial(systems.drain, at, peer, variant, many)
        measures[f"{peer.name}, {LONG}"] = partial(
            systems.drain, at, peer, variant, {"runs": 1, "steps": long}
        )
    found = interleave(measures, rounds)
    outcome.notes += found.notes()
    outcome.raw = {"rates": found.rates, "hops_ms": hops}
    outcome.rows = [
        *rows(found),
        row("parent's end -> child's start, p50", median(hops), "ms", at_most=HOP_BAR),
    ]
    outcome.charts = [chart(found, shape) for shape in (CHAIN, FAN, WIDE, LONG)]
    return outcome


def _ours(at: str, shape: shapes.Shape, runs: int, hops: list[float]) -> float:
    url = product.shaped(at, shape, runs)
    rate = product.drain_runs(url, runs * len(shape), PROCESSES)
    with psycopg.connect(url) as connection:
        hops.extend(milliseconds for (milliseconds,) in connection.execute(HOPS))
    return rate


def rows(found: Rounds) -> list[Row]:
    """Return the rates, then the ratios to the yardstick and to every peer."""
    made = [row(name, rates, "/s") for name, rates in found.rates.items()]
    for shape in (CHAIN, FAN, WIDE, LONG):
        ours = f"trib, {shape}"
        ratios = found.ratios(ours, f"yardstick, {shape}")
        made.append(row(f"trib / yardstick, {shape}", ratios, "x", at_least=CEILING_BAR))
        for peer in WORKFLOWS:
            theirs = rival(peer, shape)
            if theirs in found.rates:
                bar = None if shape == LONG else PEER_BAR
                made.append(
                    row(f"trib / {peer.name}, {shape}", found.ratios(ours, theirs), "x", at_least=bar)
                )
    return made


def rival(peer: Peer, shape: str) -> str:
    """Return what of a peer a shape is compared with: within a run it does one step after another."""
    return f"{peer.name}, {LONG if shape == LONG else CHAIN}"


def chart(found: Rounds, shape: str) -> Bars:
    """Return the plot of a shape: Tributary, the yardstick, and the peers."""
    names = {"trib worker": f"trib, {shape}", "yardstick": f"yardstick, {shape}"}
    names |= {peer.name: rival(peer, shape) for peer in WORKFLOWS}
    values = {name: found.rates[known] for name, known in names.items() if known in found.rates}
    title = f"{shape[0].upper()}{shape[1:]}, two processes"
    return Bars(title, "steps finished per second, log scale", values, log=True)
