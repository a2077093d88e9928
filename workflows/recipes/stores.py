"""Results that are kept, in each store there is: the same batch twice, and its handler runs three times.

    python workflows/recipes/stores.py

That keeps them in PostgreSQL, beside the work. `TRIB_CACHE` names another store; nothing else changes:

    TRIB_CACHE=redis://127.0.0.1:6379/1               # pip install 'tributary-daemon[redis]'
    TRIB_CACHE=mysql://cache:SECRET@127.0.0.1/cache   # or MariaDB; pip install 'tributary-daemon[mysql]'
    TRIB_CACHE=sqlite:///cache.db                     # workers of one machine
    TRIB_CACHE=memory                                 # one process

Of twelve prices three differ. Items that ask while a rate is fetched wait for it without a slot.
"""

from __future__ import annotations

import os
import threading

from pydantic import BaseModel

from tributary_daemon import Client, Worker, Workflow, handler

RATES = {"EUR": 100, "GBP": 86, "SEK": 1120}
fetched = 0
counting = threading.Lock()


class Currency(BaseModel):
    """What is asked for."""

    code: str


class Rate(BaseModel):
    """What a euro is in it, in hundredths."""

    code: str
    cents: int


@handler("stores.fetch_rate.v1", version="1")
def fetch_rate(currency: Currency) -> Rate:
    """Fetch one rate, and count that."""
    global fetched  # noqa: PLW0603 - the worker is in this process
    with counting:
        fetched += 1
    return Rate(code=currency.code, cents=RATES[currency.code])


def main() -> None:
    """Run the batch twice."""
    store = os.environ.get("TRIB_CACHE", "postgres").partition(":")[0]
    batch = Workflow("stores.rates.v1", result="${{ steps.rates.items.*.result.cents }}").add(
        "rates",
        fetch_rate,
        {"code": "${{ item }}"},
        for_each=[*RATES] * 4,
        cache={"scope": "global", "ttl": "1h"},
    )
    with Client() as client, Worker(client):
        for number in ("first", "second"):
            run = client.submit(batch).wait(timeout="30s")
            print(store, number, run.state, sum(run.result), "fetched", fetched)


if __name__ == "__main__":
    main()
