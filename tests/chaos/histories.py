"""A small history as it should be, for tests to damage: an intent that was lost once, a run of two steps."""

from __future__ import annotations

from dataclasses import replace

from chaos.history import (
    RUN,
    Attempt,
    Change,
    Edge,
    Effect,
    Event,
    Execution,
    History,
    Letter,
    Row,
    Run,
    Submission,
)

INTENT, GRAPH, DEAD = "intent-1", "run-1", "intent-2"


def whole():
    """Return it.

    The intent's first lease (token 10) went to a process that stood still; its second one (11) was accepted,
    the first one's late answer was not. The run's step 2 needs its step 1. The other intent failed.
    """
    return History(
        submissions=[
            Submission(0, "chaos.quick.v1", "acknowledged", INTENT, "k0"),
            Submission(1, "chaos.chain.v1", "acknowledged", GRAPH),
            Submission(2, "chaos.once.v1", "acknowledged", DEAD),
            Submission(3, "chaos.quick.v1", "rolled_back", "intent-3"),
            Submission(4, "chaos.quick.v1", "unknown", None),
        ],
        executions=[
            Execution("old", INTENT, 0, "chaos.quick.v1", 1, 10, 100, 1.0, end=30.0, how="returned"),
            Execution("new", INTENT, 0, "chaos.quick.v1", 2, 11, 200, 12.0, end=13.0, how="returned"),
            Execution("one", GRAPH, 1, "chaos.effect.v1", 1, 20, 100, 2.0, end=3.0, how="returned"),
            Execution("two", GRAPH, 2, "chaos.quick.v1", 1, 21, 200, 3.5, end=4.0, how="returned"),
            Execution("bad", DEAD, 0, "chaos.once.v1", 1, 30, 100, 5.0, end=5.1, how="ValueError"),
        ],
        rows=[
            Row(INTENT, 0, "intent", "chaos.quick.v1", "completed", 2, 5, 1, 11, x="new",
                idempotency_key="k0"),
            Row(GRAPH, 1, "step", "chaos.effect.v1", "completed", 1, 5, 0, 20, x="one", queue="narrow",
                claimed_at=2.0, finished_at=3.0),
            Row(GRAPH, 2, "step", "chaos.quick.v1", "completed", 1, 5, 0, 21, x="two", queue="narrow",
                claimed_at=3.0, finished_at=4.0),
            Row(DEAD, 0, "intent", "chaos.once.v1", "discarded", 1, 1, 0, 30),
        ],
        runs=[Run(GRAPH, "chaos.chain.v1", "completed")],
        changes=[
            Change(1, INTENT, 0, None, "available", 0, 10),
            Change(2, INTENT, 0, "available", "running", 1, 10, 10, 1),
            Change(3, INTENT, 0, "running", "available", 1, 11, 10, 1),
            Change(4, INTENT, 0, "available", "running", 2, 11, 11, 2),
            Change(5, INTENT, 0, "running", "completed", 2, 11, 11, 2),
            Change(6, GRAPH, RUN, None, "running"),
            Change(7, GRAPH, 1, None, "available", 0, 20),
            Change(8, GRAPH, 2, None, "blocked", 0, 19),
            Change(9, GRAPH, 1, "available", "running", 1, 20, 20, 1),
            Change(10, GRAPH, 1, "running", "completed", 1, 20, 20, 1),
            Change(11, GRAPH, 2, "blocked", "available", 0, 21, 19),
            Change(12, GRAPH, 2, "available", "running", 1, 21, 21, 2),
            Change(13, GRAPH, 2, "running", "completed", 1, 21, 21, 2),
            Change(14, GRAPH, RUN, "running", "completed"),
            Change(15, DEAD, 0, None, "available", 0, 30),
            Change(16, DEAD, 0, "available", "running", 1, 30, 30, 1),
            Change(17, DEAD, 0, "running", "discarded", 1, 30, 30, 1),
        ],
        attempts=[
            Attempt(INTENT, 0, 10, 1, "crashed", "crashed", 1.0, 11.0),
            Attempt(DEAD, 0, 30, 1, "discarded", "exhausted", 5.0, 5.1),
        ],
        edges=[Edge(GRAPH, 1, 2)],
        events=[Event(INTENT, 0, 1, "step_crashed"), Event(DEAD, 0, 1, "step_discarded")],
        letters=[Letter(DEAD, 0, "exhausted")],
        effects=[Effect(GRAPH, 1, "one")],
        limits={"narrow": 1},
    )  # fmt: skip


def alter(records, chosen, **values):
    """Change the one record of a list that a function chooses."""
    (place,) = [place for place, record in enumerate(records) if chosen(record)]
    records[place] = replace(records[place], **values)


def drop(records, chosen):
    """Take the one record that a function chooses out of a list."""
    (place,) = [place for place, record in enumerate(records) if chosen(record)]
    del records[place]
