"""Absurd: tasks of no-op steps one after another, by its Python SDK's threaded worker."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
from absurd_sdk import Absurd
from absurdctl import BUNDLED_SCHEMA_SQL

from bench.peers import harness

if TYPE_CHECKING:
    from collections.abc import Mapping


def load(asked: Mapping[str, Any]) -> None:
    with psycopg.connect(asked["url"], autocommit=True) as connection:
        connection.execute(BUNDLED_SCHEMA_SQL)
        app = Absurd(connection)
        app.create_queue("default")
        with connection.transaction():
            for i in range(asked["runs"]):
                app.spawn("chain", {"i": i}, queue="default")


def work(asked: Mapping[str, Any], finishes: harness.Finishes) -> None:
    workers = [Absurd(asked["url"]) for _ in range(asked["workers"])]

    def offer(app: Absurd) -> None:
        @app.register_task(name="chain")
        def chain(params: Any, context: Any) -> Any:
            for k in range(asked["steps"]):
                context.step(f"s{k}", lambda: params["i"])
                finishes.note()
            return params["i"]

    threads = []
    for number, app in enumerate(workers):
        offer(app)
        options = {
            "worker_id": f"{finishes.process}-{number}",
            "concurrency": asked["concurrency"],
            "poll_interval": 0.01,
        }
        threads.append(threading.Thread(target=app.start_worker, kwargs=options))
        threads[-1].start()
    while finishes.publish() < asked["runs"] * asked["steps"]:
        time.sleep(0.02)
    for app in workers:
        app.stop_worker()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    harness.main(load, work)
