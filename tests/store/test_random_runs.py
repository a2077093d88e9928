"""Random histories of runs with hooks, limits, groups, fan-outs and children: all end, and counters hold."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store import protocol_kit as kit
from tests.store import special_runs
from tests.store.ends import hold_ends
from tests.store.special_runs import check
from tests.store.test_groups import group_step
from tests.store.told import Told

OUTCOMES = ("completed", "completed", "skipped", "retry", "discarded", "aborted", "snoozed", "released")
OPERATIONS = (
    *(
        "claim",
        "claim",
        "claim",
        "finish",
        "finish",
        "finish",
        "exchange",
        "exchange",
        "cancel",
        "cancel_child",
        "oust",
        "enter",
        "enter",
    ),
    *("pause", "resume", "retry", "retry_from", "retry_only", "rescue", "advance", "signal", "signal"),
)
HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(OPERATIONS),
        st.integers(0, 3),
        st.sampled_from(OUTCOMES),
        st.sampled_from([0.0, 20.0]),
    ),
    min_size=5,
    max_size=40,
)


of_worlds = given(
    specs=st.lists(special_runs.workflows(), min_size=1, max_size=2),
    child=special_runs.workflows(children=False), fan=special_runs.FANS, history=HISTORIES,
)  # fmt: skip


def emptied(connection):
    """Take away what the world before has left behind."""
    connection.execute("reset tributary.fake_now")
    for table in special_runs.TABLES:
        connection.execute(f"delete from tributary.{table}")


class World(special_runs.Worker):
    """One process, a few runs, and what it holds of them."""

    def __init__(self, connection, specs, child, fan):
        kit.offer(connection)
        super().__init__(connection, str(kit.save(connection, child)), fan)
        self.runs = [kit.start(connection, spec) for spec in specs]

    def step(self, operation, number, word, delay):
        match operation:
            case "claim":
                self.held += self.process.claim(number + 1)
            case "enter" if number < len(self.held) and self.held[number].name == kit.NAME:
                if group_step(self.connection, self.process, self.held[number], group="steps") != "held":
                    del self.held[number]
            case "finish":
                words = [word if n % 2 == 0 else "completed" for n in range(number + 1)]
                self.finish(self.held[: number + 1], words, delay)
            case "exchange":
                done = [item for item in self.held[: number + 1] if item.name == kit.NAME]
                _, handed, claimed = self.process.exchange(done, number + 1)
                self.held = [item for item in self.held if item not in done] + handed + claimed
            case "rescue":
                self.process.fall_silent()
                kit.rescue(self.connection)
                self.held.clear()
                self.process.beat()
            case "advance":
                self.advance()
            case "signal":
                self.steer("select tributary.signal(%s, 'go')", self.runs[number % len(self.runs)])
            case "cancel_child":
                self.steer(
                    "select tributary.cancel(run_id) from tributary.runs"
                    " where parent_run_id is not null and finished_at is null order by created_at limit 1"
                )
            case "oust":
                special_runs.promote(self.connection)
            case "pause" | "resume":
                self.steer(f"select tributary.{operation}_run(%s)", self.runs[number % len(self.runs)])
            case "retry_from" | "retry_only":
                function = operation.removesuffix("_from")
                run = self.runs[number % len(self.runs)]
                self.steer(f"select tributary.{function}(%s, %s)", run, [f"s{number}"])
            case "cancel" | "retry":
                self.steer(f"select tributary.{operation}(%s)", self.runs[number % len(self.runs)])


@pytest.mark.one_shard("its batches are of one shard, as every batch is")
@pytest.mark.timeout(900)
def test_random_histories_of_special_runs(connection, histories):
    hold_ends(connection)
    told = Told(connection)

    @settings(max_examples=2 * histories, deadline=None, suppress_health_check=list(HealthCheck))
    @of_worlds
    def run(specs, child, fan, history):
        emptied(connection)
        world = World(connection, specs, child, fan)
        check(connection)
        for operation in history:
            world.step(*operation)
            check(connection)
            told.check()
        world.come_to_an_end()
        told.check()

    run()
