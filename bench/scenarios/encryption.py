"""What encryption costs: two workers side by side, one of them with a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

from bench import product, shapes
from bench.scenario import Outcome, scenario
from bench.server import settle
from bench.side_by_side import Side, environment, pair, rows_of
from tributary_daemon import Client
from tributary_daemon.sealing.sources import generate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STEPS: Final = 10
BAR: Final = 25
_KEYS = "TRIB_ENCRYPTION_KEYS"


@scenario(
    "encryption",
    short={"count": 120_000, "small": 100, "large": 1_000, "runs": 8_000, "rounds": 1},
    full={"count": 150_000, "small": 100, "large": 1_000, "runs": 9_000, "rounds": 6},
)
def encryption(at: str, *, count: int, small: int, large: int, runs: int, rounds: int) -> Outcome:
    """What attempts cost with encrypted payloads and results, and without."""
    plain: Mapping[str, str | None] = {_KEYS: None}
    keyed: Mapping[str, str | None] = {_KEYS: generate("bench", None)}
    works = {f"intents of {size} bytes": (count, size) for size in (small, large)}
    works["chains"] = (runs * STEPS, 0)

    def side(size: int, given: Mapping[str, str | None]) -> Callable[[str], Side]:
        def made(url: str) -> Side:
            with environment(given):
                _fill(url, count, size, runs)
            return Side(url, given)

        return made

    # the memory of a server that has been at work is its own already; whoever writes more asks for more of it
    pair(at, count, 0, (side(large, keyed), side(large, keyed)))
    costs: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for what, (attempts, size) in works.items():
            for way, given in (("encrypted", keyed), ("plain", plain)):
                if way == "encrypted" or number % 2:
                    found = pair(at, attempts, number, (side(size, plain), side(size, given)))
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
    settle(url, analyze=True, checkpoint=False)
