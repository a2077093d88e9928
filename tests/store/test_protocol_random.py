"""Random histories: whatever is called in whatever order, the invariants hold and every run ends."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store import protocol_kit as kit
from tests.store.ends import hold_ends

OUTCOMES = ("completed", "skipped", "retry", "discarded", "aborted", "snoozed", "released", "crashed")
OPERATIONS = (
    *("claim", "claim", "finish", "finish", "finish_stale"),
    *("cancel", "retry", "retry_from", "rescue", "reconcile", "advance"),
)


@st.composite
def workflows(draw):
    size = draw(st.integers(1, 6))
    steps = {}
    for number in range(size):
        needs = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        steps[f"s{number}"] = {
            "needs": tuple(f"s{need}" for need in sorted(needs)),
            "continue_on_error": draw(st.booleans()),
            "run_after": draw(st.sampled_from([None, None, 30.0])),
            "options": {
                "max_attempts": draw(st.sampled_from([1, 2, 3])),
                "priority": draw(st.integers(0, 1)),
            },
            "name": draw(st.sampled_from([kit.NAME, kit.NAME, "t.second.v1"])),
        }
    return kit.workflow("w.v1", steps, result=draw(st.sampled_from([None, 1])))


@st.composite
def histories(draw):
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(OPERATIONS),
                st.integers(0, 3),
                st.sampled_from(OUTCOMES),
                st.sampled_from([0.0, 20.0]),
            ),
            min_size=5,
            max_size=30,
        )
    )


class World:
    """Two processes, a few runs and intents, and every token that was ever handed out."""

    def __init__(self, connection, specs):
        self.connection = connection
        kit.offer(connection, kit.NAME, "t.second.v1")
        self.names = (kit.NAME, "t.second.v1", kit.CLOSING)
        self.processes = [kit.Process(connection, names=self.names) for _ in range(2)]
        self.held = {process.id: [] for process in self.processes}
        self.stale = []
        self.runs = [kit.start(connection, spec) for spec in specs]
        self.intents = [kit.intent(connection, max_attempts=2)]

    def step(self, operation, number, outcome, delay):
        process = self.processes[number % 2]
        held = self.held[process.id]
        match operation:
            case "claim":
                held += process.claim(number + 1)
            case "finish":
                self.finish(process, held[: number + 1], outcome, delay)
            case "finish_stale" if self.stale:
                item = self.stale[number % len(self.stale)]
                standing = [token for tokens in self.held.values() for token in tokens]
                if item not in standing:
                    assert len(process.finish([item], outcome, delay=delay)) == 1
            case "cancel" | "retry" | "retry_from":
                self.control(operation, number)
            case "rescue":
                process.fall_silent()
                kit.rescue(self.connection)
                self.stale += held
                held.clear()
                process.beat()
            case "reconcile":
                kept = held[1:]
                lost = process.reconcile(kept)
                self.stale += held[:1] + [
                    item for item in kept if (item.run_id, item.ordinal, item.seq) in lost
                ]
                self.held[process.id] = [item for item in kept if item not in self.stale]
            case "advance":
                self.advance()

    def finish(self, process, items, outcome, delay):
        process.finish(
            items, [outcome if number % 2 == 0 else "completed" for number in range(len(items))], delay=delay
        )
        self.stale += items
        for item in items:
            self.held[process.id].remove(item)

    def control(self, operation, number):
        target = [*self.runs, *self.intents][number % (len(self.runs) + 1)]
        try:
            if operation == "cancel":
                self.connection.execute("select tributary.cancel(%s)", (target,))
            else:
                steps = [f"s{number}"] if operation == "retry_from" else None
                self.connection.execute("select tributary.retry(%s, %s)", (target, steps))
        except psycopg.Error as error:
            assert error.sqlstate in {"TR003", "TR004"}, error  # noqa: PT017 - both answers are right

    def advance(self):
        kit.advance(self.connection, "40 seconds")
        for process in self.processes:
            process.beat()

    def come_to_an_end(self):
        for process in self.processes:
            process.finish(self.held[process.id])
            process.reconcile([])
        unended = "select count(*) from tributary.steps where finished_at is null"
        for _ in range(60):
            if not kit.scalar(self.connection, unended):
                return
            self.advance()
            for process in self.processes:
                process.finish(process.claim())
            kit.check_invariants(self.connection)
        pytest.fail("work was left over")


def test_random_histories_keep_the_invariants(connection):
    kit.watch_transitions(connection)
    hold_ends(connection)

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(specs=st.lists(workflows(), min_size=1, max_size=2), history=histories())
    def run(specs, history):
        connection.execute("reset tributary.fake_now")
        for table in ("steps", "runs", "payloads", "edges", "attempts", "event_log", "dead_letters"):
            connection.execute(f"delete from tributary.{table}")
        world = World(connection, specs)
        kit.check_invariants(connection)
        for operation in history:
            world.step(*operation)
            kit.check_invariants(connection)
        world.come_to_an_end()
        states = connection.execute("select distinct state::text from tributary.runs").fetchall()
        assert {state for (state,) in states} <= {"completed", "failed", "cancelled"}
        kit.check_transitions(connection)

    run()
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
