"""What encryption costs: the same intents and runs, with a key and without, in turns."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from bench import load, product, shapes
from bench.scenario import Outcome, row, scenario
from bench.server import settle
from tributary_daemon import Client
from tributary_daemon.sealing.sources import generate

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = "TRIB_ENCRYPTION_KEYS"


@contextmanager
def keys(written: str | None) -> Iterator[None]:
    """Have workers and clients use this key meanwhile; None for none."""
    before = os.environ.pop(KEYS, None)
    if written is not None:
        os.environ[KEYS] = written
    try:
        yield
    finally:
        os.environ.pop(KEYS, None)
        if before is not None:
            os.environ[KEYS] = before


@scenario(
    "encryption",
    short={"count": 20_000, "size": 100, "runs": 1_000, "rounds": 2},
    full={"count": 100_000, "size": 1_000, "runs": 10_000, "rounds": 5},
)
def encryption(at: str, *, count: int, size: int, runs: int, rounds: int) -> Outcome:
    """Drain rates with encrypted payloads and results, and without."""
    key = generate("bench", None)
    rates: dict[str, list[float]] = {}
    for number in range(rounds):
        ways = [("plain", None), ("encrypted", key)]
        for name, written in ways if number % 2 == 0 else reversed(ways):
            with keys(written):
                rates.setdefault(f"intents, {name}", []).append(_intents(at, count, size))
                rates.setdefault(f"chains, {name}", []).append(_chains(at, runs))
    rows = [row(f"drain rate, {name}", found, "/s") for name, found in rates.items()]
    for what in ("intents", "chains"):
        lost = [
            100 * (1 - there / here)
            for here, there in zip(rates[f"{what}, plain"], rates[f"{what}, encrypted"], strict=True)
        ]
        rows.append(row(f"rate lost, {what}", lost, "%", at_most=25))
    notes = [f"Intents carry {size} bytes; a chain has ten steps, each with what the one before returned."]
    return Outcome(rows, {"rates": rates}, notes=notes)


def _intents(at: str, count: int, size: int) -> float:
    url = product.database(at)
    with product.worker(url, 1):
        # its first offer of the name, before there is work
        pass
    with Client(url) as client:
        client.submit_many("bench.echo.v1", ({"text": "x" * size} for _ in range(count)))
    settle(url, analyze=True, checkpoint=False)
    return load.drain_rate(url, count)


def _chains(at: str, runs: int) -> float:
    url = product.database(at)
    shape = shapes.chain(10)
    with product.worker(url, 1):
        pass
    with Client(url) as client:
        client.register(shapes.workflow("bench.shape.v1", shape))
    with psycopg.connect(url) as connection:
        connection.execute(
            "select tributary.submit_workflow('bench.shape.v1') from generate_series(1, %s)", (runs,)
        )
    settle(url, analyze=True, checkpoint=False)
    return load.drain_rate(url, runs * 10)
