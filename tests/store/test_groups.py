"""Concurrency groups: who holds, who waits, what newer members oust; no slot is lost and none given twice."""

from __future__ import annotations

import random

import psycopg
import pytest

from tests.store import protocol_kit as kit

HELD = "select count(*) from tributary.group_slots where state = 'held'"
SPEC = kit.workflow("w.etl.v1", {"a": (), "b": ("a",)})


@pytest.fixture
def offered(connection):
    kit.offer(connection)
    return connection


def enter(connection, run_id, ordinal=1, *, group="etl", limit=1, on_limit="queue", tenant=""):
    return kit.scalar(
        connection, "select tributary.enter_group({shard}, %s, %s, %s, %s, %s, %s)",
        tenant, group, limit, on_limit, run_id, ordinal,
    )  # fmt: skip


def leave(connection, run_id, ordinal=1):
    return kit.scalar(connection, "select tributary.leave_group({shard}, %s, %s)", run_id, ordinal)


def promote(connection):
    return kit.everywhere(connection, "promote_groups", 100)


def sweep(connection):
    connection.execute("select tributary.sweep_groups(500, null)")


def members(connection, group="etl"):
    """Return {run id: state} of a group, in the order of entry."""
    return dict(
        connection.execute(
            "select run_id::text, state from tributary.group_slots where name = %s order by rank", (group,)
        ).fetchall()
    )


def begin(connection, **more):
    """Submit a run whose whole is in a group; return its id and whether it got the slot."""
    values = {"group": "etl", "limit": 1, "on_limit": "queue", **more}
    with connection.transaction():
        run_id = kit.start(connection, SPEC)
        state = kit.scalar(
            connection, "select tributary.group_run({shard}, %s, %s, %s, %s)",
            run_id, values["group"], values["limit"], values["on_limit"],
        )  # fmt: skip
    return run_id, state


def group_step(connection, worker, claimed, **more):
    values = {"group": "etl", "limit": 1, "on_limit": "queue", **more}
    return kit.scalar(
        connection, "select tributary.group_step({shard}, %s, %s, %s, %s, %s, %s, %s)",
        worker.id, claimed.run_id, claimed.ordinal, claimed.seq,
        values["group"], values["limit"], values["on_limit"],
    )  # fmt: skip


def steps(connection, count, worker):
    """Submit runs of one step and claim them."""
    one = kit.workflow("w.one.v1", {"a": ()})
    for _ in range(count):
        kit.start(connection, one)
    claimed = worker.claim()
    assert len(claimed) == count
    return claimed


def test_slots_go_to_those_who_came_first_and_free_ones_to_who_waited_longest(offered):
    one, two, three = (kit.start(offered, SPEC) for _ in range(3))
    assert [enter(offered, run, limit=2) for run in (one, two, three)] == ["held", "held", "queued"]
    assert enter(offered, three, group="other") == "held", "it asks for another one now"
    assert enter(offered, three, limit=2) == "queued"
    four = kit.start(offered, SPEC)
    assert enter(offered, four, limit=2) == "queued"
    assert leave(offered, two)
    assert promote(offered) == 1
    assert members(offered) == {one: "held", three: "held", four: "waiting"}
    assert not leave(offered, two), "it has left"
    assert promote(offered) == 0


def test_who_asks_again_keeps_what_it_has(offered):
    one, two = kit.start(offered, SPEC), kit.start(offered, SPEC)
    assert [enter(offered, run) for run in (one, one, two, two, one)] == [
        "held",
        "held",
        "queued",
        "queued",
        "held",
    ]


def test_tenants_and_names_are_apart_and_a_step_has_the_slot_of_its_run(offered):
    run = kit.start(offered, SPEC)
    assert enter(offered, run, None) == "held"
    assert enter(offered, run, 1) == "held"
    assert members(offered) == {run: "held"}, "one slot for both"
    assert enter(offered, run, 2, tenant="acme") == "held"
    other = kit.start(offered, SPEC)
    assert enter(offered, other, group="etl-2") == "held"
    assert leave(offered, run, None), "a run leaves with its steps"
    assert members(offered, "etl-2") == {other: "held"}
    promote(offered)
    assert kit.scalar(offered, "select count(*) from tributary.group_slots where run_id = %s", run) == 0
    assert kit.scalar(offered, "select array_agg(name) from tributary.groups") == ["etl-2"]


def test_the_group_of_one_submit_is_not_that_of_the_next_in_its_transaction(offered):
    spec = kit.workflow("w.grouped.v1", {"a": ()}, concurrency={"group": "own", "limit": 1})
    with offered.transaction():
        given = ("""{"group": "given"}""", kit.save(offered, spec), spec.name)
        offered.execute(
            """select tributary.submit_run_with(
                   %s, %s, %s, '{}', null, null, null, null, '{}', '', null, null, null)""",
            given,
        )
        kit.start(offered, spec)
    assert offered.execute("select name from tributary.group_slots order by rank").fetchall() == [
        ("given",), ("own",),
    ]  # fmt: skip


def test_no_newcomer_overtakes_while_a_slot_is_free_but_not_given_yet(offered):
    one, two, three = (kit.start(offered, SPEC) for _ in range(3))
    assert [enter(offered, run) for run in (one, two)] == ["held", "queued"]
    leave(offered, one)
    assert enter(offered, three) == "queued"
    assert enter(offered, kit.start(offered, SPEC), on_limit="reject") == "rejected"
    # the one that left begins anew, which hides its note that a slot is free
    assert enter(offered, one) == "queued"
    assert promote(offered) == 1
    assert members(offered) == {two: "held", three: "waiting", one: "waiting"}


def test_a_higher_limit_lets_those_who_wait_in(offered):
    runs = [kit.start(offered, SPEC) for _ in range(4)]
    assert [enter(offered, run) for run in runs[:3]] == ["held", "queued", "queued"]
    assert enter(offered, runs[3], limit=3) == "queued"
    assert promote(offered) == 2
    assert list(members(offered).values()) == ["held", "held", "held", "waiting"]


def test_a_whole_run_waits_with_its_roots_and_starts_when_the_slot_is_free(offered):
    first, state = begin(offered)
    assert state == "held"
    second, state = begin(offered)
    assert state == "queued"
    assert kit.states(offered, second) == {"a": "waiting", "b": "blocked"}
    assert kit.row(offered, second, "a")["reason"] == "group"
    shown = "select tributary.run_state_now({shard}, %s, 'running', null)"
    assert kit.scalar(offered, shown, second) == "waiting"
    worker = kit.Process(offered)
    assert worker.work_off() == 2
    assert kit.run_row(offered, first)[0] == "completed"
    assert kit.states(offered, second) == {"a": "waiting", "b": "blocked"}
    leave(offered, first, None)
    assert promote(offered) == 1
    assert worker.work_off() == 2
    assert kit.run_row(offered, second)[0] == "completed"
    kit.check_invariants(offered)


def test_a_run_that_waits_for_its_time_and_one_that_was_paused_meanwhile(offered):
    first, _ = begin(offered, limit=1)
    second, third = begin(offered)[0], begin(offered)[0]
    offered.execute(
        "update tributary.steps set run_at = now() + interval '1 hour' where run_id = %s and step_id = 'a'",
        (second,),
    )
    offered.execute("update tributary.runs set state = 'paused' where run_id = %s", (third,))
    leave(offered, first, None)
    promote(offered)
    assert kit.states(offered, second)["a"] == "scheduled"
    leave(offered, second, None)
    promote(offered)
    row = kit.row(offered, third, "a")
    assert (row["state"], row["reason"]) == ("waiting", "paused")


def test_a_handler_that_comes_while_the_run_waits_starts_nothing_of_it(connection):
    first, _ = begin(connection)
    second, _ = begin(connection)
    assert kit.row(connection, second, "a")["reason"] == "no_handler"
    kit.offer(connection)
    assert kit.states(connection, first)["a"] == "available"
    assert kit.states(connection, second)["a"] == "waiting"
    leave(connection, first, None)
    promote(connection)
    assert kit.everywhere(connection, "release_waiting", 100) >= 1
    assert kit.states(connection, second)["a"] == "available"


def test_a_step_that_a_worker_has_claimed_waits_without_an_attempt(offered):
    worker = kit.Process(offered)
    one, two = steps(offered, 2, worker)
    assert group_step(offered, worker, one) == "held"
    assert group_step(offered, worker, two) == "queued"
    row = kit.row(offered, two.run_id, "a")
    assert (row["state"], row["reason"], row["attempt"], row["process_id"]) == ("waiting", "group", 0, None)
    assert group_step(offered, worker, two) == "lost", "its lease is gone"
    assert worker.finish([two]) == [(two.run_id, two.ordinal, two.seq)]
    worker.finish([one])
    leave(offered, one.run_id)
    assert promote(offered) == 1
    (again,) = worker.claim()
    assert (again.run_id, again.attempt) == (two.run_id, 1)
    assert group_step(offered, worker, again) == "held"


def test_reject_leaves_the_step_to_its_process(offered):
    worker = kit.Process(offered)
    one, two = steps(offered, 2, worker)
    assert group_step(offered, worker, one) == "held"
    assert group_step(offered, worker, two, on_limit="reject") == "rejected"
    assert (
        worker.finish(
            [two], "discarded", error={"type": "Rejected", "message": "full", "reason": "group_limit"}
        )
        == []
    )
    assert kit.row(offered, two.run_id, "a")["reason"] == "group_limit"
    assert list(members(offered).values()) == ["held"]


def test_a_holder_that_is_killed_runs_again_under_its_own_slot(offered):
    worker, other = kit.Process(offered), kit.Process(offered)
    one, two = steps(offered, 2, worker)
    assert [group_step(offered, worker, item) for item in (one, two)] == ["held", "queued"]
    worker.fall_silent()
    assert kit.rescue(offered) == 1
    promote(offered)
    sweep(offered)
    (again,) = other.claim()
    assert (again.run_id, again.attempt) == (one.run_id, 2)
    assert group_step(offered, other, again) == "held"
    assert members(offered) == {one.run_id: "held", two.run_id: "waiting"}


def test_whoever_ends_without_leaving_is_swept(offered):
    worker = kit.Process(offered)
    claimed = steps(offered, 3, worker)
    one, two, three = claimed
    assert [group_step(offered, worker, item, limit=2) for item in claimed] == ["held", "held", "queued"]
    worker.finish([one])
    offered.execute("select tributary.cancel(%s)", (two.run_id,))
    assert promote(offered) == 0, "nobody said so"
    sweep(offered)
    assert members(offered) == {three.run_id: "held"}
    offered.execute("select tributary.cancel(%s)", (three.run_id,))
    # a newcomer proves it, too
    assert enter(offered, one.run_id, limit=1) == "held"
    assert members(offered) == {one.run_id: "held"}
    offered.execute("delete from tributary.steps where run_id = %s", (one.run_id,))
    sweep(offered)
    assert kit.scalar(offered, "select count(*) from tributary.groups") == 0


def test_cancel_pending_the_newest_wins_and_the_waiting_are_cancelled(offered):
    first, second, third = (begin(offered, on_limit="cancel_pending") for _ in range(3))
    assert [state for _, state in (first, second, third)] == ["held", "queued", "queued"]
    assert promote(offered) == 1
    assert kit.run_row(offered, second[0])[0::4] == ("cancelled", "superseded")
    assert members(offered) == {first[0]: "held", third[0]: "waiting"}
    leave(offered, first[0], None)
    assert promote(offered) == 1
    assert members(offered) == {third[0]: "held"}


def test_cancel_running_ends_the_holder_and_the_slot_is_given_once_it_has_ended(offered):
    first, waiting = begin(offered), begin(offered)
    worker = kit.Process(offered)
    (running,) = worker.claim()
    newest, state = begin(offered, on_limit="cancel_running")
    assert state == "queued"
    assert kit.states(offered, newest)["a"] == "waiting", "the holder has not ended yet"
    for _ in range(3):
        promote(offered)
    assert [kit.run_row(offered, run)[0] for run, _ in (first, waiting)] == ["cancelled", "cancelled"]
    assert worker.finish([running]) == [(running.run_id, running.ordinal, running.seq)]
    assert members(offered) == {newest: "held"}
    assert kit.states(offered, newest)["a"] == "available"


def test_cancel_running_takes_no_more_slots_than_it_needs(offered):
    one, two, three = (begin(offered, limit=3)[0] for _ in range(3))
    newest, state = begin(offered, limit=3, on_limit="cancel_running")
    assert state == "queued"
    while promote(offered):
        pass
    assert [kit.run_row(offered, run)[0] for run in (one, two, three)] == ["cancelled", "running", "running"]
    assert members(offered) == {two: "held", three: "held", newest: "held"}


def test_a_step_that_is_ousted_fails_its_run(offered):
    worker = kit.Process(offered)
    offered.execute("listen tributary_cancel")
    run = kit.start(offered, SPEC)
    (one,) = worker.claim()
    assert group_step(offered, worker, one) == "held"
    two = steps(offered, 1, worker)[0]
    assert group_step(offered, worker, two, on_limit="cancel_running") == "queued"
    while promote(offered):
        pass
    assert kit.states(offered, run) == {"a": "cancelled", "b": "skipped"}
    assert kit.run_row(offered, run)[0] == "failed"
    assert kit.row(offered, run, "a")["reason"] == "superseded"
    assert [note.payload for note in offered.notifies(timeout=5, stop_after=1)] == [str(worker.id)]
    assert members(offered) == {two.run_id: "held"}
    kit.check_invariants(offered)


def test_promotions_wait_for_nobody_and_nobody_overtakes_the_first(offered, database):
    first, second, third = (begin(offered)[0] for _ in range(3))
    leave(offered, first, None)
    with psycopg.connect(database) as other:
        other.execute("select from tributary.runs where run_id = %s for update", (second,))
        assert promote(offered) == 0
    with psycopg.connect(database) as other:
        other.execute("select from tributary.groups for update")
        assert promote(offered) == 0
    assert promote(offered) == 1
    assert members(offered) == {second: "held", third: "waiting"}


@pytest.mark.parametrize(
    ("limit", "on_limit", "group"), [(0, "queue", "g"), (1, "wait", "g"), (1, "queue", "")]
)
def test_what_cannot_be_a_group_is_refused(offered, limit, on_limit, group):
    with pytest.raises(psycopg.Error) as caught:
        enter(offered, kit.start(offered, SPEC), limit=limit, on_limit=on_limit, group=group)
    assert caught.value.sqlstate == "TR001"


def test_who_leaves_wakes_a_worker_of_the_heirs_queue(offered):
    first, _ = begin(offered)
    begin(offered)
    offered.execute("select tributary.register_worker('w', 'h', 1, '0', 1, '{default}', '{}', 10, '[]')")
    offered.execute("listen tributary_wake")
    leave(offered, first, None)
    assert [note.payload for note in offered.notifies(timeout=5, stop_after=1)] == ["default"]


def test_many_at_once_never_exceed_the_limit_and_all_get_through(offered, database):
    """Claimed steps of two groups, each with two slots; processes die and steps end without leaving."""
    one = kit.workflow("w.one.v1", {"a": ()})
    for _ in range(60):
        kit.start(offered, one)
    most = []
    over = """
        select max(n) from (
            select count(*) as n from tributary.group_slots g
            join tributary.steps s using (shard, run_id, ordinal)
            where g.state = 'held' and s.finished_at is null group by g.name) as held"""
    left = "select exists(select from tributary.steps where finished_at is null)"

    def client(connection, seed):
        chance = random.Random(seed)
        worker = kit.Process(connection)
        while kit.scalar(connection, left):
            for claimed in worker.claim(3):
                group = f"g{int(claimed.run_id[-1], 16) % 2}"
                if group_step(connection, worker, claimed, group=group, limit=2) != "held":
                    continue
                most.append(kit.scalar(connection, over))
                dice = chance.random()
                if dice < 0.1:
                    worker.fall_silent()
                    worker = kit.Process(connection)
                    break
                worker.finish([claimed])
                if dice < 0.9:
                    leave(connection, claimed.run_id)
            promote(connection)
            kit.rescue(connection)
            if chance.random() < 0.1:
                sweep(connection)

    with kit.connections(database, 6) as opened:
        kit.together(*[lambda c=c, s=s: client(c, s) for s, c in enumerate(opened)])
    assert max(filter(None, most)) == 2
    sweep(offered)
    assert kit.scalar(offered, HELD) == 0
    kit.check_invariants(offered)
