"""A batch of items beside one wide fan of steps, and what a run's cache makes of items that are equal."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import psycopg

from bench import product, shapes
from bench.rounds import interleave
from bench.scenario import Outcome, row, scenario
from bench.server import finish_rate, settle
from bench.systems import PROCESSES
from tributary_daemon import Client, Workflow
from tributary_daemon.spec.builder import Keys

if TYPE_CHECKING:
    from collections.abc import Sequence

FAN, BATCH = "one wide fan", "a batch"
ONCE, EQUAL = "a batch with cache, all items differ", "a batch with cache, 100 items differ"
DIFFERENT = 100
BATCH_BAR, EQUAL_BAR = 0.8, 1.0
FINISHES = "select finished_at from tributary.steps where item_key is not null and state = 'completed'"
EXECUTED = """
    select count(*) from tributary.steps
    where item_key is not null and state = 'completed' and reason is distinct from 'cached'
"""


@scenario(
    "batches",
    short={"items": 10_000, "rounds": 2},
    full={"items": 10_000, "rounds": 5},
)
def batches(at: str, *, items: int, rounds: int) -> Outcome:
    """Items of one `for_each` beside as many written steps; items with a cache, that differ or are equal."""
    found = interleave(
        {
            FAN: partial(_fan, at, items),
            BATCH: partial(_batch, at, list(range(items))),
            ONCE: partial(_batch, at, list(range(items)), cache=True),
            EQUAL: partial(_batch, at, [number % DIFFERENT for number in range(items)], cache=True),
        },
        rounds,
    )
    rows = [row(name, rates, "items/s") for name, rates in found.rates.items()]
    rows += [
        row(f"{BATCH} / {FAN}", found.ratios(BATCH, FAN), "x", at_least=BATCH_BAR),
        row(
            "equal items / items that differ, with cache", found.ratios(EQUAL, ONCE), "x", at_least=EQUAL_BAR
        ),
    ]
    return Outcome(rows, {"rates": found.rates}, notes=found.notes())


def _fan(at: str, items: int) -> float:
    return product.drain_runs(product.shaped(at, shapes.fan(items), 1), items, PROCESSES)


def _batch(at: str, items: Sequence[int], *, cache: bool = False) -> float:
    """Return the rate of the items of one run, whose results must stand in the order of the items.

    Raises:
        RuntimeError: they do not, or items were executed that should have been served.
    """
    url = product.database(at)
    keys = Keys(for_each=list(items))
    if cache:
        keys["cache"] = {"scope": "run"}
    batch = Workflow("bench.batch.v1").add(
        "batch",
        "bench.noop.v1",
        {"i": "${{ item }}"},
        **keys,
    )
    with Client(url) as client:
        run = client.submit(batch).id
        settle(url, analyze=True)
        with psycopg.connect(url, autocommit=True) as connection:
            with product.worker(url, PROCESSES):
                product.wait(
                    lambda: client.get(run).state in ("completed", "failed"), product.PATIENCE, "the batch"
                )
            executed = connection.execute(EXECUTED).fetchone()
        document = client.get(run)
    if document.state != "completed" or document.result != {"batch": [{"i": item} for item in items]}:
        raise RuntimeError(f"the batch is {document.state}, and its results are not those of its items")
    wanted = len(set(items)) if cache else len(items)
    if executed != (wanted,):
        raise RuntimeError(f"{executed} items were executed, {wanted} should have been")
    return finish_rate(url, FINISHES)
