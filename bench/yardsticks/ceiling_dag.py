"""Yardstick for runs: any shape through one fused, fenced function call; no handler is called at all."""

from __future__ import annotations

import json
import multiprocessing
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from bench.server import finish_rate, fresh_database, settle

if TYPE_CHECKING:
    from bench.shapes import Shape

SCHEMA = Path(__file__).with_suffix(".sql")
CALL = "select * from finish_and_claim(%s, %s::bigint[], %s::int[], %s::text[], 'default', %s, %s)"


def load(url: str, shape: Shape, runs: int) -> None:
    """Store ``runs`` runs of a shape."""
    steps = len(shape)
    edges = [(parent, child) for child, parents in enumerate(shape) for parent in parents]
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.read_text(encoding="utf-8"))
        with connection.cursor() as cursor:
            with cursor.copy("copy executions (id, remaining) from stdin") as copy:
                for run in range(runs):
                    copy.write_row((run, steps))
            columns = "id, execution_id, name, state, seq, waiting, args"
            with cursor.copy(f"copy steps ({columns}) from stdin") as copy:
                for run in range(runs):
                    for k, parents in enumerate(shape):
                        at = run * steps + k
                        ready = ("b", None) if parents else ("a", at)
                        copy.write_row((at, run, "noop.v1", *ready, len(parents), f'{{"k":{k}}}'))
            with cursor.copy("copy deps from stdin") as copy:
                for run in range(runs):
                    for parent, child in edges:
                        copy.write_row((run * steps + parent, run * steps + child))
        connection.execute("select setval('ready_seq', %s)", (runs * steps + 1,))
    settle(url, analyze=True)


def loop(url: str, batch: int, total: int, finished: Any) -> None:
    """Work until all processes together have finished ``total`` steps."""
    worker = uuid.uuid4()
    with psycopg.connect(url, autocommit=True) as connection:
        ids: list[int] = []
        attempts: list[int] = []
        results: list[str] = []
        low = -1
        while finished.value < total:
            rows = connection.execute(CALL, (worker, ids, attempts, results, low, batch)).fetchall()
            with finished.get_lock():
                finished.value += len(ids)
            ids = [row[0] for row in rows]
            attempts = [row[4] for row in rows]
            results = [json.dumps({"ok": row[3]["k"]}) for row in rows]
            if rows:
                low = min(row[5] for row in rows) - 1
            else:
                low = -1
                time.sleep(0.001)


def measure(at: str, *, shape: Shape, runs: int, processes: int, batch: int = 500) -> float:
    """Drain runs of a shape; return the rate of steps per second."""
    url = fresh_database(at, "bench_ceiling_dag")
    load(url, shape, runs)
    total = runs * len(shape)
    context = multiprocessing.get_context("spawn")
    finished = context.Value("q", 0)
    workers = [context.Process(target=loop, args=(url, batch, total, finished)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    return finish_rate(url, "select finished_at from steps where state = 'c'")
