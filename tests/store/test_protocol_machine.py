"""Random histories: whatever is called in whatever order, the tables are as a pure model says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.store import protocol_kit as kit
from tests.store.ends import hold_ends
from tests.store.protocol_machine import SECOND, ProtocolMachine

pytestmark = pytest.mark.one_shard("its batches are of one shard, as every batch is")


@pytest.mark.timeout(900)
def test_random_histories_are_as_the_model_says(connection, histories):
    kit.watch_transitions(connection)
    hold_ends(connection)
    kit.offer(connection, kit.NAME, SECOND)

    def machine():
        made = ProtocolMachine()
        made.connection = connection
        return made

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=histories,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert len(kit.check_transitions(connection)) >= 10


def test_every_way_of_a_step_is_in_the_model(connection):
    """A scripted history that takes the rarer ways too."""
    kit.watch_transitions(connection)
    process = kit.Process(connection, names=(kit.NAME, "t.known.v1"))
    kit.offer(connection, "t.known.v1")
    waiting = {
        "a": {"name": "t.known.v1"},
        "b": ("a",),
        "c": {"needs": ("a",), "run_after": 60.0},
        "d": ("b",),
    }
    runs = [kit.start(connection, kit.workflow("w.v1", waiting)) for _ in range(3)]
    process.finish(process.claim(), ["completed", "completed", "discarded"])
    kit.scalar(connection, "select tributary.cancel(%s)", runs[0])
    kit.scalar(connection, "select tributary.retry(%s)", runs[0])
    kit.scalar(connection, "select tributary.retry(%s)", runs[2])
    kit.offer(connection)
    aborting = kit.start(
        connection,
        kit.workflow(
            "w.v1", {"x": {"options": {"priority": 9}}, "y": (), "z": ("x",), "l": {"run_after": 9.0}}
        ),
    )
    (first,) = process.claim(1)
    assert first.run_id == aborting
    process.finish([first], "aborted")
    process.finish(process.claim(), "snoozed", delay=5.0)
    kit.advance(connection, "2 minutes")
    process.beat()
    process.finish(process.claim(), "skipped")
    while process.work_off():
        kit.advance(connection, "2 minutes")
        process.beat()
    kit.check_invariants(connection)
    seen = {f"{old}>{new}" for old, new in kit.check_transitions(connection)}
    assert seen >= {
        "available>running", "running>completed", "running>discarded", "running>scheduled", "running>skipped",
        "blocked>waiting", "blocked>skipped", "waiting>available", "waiting>scheduled", "waiting>cancelled",
        "blocked>cancelled", "cancelled>waiting", "cancelled>blocked", "discarded>available",
        "skipped>blocked",
        "scheduled>available", "available>skipped", "scheduled>skipped", "blocked>available",
    }  # fmt: skip
