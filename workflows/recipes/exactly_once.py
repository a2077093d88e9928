"""An effect that happens once, though its handler runs twice.

    python workflows/recipes/exactly_once.py

``step.connection()`` is a transaction of the same database in which the step is finished, too: the booking
and the end of the step are committed together or not at all. The idempotency key makes the submit as safe:
whoever is not sure whether it was recorded submits again.
"""

from __future__ import annotations

import os

from tributary_daemon import Client, Retry, Step, Worker, handler

TABLE = "create table if not exists recipe_bookings (account text not null, cents bigint not null)"


@handler("once.prepare.v1")
def prepare(step: Step) -> None:
    """Make the table that the bookings stand in."""
    with step.connection() as connection:
        connection.execute(TABLE)


@handler("once.book.v1", max_attempts=3, retry=Retry(delay="50ms"))
def book(account: str, cents: int, step: Step) -> int:
    """Book an amount; the first attempt dies after the statement and before the commit."""
    with step.connection() as connection:
        connection.execute("insert into recipe_bookings values (%s, %s)", (account, cents))
        if step.attempt == 1:
            raise ConnectionError("the power fails")
        row = connection.execute("select sum(cents) from recipe_bookings where account = %s", (account,))
        return int(row.fetchone()[0])


def main() -> None:
    """Submit one booking twice, and look at what was booked."""
    account = f"account-{os.getpid()}"
    with Client() as client, Worker(client):
        client.submit("once.prepare.v1").wait(timeout="30s")
        key = f"booking:{account}"
        payload = {"account": account, "cents": 1_250}
        first = client.submit("once.book.v1", payload, idempotency_key=key)
        second = client.submit("once.book.v1", payload, idempotency_key=key)
        print("one intent:", first.id == second.id, "- created:", first.created, second.created)
        document = first.wait(timeout="30s")
        print(document.state, "after attempt", document.attempt, "-", document.result, "cents booked")


if __name__ == "__main__":
    main()
