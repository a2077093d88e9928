"""A worker that is observed: what happens is counted by a subscriber, and told as a stream.

    python workflows/recipes/observability.py

It submits a few orders that belong together, works them off in this process, and prints what it saw. With
OTEL_TRACES_EXPORTER=console (and `pip install 'tributary-daemon[otel]'`) it prints the spans, too.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tributary_daemon import Client, Retry, Step, Worker, handler
from tributary_daemon.observers.attempts import AttemptCompleted, AttemptEvent, AttemptFailed

if TYPE_CHECKING:
    from tributary_daemon.events import Event


@handler("observed.pack.v1", max_attempts=3, retry=Retry(delay=0.01))
def pack(step: Step, order: int) -> str:
    """Pack an order; every third one needs a second try."""
    if order % 3 == 0 and step.attempt == 1:
        raise RuntimeError(f"no box for order {order}")
    return f"box {order}"


class Counts:
    """A subscriber: how attempts ended, and the longest."""

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.longest = 0.0

    def __call__(self, event: Event) -> None:
        """Take one event; called in a thread of its own."""
        match event:
            case AttemptCompleted():
                self.ended["completed"] += 1
                self.longest = max(self.longest, event.seconds)
            case AttemptFailed():
                self.ended["discarded" if event.last else "tried again"] += 1
            case AttemptEvent():
                self.ended["started"] += 1


def main() -> None:
    """Submit, work off, and print what was seen."""
    counts = Counts()
    with Client() as client:
        ids = [
            client.submit(
                "observed.pack.v1", {"order": order}, correlation_id="demo", business_id=f"order-{order}"
            ).id
            for order in range(1, 7)
        ]
        with Worker(client, observers=[counts]):
            client.wait_all(ids, timeout=60)
        print(f"{len(client.list(correlation_id='demo').items)} intents belong together")
        for event in client.follow_events(ids[2], since="1h", types=["step_*"]):
            print(f"{event.business_id} {event.type} attempt {event.attempt}")
    print(", ".join(f"{number} {word}" for word, number in sorted(counts.ended.items())))


if __name__ == "__main__":
    main()
