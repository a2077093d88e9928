"""What an end releases goes on where it would be claimed first, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.store import protocol_kit as kit
from tests.store.protocol_tables import set_clock
from tests.store.test_random_runs import World, emptied, of_worlds
from tests.store.test_settle_one import RUNS, stands

pytestmark = pytest.mark.one_shard("an exchange is of one shard")

CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
ROWS = """
    select run_id::text, ordinal, state::text, reason, unmet, flags, run_at, finished_at, process_id, attempt,
           claimed_at, started_at, seq > %(before)s
    from tributary.steps order by run_id, ordinal"""


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


def chain(connection, **options):
    """Start a chain whose first step nobody has claimed."""
    return kit.start(connection, kit.workflow("w.v1", CHAIN), **options)


def steps(claimed):
    return [item.step_id for item in claimed]


def test_a_step_that_becomes_ready_is_claimed_by_its_parents_end(connection, process):
    run = chain(connection)
    first = process.claim()
    refused, handed, claimed = process.exchange(first)
    assert (refused, steps(handed), claimed) == ([], ["b"], [])
    parent, child = kit.row(connection, run, "a"), kit.row(connection, run, "b")
    assert (child["state"], child["attempt"], child["process_id"]) == ("running", 1, process.id)
    assert child["claimed_at"] == parent["finished_at"]
    assert (child["started_at"], child["unmet"], child["seq"]) == (None, 0, handed[0].seq)
    assert process.finish(handed) == []
    assert process.work_off() == 1
    assert kit.run_row(connection, run)[:2] == ("completed", 0)


def test_all_of_a_fan_is_handed_on_and_its_sink_once(connection, process):
    shape = {"a": (), "b": ("a",), "c": ("a",), "d": ("a",), "e": ("b", "c", "d")}
    run = kit.start(connection, kit.workflow("w.v1", shape))
    _, handed, _ = process.exchange(process.claim())
    assert steps(handed) == ["b", "c", "d"]
    _, handed, claimed = process.exchange(handed)
    assert (steps(handed), claimed) == (["e"], [])
    assert process.exchange(handed) == ([], [], [])
    assert kit.run_row(connection, run)[:2] == ("completed", 0)


def test_no_more_is_handed_on_than_is_asked_for_and_others_hear_of_the_rest(connection, process):
    shape = {"a": (), **{f"b{n}": ("a",) for n in range(5)}}
    run = kit.start(connection, kit.workflow("w.v1", shape))
    first = process.claim()
    connection.execute("listen tributary_wake")
    connection.execute("update tributary.workers set wants_wake = true")
    _, handed, claimed = process.exchange(first, 2)
    assert (len(handed), claimed) == (2, [])
    states = kit.states(connection, run)
    assert sorted(states.values()) == ["available"] * 3 + ["completed"] + ["running"] * 2


@pytest.mark.parametrize(("room", "told", "handed_on"), [(3, False, 3), (5, True, 5), (9, True, 5)])
def test_the_caller_is_told_whether_that_was_all(connection, process, room, told, handed_on):
    """And whatever it has room for, it claims no more than it asks for."""
    for _ in range(8):
        kit.intent(connection, priority=-1)
    shape = {"a": (), **{f"b{n}": ("a",) for n in range(5)}}
    kit.start(connection, kit.workflow("w.v1", shape))
    (first,) = process.claim(1)
    refused, handed, claimed, all_of_it = process.exchange_told([first], room, claims=2)
    assert (refused, len(handed), all_of_it) == ([], handed_on, told)
    assert len(claimed) == min(2, room - handed_on)


def test_nothing_is_claimed_where_all_room_is_for_what_is_released(connection, process):
    waits = kit.intent(connection, priority=-1)
    chain(connection)
    first = process.claim(1)
    refused, handed, claimed = process.exchange(first, 5, claims=0)
    assert (refused, steps(handed), claimed) == ([], ["b"], [])
    assert kit.row(connection, waits)["state"] == "available"


def test_what_waits_since_before_the_run_goes_first(connection, process):
    older = kit.intent(connection)
    run = chain(connection)
    first = [item for item in process.claim() if item.run_id == run]
    connection.execute(
        "update tributary.steps set state = 'available', process_id = null where run_id = %s", (older,)
    )
    _, handed, claimed = process.exchange(first, 1)
    assert (handed, [item.run_id for item in claimed]) == ([], [older])
    assert kit.states(connection, run)["b"] == "available"


def test_a_run_goes_on_before_what_came_after_it(connection, process):
    run = chain(connection)
    first = process.claim()
    later = kit.intent(connection)
    _, handed, claimed = process.exchange(first, 1)
    assert (steps(handed), claimed) == (["b"], [])
    _, handed, claimed = process.exchange(handed, 2)
    assert (steps(handed), [item.run_id for item in claimed]) == (["c"], [later])
    assert kit.states(connection, run)["c"] == "running"


@pytest.mark.parametrize(("priority", "handed_on"), [(5, False), (-5, True)])
def test_priorities_are_kept(connection, process, priority, handed_on):
    chain(connection)
    first = process.claim()
    kit.intent(connection, priority=priority)
    _, handed, claimed = process.exchange(first, 1)
    assert (steps(handed), len(claimed)) == ((["b"], 0) if handed_on else ([], 1))


def test_a_step_of_a_worse_priority_than_what_waits_is_not_handed_on(connection, process):
    shape = {"a": (), "b": {"needs": ("a",), "options": {"priority": -1}}}
    kit.start(connection, kit.workflow("w.v1", shape))
    first = process.claim()
    waits = kit.intent(connection)
    _, handed, claimed = process.exchange(first, 1)
    assert (handed, [item.run_id for item in claimed]) == ([], [waits])


def looks(connection, act):
    """Return what ``act`` returns, and how often it looked for what is available."""
    with connection.transaction():
        connection.execute("set local track_functions = 'all'")
        found = act()
        counted = (
            "select coalesce(sum(calls), 0) from pg_stat_xact_user_functions where funcname = 'lock_lanes'"
        )
        return found, int(kit.scalar(connection, counted))


def test_lanes_that_were_empty_are_not_looked_at_again_for_the_one_step_that_goes_on(connection, process):
    chain(connection)
    first = process.claim()
    (_, handed, claimed), count = looks(connection, lambda: process.exchange(first))
    assert (steps(handed), claimed, count) == (["b"], [], 0)


def expiring(connection, run, step):
    """Let a step expire, which takes it out of what is handed on."""
    later = (
        "update tributary.steps set expires_at = now() + interval '1 hour' where run_id = %s and step_id = %s"
    )
    connection.execute(later, (run, step))


def test_a_sibling_that_is_not_handed_on_is_claimed_in_the_same_call(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": ("a",), "c": ("a",)}))
    expiring(connection, run, "c")
    first = process.claim()
    (_, handed, claimed), count = looks(connection, lambda: process.exchange(first))
    assert (steps(handed), steps(claimed), count) == (["b"], ["c"], 1)


def test_an_only_child_that_is_not_handed_on_is_claimed_in_the_same_call(connection, process):
    expiring(connection, chain(connection), "b")
    first = process.claim()
    (_, handed, claimed), count = looks(connection, lambda: process.exchange(first))
    assert (handed, steps(claimed), count) == ([], ["b"], 1)


def test_what_came_after_the_run_is_found_in_the_same_call(connection, process):
    chain(connection)
    first = process.claim()
    later = kit.intent(connection)
    (_, handed, claimed), count = looks(connection, lambda: process.exchange(first))
    assert (steps(handed), [item.run_id for item in claimed], count) == (["b"], [later], 1)


SET = "insert into tributary.queues (name, {}) values ('default', {})"
KEEPS = {
    "a paused queue": SET.format("paused", "true"),
    "a limited queue": SET.format("concurrency", "5"),
    "a limited tenant": "insert into tributary.tenants (tenant_id, concurrency) values ('', 5)",
    "a disabled name": "update tributary.registry set is_enabled = false",
    "a paused run": "select tributary.pause_run('{run}')",
}


@pytest.mark.parametrize("what", KEEPS)
def test_nothing_is_handed_on_under(connection, process, what):
    run = chain(connection)
    first = process.claim()
    connection.execute(KEEPS[what].format(run=run))
    refused, handed, _ = process.exchange(first)
    assert (refused, handed) == ([], [])
    assert kit.states(connection, run)["a"] == "completed"


@pytest.mark.parametrize(
    "step",
    [
        {"needs": ("a",), "name": "t.other.v1"},
        {"needs": ("a",), "options": {"queue": "elsewhere"}},
        {"needs": ("a", "x")},
    ],
    ids=["a name of others", "a queue of others", "a need that has not ended"],
)
def test_what_the_process_would_not_claim_is_left_to_others(connection, process, step):
    kit.offer(connection, "t.other.v1")
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "x": (), "b": step}))
    first = [item for item in process.claim() if item.step_id == "a"]
    _, handed, claimed = process.exchange(first)
    assert (handed, claimed) == ([], [])
    assert kit.states(connection, run)["b"] in {"available", "blocked"}


def test_who_was_silent_is_handed_nothing(connection, process):
    run = chain(connection)
    first = process.claim()
    process.fall_silent()
    assert process.exchange(first) == ([], [], [])
    assert kit.states(connection, run)["b"] == "available"


def test_tokens_that_do_not_stand_are_refused_and_the_rest_goes_on(connection, process):
    run, lost = chain(connection), chain(connection)
    first = process.claim()
    connection.execute("select tributary.cancel(%s)", (lost,))
    refused, handed, _ = process.exchange(first)
    assert [token[0] for token in refused] == [lost]
    assert [(item.run_id, item.step_id) for item in handed] == [(run, "b")]


@pytest.mark.timeout(600)
def test_both_ways_claim_the_same_where_there_is_room_for_all(connection, histories):
    """Where a process takes all there is, an exchange leads to what a finish and a claim lead to."""
    handed_on = 0

    # of sixty one in hundreds draws hardly a history in which something is handed on
    @settings(max_examples=max(200, histories // 2), deadline=None, suppress_health_check=list(HealthCheck))
    @of_worlds
    def run(specs, child, fan, history):
        nonlocal handed_on
        emptied(connection)
        set_clock(connection, 0)
        world = World(connection, specs, child, fan)
        for operation in history:
            done = [item for item in world.held if item.name == kit.NAME and stands(connection, item)]
            if done:
                # what is due becomes available now, not with one of the two alone
                kit.everywhere(connection, "promote", 500)
                before = kit.scalar(connection, "select max(seq) from tributary.steps")
                with connection.transaction(force_rollback=True):
                    world.process.finish(done)
                    taken = tokens(world.process.claim(1000))
                    apart = tables(connection, before)
                with connection.transaction(force_rollback=True):
                    refused, handed, claimed = world.process.exchange(done, 1000)
                    assert refused == []
                    assert tokens(handed + claimed) == taken
                    assert tables(connection, before) == apart
                handed_on += len(handed)
            world.step(*operation)

    run()
    assert handed_on > 3


def tokens(claimed):
    return sorted((item.run_id, item.ordinal, item.attempt) for item in claimed)


def tables(connection, before):
    return (
        connection.execute(ROWS, {"before": before}).fetchall(),
        connection.execute(RUNS).fetchall(),
        connection.execute(
            "select run_id::text, ordinal, type from tributary.event_log order by 1, 2, 3"
        ).fetchall(),
    )
