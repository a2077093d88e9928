"""An attempt is accepted at most once, from the newest lease only, however many answers come at once."""

from __future__ import annotations

from functools import partial

import pytest

from tests.store import protocol_kit as kit

ANSWERS = 6


@pytest.fixture
def others(database):
    """Connections over which the same process answers: its own, and those that it had given up."""
    with kit.connections(database, ANSWERS) as opened:
        yield opened


def answering(process, connection):
    """Return the same process on another connection."""
    other = object.__new__(kit.Process)
    other.__dict__.update(process.__dict__, connection=connection)
    return other


@pytest.fixture
def claimed(connection):
    """A process with intents and steps in hand, and the run."""
    kit.offer(connection)
    for _ in range(3):
        kit.intent(connection)
    kit.start(connection, kit.workflow("w.v1", {"a": (), "b": (), "c": ("a", "b")}))
    process = kit.Process(connection)
    yield process, process.claim()
    kit.check_invariants(connection)


def test_of_answers_that_come_at_once_each_attempt_takes_one(connection, claimed, others):
    process, held = claimed
    answers = [answering(process, other) for other in others]
    refused = kit.together(
        *(partial(answer.finish, held, result=str(number)) for number, answer in enumerate(answers))
    )
    for item in held:
        token = (item.run_id, item.ordinal, item.seq)
        accepted = [number for number, lost in enumerate(refused) if token not in lost]
        assert len(accepted) == 1
        assert kit.row(connection, item.run_id, item.step_id)["result"] == accepted[0]


def test_of_two_leases_the_older_is_refused_whoever_answers_first(connection, claimed, others):
    old, stale = claimed
    old.fall_silent()
    assert kit.rescue(connection) == len(stale)
    new = kit.Process(connection)
    held = new.claim()
    assert {item.run_id for item in held} == {item.run_id for item in stale}
    late = [
        partial(answering(old, other).finish, stale, word, delay=0.0)
        for other, word in zip(
            others[1:], ("completed", "retry", "discarded", "released", "snoozed"), strict=True
        )
    ]
    # the older ones come first, and find the work in the hands of another; then all come at once
    assert [len(lost) for lost in kit.together(*late)] == [len(stale)] * len(late)
    for item in held:
        assert kit.row(connection, item.run_id, item.step_id)["state"] == "running"
    refused = kit.together(lambda: answering(new, others[0]).finish(held, result='"new"'), *late)
    assert [len(lost) for lost in refused] == [0] + [len(stale)] * len(late)
    for item in held:
        found = kit.row(connection, item.run_id, item.step_id)
        assert (found["state"], found["result"], found["attempt"]) == ("completed", "new", 2)
