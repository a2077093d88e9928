"""Yardstick for intents: the fastest honest Python loop over a realistic table, handlers called inline.

Claims and finishes are one fenced, watermarked function call; inputs and results go through pydantic, every
attempt binds its ids to structlog. There are no threads, no timeouts, no leases, no retries, no options.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import psycopg
import pydantic
from structlog.contextvars import bind_contextvars, reset_contextvars

from bench.server import finish_rate, fresh_database, settle

SCHEMA = Path(__file__).with_suffix(".sql")
CALL = """select * from finish_and_claim(0::smallint, %s, %s::bigint[], %s::int[], %s::bigint[], %s::text[],
                                         'default', 100::smallint, %s, %s)"""


class Args(pydantic.BaseModel):
    i: int


class Out(pydantic.BaseModel):
    i: int


INPUT = pydantic.TypeAdapter(Args)
OUTPUT = pydantic.TypeAdapter(Out)


def noop(args: Args) -> Out:
    return Out(i=args.i)


HANDLERS = {"noop.v1": (INPUT, noop, OUTPUT)}


class Step:
    __slots__ = ("attempt", "name", "ordinal", "payload", "run_id", "seq")

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.run_id, self.ordinal, self.seq, self.name, self.attempt, self.payload = row


def execute(step: Step) -> str:
    """Run one attempt; return its result as JSON text."""
    tokens = bind_contextvars(step=step.run_id, attempt=step.attempt, run=step.run_id)
    try:
        accepts, function, returns = HANDLERS[step.name]
        answer = function(accepts.validate_json(step.payload))
        return returns.dump_json(returns.validate_python(answer)).decode()
    finally:
        reset_contextvars(**tokens)


def loop(url: str, process: int, batch: int, total: int, finished: Any) -> None:
    """Work until all processes together have finished ``total`` rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        done: list[tuple[Step, str]] = []
        low = -1
        while finished.value < total:
            arrays = (
                [step.run_id for step, _ in done],
                [step.ordinal for step, _ in done],
                [step.seq for step, _ in done],
                [result for _, result in done],
            )
            rows = connection.execute(CALL, (process, *arrays, low, batch)).fetchall()
            with finished.get_lock():
                finished.value += len(done)
            steps = [Step(row) for row in rows]
            done = [(step, execute(step)) for step in steps]
            if steps:
                low = min(step.seq for step in steps)
            else:
                low = -1
                time.sleep(0.001)


def measure(at: str, *, count: int, processes: int, batch: int = 500) -> float:
    """Drain ``count`` intents; return the rate per second."""
    url = fresh_database(at, "bench_realistic_loop")
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.read_text(encoding="utf-8"))
        with connection.cursor().copy("copy steps (name, payload) from stdin") as copy:
            for i in range(count):
                copy.write_row(("noop.v1", f'{{"i":{i}}}'))
    settle(url, analyze=True)
    context = multiprocessing.get_context("spawn")
    finished = context.Value("q", 0)
    workers = [
        context.Process(target=loop, args=(url, number, batch, count, finished))
        for number in range(1, processes + 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    return finish_rate(url, "select finished_at from steps where state = 'c'")
