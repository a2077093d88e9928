"""Work that expires: never claimed after its time, cancelled by whoever comes by."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.store import protocol_kit as kit

SUBMIT = "select id::text from tributary.submit(%s, '{}', %s::jsonb)"


def submit(connection, name=kit.NAME, **options):
    return kit.scalar(connection, SUBMIT, name, json.dumps(options))


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


@pytest.fixture
def fork(connection, process):
    """Return the name of a workflow that begins with two steps."""
    spec = kit.workflow("t.fork.v1", {"a": (), "b": (), "c": ("a", "b")})
    kit.scalar(
        connection, "select tributary.register_workflow(%s, %s, null)", spec.name, kit.save(connection, spec)
    )
    return spec.name


def later(connection, process, interval="11 minutes"):
    kit.advance(connection, interval)
    process.beat()


def events(connection, work_id):
    sql = "select type, data ->> 'reason' from tributary.event_log where run_id = %s order by event_id"
    return connection.execute(sql, (work_id,)).fetchall()


def take(process):
    """Claim without the promotion that would cancel what has expired: as if nobody else were there."""
    return [
        item
        for shard in kit.shards(process.connection)
        for item in process.take(["default"], [0], [""], [0], 100, shard=shard)
    ]


def test_the_claim_itself_passes_over_what_has_expired(connection, process):
    late, other = submit(connection, expires_in=600), submit(connection)
    later(connection, process)
    assert [item.run_id for item in take(process)] == [other]
    assert kit.row(connection, late)["state"] == "available"


def test_other_languages_do_not_get_it_either(connection, process):
    submit(connection, expires_in=600)
    foreign = kit.scalar(connection, "select tributary.register_process('x', 'python', array[%s])", kit.NAME)
    later(connection, process)
    claim = "select count(*) from tributary.claim(%s, '{default}', array[%s], 10)"
    assert kit.scalar(connection, claim, foreign, kit.NAME) == 0


@pytest.mark.parametrize("state", ["available", "scheduled", "waiting"])
def test_it_is_cancelled_with_its_reason_and_counts_as_no_failure(connection, process, state):
    work = {
        "available": lambda: submit(connection, expires_in=600),
        "scheduled": lambda: submit(connection, expires_in=600, run_after=300),
        "waiting": lambda: submit(connection, "t.nobody.v1", expires_in=600),
    }[state]()
    assert kit.row(connection, work)["state"] == state
    kit.everywhere(connection, "promote", 500)
    assert kit.row(connection, work)["state"] == state
    later(connection, process)
    kit.everywhere(connection, "promote", 500)
    row = kit.row(connection, work)
    assert (row["state"], row["reason"], row["attempt"]) == ("cancelled", "expired", 0)
    assert events(connection, work) == [("step_cancelled", "expired")]
    assert kit.scalar(connection, "select count(*) from tributary.dead_letters") == 0


def test_a_leader_without_other_work_is_told(connection, process):
    worker = kit.scalar(connection, "select tributary.clock_us()")
    attend = "select due from tributary.attend(%s, 60, '10 seconds', null, '60 seconds')"
    submit(connection, expires_in=600)
    assert not kit.scalar(connection, attend, worker)
    later(connection, process)
    assert kit.scalar(connection, attend, worker)
    kit.everywhere(connection, "promote", 500)
    assert not kit.scalar(connection, attend, worker)


@pytest.mark.parametrize("outcome", ["retry", "snoozed"])
def test_what_has_started_expires_no_more(connection, process, outcome):
    work = submit(connection, expires_in=600)
    process.finish(process.claim(), outcome, delay=60)
    later(connection, process)
    [claimed] = process.claim()
    assert claimed.run_id == work
    process.finish([claimed])
    assert kit.row(connection, work)["state"] == "completed"


def test_what_was_given_back_unstarted_still_expires(connection, process):
    work = submit(connection, expires_in=600)
    process.finish(process.claim(), "returned")
    later(connection, process)
    assert process.claim() == []
    assert kit.row(connection, work)["reason"] == "expired"


def test_a_run_expires_as_a_whole(connection, process, fork):
    run = submit(connection, fork, expires_in=600)
    later(connection, process)
    assert take(process) == []
    assert process.claim() == []
    assert kit.run_row(connection, run)[::4] == ("cancelled", "expired")
    assert set(kit.states(connection, run).values()) == {"cancelled"}
    assert events(connection, run) == [("run_cancelled", "expired")]


def test_a_run_that_has_started_goes_on(connection, process, fork):
    run = submit(connection, fork, expires_in=600)
    [first] = process.take(["default"], [0], [""], [0], 1, shard=kit.shard_of(connection, run))
    later(connection, process)
    assert take(process) == []
    [second] = process.claim()
    process.finish([first, second])
    process.finish(process.claim())
    assert kit.run_row(connection, run)[0] == "completed"


def test_an_explicit_retry_of_what_expired_runs(connection, process, fork):
    work, run = submit(connection, expires_in=600), submit(connection, fork, expires_in=600)
    later(connection, process)
    assert process.claim() == []
    for one in (work, run):
        connection.execute("select tributary.retry(%s)", (one,))
    assert {item.run_id for item in process.claim()} == {work, run}


def test_what_somebody_holds_is_left_for_the_next_sweep(connection, process, fork, database):
    work, run = submit(connection, expires_in=600), submit(connection, fork, expires_in=600)
    later(connection, process)
    with psycopg.connect(database) as holder:
        holder.execute("select from tributary.steps where run_id = %s for update", (work,))
        holder.execute("select from tributary.runs where run_id = %s for update", (run,))
        connection.execute("set statement_timeout = '5s'")
        assert kit.everywhere(connection, "expire_steps", 100) == 0
    assert kit.everywhere(connection, "expire_steps", 100) == 2


def test_ten_thousand_expired_rows_do_not_hide_what_can_run(connection, process):
    connection.execute(
        """insert into tributary.steps (run_id, seq, created_at, ordinal, kind, state, shard, name,
                                        expires_at)
           select tributary.new_id(), n, tributary.clock(), 0, 'intent', 'available', 0, %s, tributary.clock()
           from generate_series(1, 10000) as n""",
        (kit.NAME,),
    )
    fresh = submit(connection)
    rounds = 0
    while not (found := process.claim(100)):
        rounds += 1
    assert [item.run_id for item in found] == [fresh]
    assert rounds <= 20


def test_a_run_whose_steps_were_given_back_unstarted_still_expires(connection, process, fork):
    run = submit(connection, fork, expires_in=600)
    process.finish(process.claim(), "returned")
    later(connection, process)
    assert process.claim() == []
    assert kit.run_row(connection, run)[::4] == ("cancelled", "expired")


def test_a_run_that_has_put_itself_off_expires_no_more(connection, process, fork):
    run = submit(connection, fork, expires_in=600)
    process.finish(process.claim(), "snoozed", delay=60)
    later(connection, process)
    assert len(process.claim()) == 2
    assert kit.run_row(connection, run)[0] == "running"
