"""Blame in the table: who becomes a suspect, what proves guilt, and what is only given back."""

from __future__ import annotations

import pytest

from tests.store import protocol_kit as kit


@pytest.fixture
def process(connection):
    """A registered Python process that offers the usual handler."""
    kit.offer(connection)
    return kit.Process(connection)


def step(connection, run_id):
    return connection.execute(
        "select state::text, attempt, crashes, lone_crashes, reason from tributary.steps where run_id = %s",
        (run_id,),
    ).fetchone()


def take(process, run_id):
    """Claim the one intent that is ready."""
    (claimed,) = process.claim(1)
    assert claimed.run_id == run_id
    return claimed


def mark_started(connection, claimed):
    connection.execute(
        f"select from tributary.mark_started({kit.shard_of(connection, claimed.run_id)}::smallint,"
        " %s::uuid[], %s::int[], %s::bigint[])",
        ([claimed.run_id], [claimed.ordinal], [claimed.seq]),
    )


def test_a_suspect_runs_on_and_three_crashes_alone_discard_it(connection, process):
    run = kit.intent(connection, max_attempts=2)
    process.finish([take(process, run)], "suspected")
    assert step(connection, run) == ("available", 1, 1, 0, "crashed")
    for crash in (1, 2):
        claimed = take(process, run)
        assert claimed.lone_crashes == crash - 1
        process.finish([claimed], "crashed_alone")
        assert step(connection, run) == ("available", 1 + crash, 1 + crash, crash, "crashed")
    process.finish([take(process, run)], "crashed_alone")
    assert step(connection, run) == ("discarded", 4, 4, 3, "crashed")
    letter = connection.execute("select reason, attempt from tributary.dead_letters").fetchall()
    assert letter == [("crashed", 4)]
    outcomes = connection.execute("select outcome from tributary.attempts order by seq").fetchall()
    assert [row[0] for row in outcomes] == ["crashed", "crashed", "crashed", "discarded"]


def test_crashes_use_up_no_attempt_of_a_suspect_that_fails_in_between(connection, process):
    run = kit.intent(connection, max_attempts=2)
    process.finish([take(process, run)], "suspected")
    process.finish([take(process, run)], "crashed_alone")
    process.finish([take(process, run)], "retry", delay=0.0)
    assert step(connection, run)[:4] == ("available", 3, 2, 1), "one ordinary failure, still a suspect"
    process.finish([take(process, run)], "retry", delay=0.0)
    assert step(connection, run)[:4] == ("discarded", 4, 2, 1)


def test_what_dies_with_its_whole_worker_is_suspected_the_second_time(connection, process):
    run = kit.intent(connection)
    process.finish([take(process, run)], "crashed")
    assert step(connection, run) == ("available", 1, 1, None, "crashed")
    process.finish([take(process, run)], "crashed")
    assert step(connection, run) == ("available", 2, 2, 0, "crashed")


def test_a_suspect_that_had_not_started_is_released_uncounted(connection, process):
    run = kit.intent(connection)
    process.finish([take(process, run)], "suspected")
    process.finish([take(process, run)], "crashed")
    assert step(connection, run)[:4] == ("available", 1, 1, 0)
    claimed = take(process, run)
    mark_started(connection, claimed)
    process.finish([claimed], "crashed")
    assert step(connection, run)[:4] == ("available", 2, 2, 1), "this one had"


@pytest.mark.parametrize("outcome", ["suspected", "crashed", "released"])
def test_at_most_once_what_had_started_is_discarded_and_what_had_not_is_given_back(
    connection, process, outcome
):
    run = kit.intent(connection, max_attempts=1)
    process.finish([take(process, run)], outcome)
    assert step(connection, run)[:3] == ("available", 0, 0)
    claimed = take(process, run)
    mark_started(connection, claimed)
    process.finish([claimed], outcome)
    state, attempt, _, _, reason = step(connection, run)
    assert (state, attempt, reason) == ("discarded", 1, "interrupted")


def test_who_knows_that_it_never_started_returns_it_even_when_its_start_was_recorded(connection, process):
    run = kit.intent(connection, max_attempts=1)
    claimed = take(process, run)
    mark_started(connection, claimed)
    process.finish([claimed], "returned")
    assert step(connection, run) == ("available", 0, 0, None, None)
    assert connection.execute("select count(*) from tributary.event_log").fetchone() == (0,)
    process.finish([take(process, run)], "completed")
    assert step(connection, run)[0] == "completed"


def test_a_crash_alone_ends_an_at_most_once_attempt_under_its_own_name(connection, process):
    run = kit.intent(connection, max_attempts=1)
    error = {"type": "ProcessDied", "message": "signal 11", "reason": "crashed"}
    process.finish([take(process, run)], "crashed_alone", error=error)
    assert step(connection, run) == ("discarded", 1, 1, 1, "crashed")


def test_an_explicit_retry_clears_the_name(connection, process):
    run = kit.intent(connection, max_attempts=1)
    process.finish([take(process, run)], "crashed_alone")
    connection.execute("select tributary.requeue(%s)", (run,))
    assert step(connection, run)[2:4] == (0, None)


def test_other_runtimes_get_a_suspect_only_while_they_hold_nothing_and_then_nothing_else(connection):
    mine = kit.scalar(
        connection, "select tributary.register_process('sh', 'shell', %s)", ["t.shell.v1", "t.other.v1"]
    )

    def claim(most=10):
        return connection.execute(
            "select run_id::text, token, name from tributary.claim(%s, %s, %s, %s)",
            (mine, ["default"], ["t.shell.v1", "t.other.v1"], most),
        ).fetchall()

    def end(row, outcome="completed"):
        return kit.scalar(
            connection, "select tributary.finish(%s, %s, %s, %s)", mine, row[0], row[1], outcome
        )

    bad = kit.scalar(connection, "select tributary.submit_intent('t.shell.v1')")
    for crash in (1, 2):
        assert [row[0] for row in claim()] == [str(bad)]
        connection.execute("delete from tributary.processes where process_id = %s", (mine,))
        kit.rescue(connection)
        mine = kit.scalar(
            connection, "select tributary.register_process('sh', 'shell', %s)", ["t.shell.v1", "t.other.v1"]
        )
        assert step(connection, bad)[2:4] == (crash, None if crash == 1 else 0)
    good = kit.scalar(connection, "select tributary.submit_intent('t.other.v1')")
    assert [row[0] for row in claim()] == [str(bad)], "alone, whatever else is ready"
    assert claim() == [], "and nothing beside it"
    connection.execute("delete from tributary.processes where process_id = %s", (mine,))
    kit.rescue(connection)
    assert step(connection, bad)[2:4] == (3, 1), "its start came with the claim: this was its own crash"
    mine = kit.scalar(
        connection, "select tributary.register_process('sh', 'shell', %s)", ["t.shell.v1", "t.other.v1"]
    )
    first = claim()
    assert [row[0] for row in first] == [str(bad)]
    assert end(first[0])
    second = claim()
    assert [row[0] for row in second] == [str(good)]
    later = kit.scalar(connection, "select tributary.submit_intent('t.shell.v1')")
    connection.execute("update tributary.steps set lone_crashes = 0 where run_id = %s", (later,))
    assert claim() == [], "it holds something, so the suspect waits"
    assert end(second[0])
    assert [row[0] for row in claim()] == [str(later)]


def test_a_beat_from_the_future_is_that_of_the_dead(connection, process):
    """The server's clock was set back: who lives has beaten again since, by the new time."""
    run = kit.intent(connection)
    take(process, run)
    connection.execute("update tributary.processes set beat_at = beat_at + interval '1 hour'")
    assert kit.rescue(connection) == 1
    assert step(connection, run)[0] == "available"


def test_a_lease_of_a_role_that_ends_far_in_the_future_is_taken_over(connection):
    take_role = "select tributary.lead('maintenance', %s, 6)"
    assert kit.scalar(connection, take_role, 1)
    connection.execute("update tributary.leaders set expires_at = expires_at + interval '1 hour'")
    assert kit.scalar(connection, take_role, 2)
