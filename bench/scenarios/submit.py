"""How fast work is recorded: many intents at once, and workflows of many steps from their files."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from bench import handlers, product
from bench.charts import Bars
from bench.scenario import Outcome, row, scenario
from bench.server import settle
from tributary_daemon import Client
from tributary_daemon.handlers.declare import name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "bench.noop.v1"  # of bench.handlers: its model is known here, so every payload is checked against it
MANY_BAR = 60_000.0  # intents per second
STEP_BARS = {1_000: 150.0, 10_000: 1_500.0}  # ms
SIDE = 100  # steps of a layer


@scenario(
    "submit",
    short={"intents": 100_000, "sizes": [1_000, 10_000], "rounds": 3},
    full={"intents": 400_000, "sizes": [1_000, 10_000], "rounds": 7},
)
def submit(at: str, *, intents: int, sizes: Sequence[int], rounds: int) -> Outcome:
    """Record many intents by submit_many, and runs of 1,000 and 10,000 steps from YAML."""
    assert name_of(handlers.noop) == NAME
    url = product.database(at)
    with psycopg.connect(url, autocommit=True) as connection, Client(url) as client:
        # as after a worker has been there: work that nobody ever offered waits, and is not in the ready index
        connection.execute(
            "select tributary.register_handlers('python', %s::jsonb)", (f'[{{"name": "{NAME}"}}]',)
        )
        client.submit_many(NAME, [{"i": 0}])
        rates = [_many(client, url, intents) for _ in range(rounds)]
        times = {size: [_workflow(client, size, number) for number in range(rounds)] for size in sizes}
    return Outcome(
        rows=[
            row("submit_many", rates, "/s", at_least=MANY_BAR),
            *(
                row(f"a workflow of {size:,} steps", times[size], "ms", at_most=STEP_BARS[size])
                for size in sizes
            ),
        ],
        raw={"rates": rates, "workflows_ms": times},
        charts=[
            Bars(
                "Client.submit of a YAML file: compose, check, record",
                "ms",
                {f"trib, {size:,} steps": times[size] for size in sizes},
            )
        ],
        notes=["Every payload of submit_many is checked against the model of its handler before it is sent."],
    )


def _many(client: Client, url: str, count: int) -> float:
    settle(url, analyze=False)
    began = time.perf_counter()
    ids = client.submit_many(NAME, ({"i": i} for i in range(count)))
    seconds = time.perf_counter() - began
    assert len(ids) == count
    return count / seconds


def _workflow(client: Client, size: int, number: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "mesh.yaml"
        # another text each time: its source and its plan are stored anew
        path.write_text(f"# {number}\n{mesh(size)}", encoding="utf-8")
        began = time.perf_counter()
        receipt = client.submit(path)
        seconds = time.perf_counter() - began
    assert receipt.created
    return 1_000 * seconds


def mesh(size: int) -> str:
    """Return a workflow of ``size`` steps in layers: each needs two of the layer before and reads one."""
    lines = ["name: bench.mesh.v1", "inputs:", "  who: {type: string, default: me}", "steps:"]
    for k in range(size):
        lines += [
            f"  s{k}:",
            f"    task: {NAME}",
            "    with:",
            f"      i: {k}",
            '      who: "${{ inputs.who }}"',
        ]
        if k >= SIDE:
            above = k - SIDE
            lines.append(f'      before: "${{{{ steps.s{above}.result.i }}}}"')
            beside = above - above % SIDE + (above + 1) % SIDE
            lines.append(f"    needs: [s{above}, s{beside}]")
    return "\n".join(lines) + "\n"
