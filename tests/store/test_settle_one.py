"""The short way for the end of one step does what the statements for batches do."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from hypothesis.control import event

from tests.store import protocol_kit as kit
from tests.store.protocol_tables import set_clock
from tests.store.test_random_runs import World, emptied, of_worlds

FUNCTIONS = Path(__file__).resolve().parents[2] / "sql" / "functions"
STEPS = """
    select run_id::text, ordinal, state::text, reason, unmet, flags, run_at, finished_at, process_id,
           seq > %(before)s
    from tributary.steps order by run_id, ordinal"""
TELLS = "as $$ begin insert into told select unnest(queues); end $$;"
RUNS = """
    select run_id::text, state::text, phase, ending::text, remaining, failed, warnings, reason, finished_at
    from tributary.runs order by run_id"""


def replace(connection, name, pattern, by):
    """Replace a function, until the rollback, by one that differs from it."""
    text = (FUNCTIONS / f"{name}.sql").read_text(encoding="utf-8")
    changed, count = re.subn(pattern, lambda _: by, text, count=1, flags=re.DOTALL)
    assert count == 1
    connection.execute(changed)


def the_long_way(connection):
    replace(connection, "settle_one", r"as \$\$.*\$\$;", "as $$ begin settled := false; end $$;")


def only_the_short_way(connection):
    replace(connection, "settle_steps", r"\n    loop\n", "\n    raise exception 'the long way';\n    loop\n")


def outcome(connection, finish, *changes):
    """Return steps and runs after a finish, and the queues that were woken; all of it is rolled back."""
    before = kit.scalar(connection, "select coalesce(max(seq), 0) from tributary.steps")
    with connection.transaction(force_rollback=True):
        for change in changes:
            change(connection)
        replace(connection, "wake", r"as \$\$.*\$\$;", TELLS)
        connection.execute("create temporary table told (queue text) on commit drop")
        assert finish() == []
        told = [queue for (queue,) in connection.execute("select distinct queue from told order by queue")]
        steps = connection.execute(STEPS, {"before": before}).fetchall()
        return steps, connection.execute(RUNS).fetchall(), *told


@pytest.mark.one_shard("its batches are of one shard, as every batch is")
@pytest.mark.timeout(600)
def test_both_ways_lead_to_the_same(connection, histories):
    asked = 0

    @settings(max_examples=max(60, histories // 2), deadline=None)
    @of_worlds
    def run(specs, child, fan, history):
        nonlocal asked
        emptied(connection)
        set_clock(connection, 0)
        world = World(connection, specs, child, fan)
        for operation in history:
            for item in list(world.held):
                if item.name != kit.NAME or not stands(connection, item):
                    continue
                asked += 1

                def finish(item=item, held=tuple(world.held)):
                    try:
                        return world.finish([item], ["completed"], 0.0)
                    finally:
                        world.held = list(held)

                assert outcome(connection, finish) == outcome(connection, finish, the_long_way)
            world.step(*operation)
        event("compared" if asked else "nothing to compare")

    run()
    assert asked > 20


def stands(connection, item):
    return kit.scalar(
        connection,
        "select exists (select from tributary.steps where run_id = %s and ordinal = %s and seq = %s"
        " and state = 'running')",
        item.run_id,
        item.ordinal,
        item.seq,
    )


def test_a_chain_goes_the_short_way_and_its_last_step_does_not(connection):
    kit.offer(connection)
    process = kit.Process(connection)
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ("a",), "c": ("b",)}))
    with connection.transaction(force_rollback=True):
        only_the_short_way(connection)
        for step in ("a", "b"):
            (item,) = process.claim()
            assert item.step_id == step
            assert process.finish([item]) == []
        (item,) = process.claim()
        with pytest.raises(psycopg.errors.RaiseException, match="the long way"):
            process.finish([item])
    assert process.work_off() == 3
    assert kit.run_row(connection, run)[:2] == ("completed", 0)


def test_a_step_that_two_others_need_and_one_that_needs_two(connection):
    """A fan-out of one source goes the long way, its sink's counter the short one."""
    kit.offer(connection)
    process = kit.Process(connection)
    shape = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("d",)}
    run = kit.start(connection, kit.workflow("w.v1", shape))
    assert process.finish(process.claim()) == []
    left, right = process.claim()
    with connection.transaction():
        only_the_short_way(connection)
        assert process.finish([left]) == []
        assert kit.states(connection, run)["d"] == "blocked"
        assert process.finish([right]) == []
        assert kit.states(connection, run)["d"] == "available"
        connection.execute((FUNCTIONS / "settle_steps.sql").read_text(encoding="utf-8"))
    assert process.work_off() == 2
    assert kit.run_row(connection, run)[:2] == ("completed", 0)


HOUR = "tributary.clock() + interval '1 hour'"
SKIP = "update tributary.steps set state = 'skipped', finished_at = tributary.clock()"
MORE_TO_IT = {
    "the last step": ({"a": ()}, {}, None),
    "two children": ({"a": (), "b": ("a",), "c": ("a",)}, {}, None),
    "its time counts from now": (
        {"a": (), "b": ("a",)}, {},
        "update tributary.steps set flags = flags | 16 where run_id = %s and step_id = 'b'",
    ),
    "its time has not come": (
        {"a": (), "b": ("a",)}, {},
        f"update tributary.steps set run_at = {HOUR} where run_id = %s and step_id = 'b'",
    ),
    "nobody has its handler": ({"a": (), "b": {"needs": ("a",), "name": "t.unknown.v1"}}, {}, None),
    "room for one": ({"a": (), "b": ("a",), "c": ("b",)}, {"max_parallel": 1}, None),
    "the first failure ends all": ({"a": (), "b": ("a",)}, {"fail_fast": True}, None),
    "the run is paused": ({"a": (), "b": ("a",)}, {}, "select tributary.pause_run(%s)"),
    "the run is about to end": (
        {"a": (), "b": ("a",)}, {}, "update tributary.runs set ending = 'cancelled' where run_id = %s",
    ),
    "the run is a child": (
        {"a": (), "b": ("a",)}, {},
        "update tributary.runs set parent_run_id = run_id, parent_ordinal = 9 where run_id = %s",
    ),
    "another need ended badly": (
        {"a": (), "b": (), "c": ("a", "b")}, {},
        "update tributary.steps set flags = flags | 2, unmet = 1 where run_id = %s and step_id = 'c'",
    ),
    "the child has ended": (
        {"a": (), "b": ("a",), "c": ()}, {},
        f"{SKIP} where run_id = %s and step_id = 'b'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MORE_TO_IT)
def test_where_there_is_more_to_it_the_long_way_is_gone(connection, case):
    steps, head, then = MORE_TO_IT[case]
    kit.offer(connection)
    set_clock(connection, 0)
    process = kit.Process(connection)
    run = kit.start(connection, kit.workflow("w.v1", steps, **head))
    item = min(process.claim(), key=lambda item: item.ordinal)
    if then is not None:
        connection.execute(then, (run,))
    before = connection.execute(RUNS).fetchall()
    with pytest.raises(psycopg.errors.RaiseException, match="the long way"):
        outcome(connection, lambda: process.finish([item]), only_the_short_way)
    assert connection.execute(RUNS).fetchall() == before
    assert process.finish([item]) == []


@pytest.mark.parametrize(("queue", "queues", "told"), [
    ("default", ("default",), []),
    ("other", ("default",), ["other"]),
    ("other", ("default", "other"), []),
])  # fmt: skip
def test_others_are_woken_for_what_the_finisher_does_not_claim(connection, queue, queues, told):
    kit.offer(connection)
    process = kit.Process(connection, queues=queues)
    steps = {"a": (), "b": {"needs": ("a",), "options": {"queue": queue}}, "c": ("b",)}
    kit.start(connection, kit.workflow("w.v1", steps))
    claimed = process.claim()
    _, _, *woken = outcome(connection, lambda: process.finish(claimed), only_the_short_way)
    assert woken == told
