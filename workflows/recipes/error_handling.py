"""Which errors are tried again, which are not, and what becomes of work that is given up.

    python workflows/recipes/error_handling.py

A service that is down is asked again, a card that is refused is not, and a fraud ends the whole run. What was
given up is a dead letter: it keeps its errors, and can be put back once its cause is gone.
"""

from __future__ import annotations

from tributary_daemon import Abort, Client, Retry, Step, Worker, Workflow, handler

QUICK = Retry(backoff="fixed", delay="50ms", not_on=["*: *card was refused*"])
MENDED: set[str] = set()
OUTAGE = 2


class ShippingError(Exception):
    """The carrier has said no."""


def is_passing(error: BaseException) -> bool:
    """Say whether another attempt makes sense."""
    return "today" in str(error)


@handler("errors.charge.v1", max_attempts=4, retry=QUICK)
def charge(order: str, step: Step) -> str:
    """Charge a card: the first two attempts meet a service that is down."""
    if order == "refused" and order not in MENDED:
        raise RuntimeError("the card was refused")
    if step.attempt <= OUTAGE:
        raise ConnectionError("the bank does not answer")
    return f"charged for {order}"


@handler("errors.ship.v1", max_attempts=4, retry=QUICK, retry_if=is_passing)
def ship(order: str) -> None:
    """Ship an order, which is classified by a function of one's own."""
    raise ShippingError(f"{order} is in no country that we know")


@handler("errors.check.v1")
def check(order: str) -> None:
    """Look for fraud; it ends the run, whatever else would have been tried."""
    raise Abort(f"{order} is a fraud", run=True)


def main() -> None:
    """Let each of them happen."""
    with Client() as client, Worker(client):
        fine = client.submit("errors.charge.v1", {"order": "fine"}).wait(timeout="30s")
        print(fine.state, "after attempt", fine.attempt)

        refused = client.submit("errors.charge.v1", {"order": "refused"}).wait(timeout="30s")
        print(refused.state, "after attempt", refused.attempt, "-", refused.error.message)

        shipped = client.submit("errors.ship.v1", {"order": "far"}).wait(timeout="30s")
        print(shipped.state, "after attempt", shipped.attempt, "-", shipped.error.message)

        both = (
            Workflow("errors.order.v1")
            .add("check", check, {"order": "odd"})
            .add("charge", charge, {"order": "odd"}, needs="check")
        )
        ended = client.submit(both).wait(timeout="30s")
        print(ended.state, "-", ended.error.message, "-", "charge", ended.steps["charge"].state)

        MENDED.add("refused")
        client.retry(refused.id)
        again = client.wait(refused.id, timeout="30s")
        print(again.state, "-", again.result)


if __name__ == "__main__":
    main()
