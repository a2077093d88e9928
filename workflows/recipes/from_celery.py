"""Durable work from a job queue that is there already: a Celery task records it in its own transaction.

    pip install celery
    python workflows/recipes/from_celery.py

The task writes an order and records what follows on the same connection: both are there, or neither. Celery
may run the task again, as it promises at least once; the idempotency key makes one intent of that.
"""

from __future__ import annotations

import os

import psycopg
from celery import Celery

from tributary_daemon import Client, Worker, handler

app = Celery("shop", broker="memory://")
# what a Celery worker would do, in this process: the example needs no broker
app.conf.task_always_eager = True


@handler("celery.pack.v1")
def pack(order: int) -> str:
    """Pack an order."""
    return f"order {order} is packed"


@app.task(name="shop.place_order")
def place_order(url: str, order: int) -> str:
    """Take an order, and record what follows from it."""
    with psycopg.connect(url) as connection, Client(url) as client:
        connection.execute("create table if not exists recipe_orders (id bigint primary key)")
        connection.execute("insert into recipe_orders values (%s) on conflict do nothing", (order,))
        receipt = client.submit(
            "celery.pack.v1", {"order": order}, idempotency_key=f"pack:{order}", connection=connection
        )
    return receipt.id


def main() -> None:
    """Place an order twice, as a broker that redelivers would."""
    url = os.environ["TRIB_DATABASE_URL"]
    order = os.getpid()
    first = place_order.delay(url, order).get()
    second = place_order.delay(url, order).get()
    print("one intent:", first == second)
    with Client(url) as client, Worker(client):
        print(client.wait(first, timeout="30s").result.replace(str(order), "N"))


if __name__ == "__main__":
    main()
