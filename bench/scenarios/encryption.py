"""What encryption costs: two workers side by side, one of them with a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

from bench import product, shapes
from bench.scenario import Outcome, scenario
from bench.side_by_side import Side, environment, filled, pair, prepare, rows_of
from tributary_daemon import Client
from tributary_daemon.sealing.sources import generate

if TYPE_CHECKING:
    from collections.abc import Mapping

STEPS: Final = 10
BAR: Final = 25
_KEYS = "TRIB_ENCRYPTION_KEYS"


@scenario(
    "encryption",
    short={"count": 120_000, "small": 100, "large": 1_000, "runs": 8_000, "rounds": 1},
    full={"count": 150_000, "small": 100, "large": 1_000, "runs": 9_000, "rounds": 8},
)
def encryption(at: str, *, count: int, small: int, large: int, runs: int, rounds: int) -> Outcome:
    """What attempts cost with encrypted payloads and results, and without."""
    plain: Mapping[str, str | None] = {_KEYS: None}
    keyed: Mapping[str, str | None] = {_KEYS: generate("bench", None)}
    works = {f"intents of {size} bytes": size for size in (small, large)}
    works["chains"] = 0
    sources: dict[tuple[str, str], str] = {}
    for what, size in works.items():
        for way, given in (("plain", plain), ("encrypted", keyed)):

            def fill(url: str, size: int = size) -> None:
                _fill(url, count, size, runs)

            with environment(given):
                sources[what, way] = filled(at, f"{way}_{size}", fill)
    prepare(at, 2 * max(count, runs * STEPS))
    ways = {"plain": lambda url: Side(url, plain), "encrypted": lambda url: Side(url, keyed)}
    # the memory of a server that has been at work is its own already; whoever writes more asks for more of it
    most = sources[f"intents of {large} bytes", "encrypted"]
    pair(at, 0, (most, most), (ways["encrypted"], ways["encrypted"]))
    costs: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for what in works:
            for way in ("encrypted", "plain"):
                # the control takes half the pairs, with either side first
                if way == "encrypted" or number % 4 < 2:
                    places = sources[what, "plain"], sources[what, way]
                    found = pair(at, number, places, (ways["plain"], ways[way]))
                    costs.setdefault(f"{what}, {way}", []).append(found)
    notes = [
        f"Two workers of one process drain at the same time; chains have {STEPS} steps that return a number.",
        "What is lost between two that are both plain is what cannot be told apart.",
        "A pair before the first is not counted: a new server has its memory from the system page by page.",
    ]
    return Outcome(rows_of(costs, "plain", BAR), {"costs": costs}, notes=notes)


def _fill(url: str, count: int, size: int, runs: int) -> None:
    with product.worker(url, 1):
        # its first offer of the names, before there is work
        pass
    with Client(url) as client:
        if size:
            client.submit_many("bench.echo.v1", ({"text": "x" * size} for _ in range(count)))
        else:
            client.register(shapes.workflow("bench.shape.v1", shapes.chain(STEPS)))
    if not size:
        with psycopg.connect(url) as connection:
            connection.execute(
                "select tributary.submit_workflow('bench.shape.v1') from generate_series(1, %s)", (runs,)
            )
