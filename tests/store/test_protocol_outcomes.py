"""What attempts lead to: retries, budgets, tolerated failures, skips, aborts, closing steps, times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store import protocol_kit as kit
from tributary_daemon.model.retry import BACKOFFS, INTENT_RETRY, STEP_RETRY, Retry


@pytest.fixture(autouse=True)
def _invariants(connection):
    yield
    kit.check_invariants(connection)


@pytest.fixture
def process(connection):
    kit.offer(connection)
    return kit.Process(connection)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    policy=st.fixed_dictionaries(
        {},
        optional={
            "backoff": st.sampled_from(BACKOFFS),
            "delay": st.floats(0, 1e5),
            "multiplier": st.floats(1, 100),
            "max_delay": st.floats(0, 1e6),
        },
    ),
    failures=st.integers(1, 100),
    kind=st.sampled_from(["step", "intent"]),
)
def test_delays_are_those_of_the_model(connection, policy, failures, kind):
    policy = {**policy, "jitter": 0}
    base = INTENT_RETRY if kind == "intent" else STEP_RETRY
    expected = Retry.from_json(policy, base).wait(failures, Random(0))
    delay = kit.scalar(
        connection,
        "select tributary.retry_delay(%s, %s::jsonb, %s)",
        kind,
        kit.json.dumps({"retry": {"value": policy, "level": "step"}}),
        failures,
    )
    assert delay == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["step", "intent"])
def test_jitter_stays_in_its_bounds(connection, kind):
    base = INTENT_RETRY if kind == "intent" else STEP_RETRY
    waits = [kit.scalar(connection, "select tributary.retry_delay(%s, null, 1)", kind) for _ in range(200)]
    assert all(base.delay * 0.9 <= wait <= base.delay * 1.1 for wait in waits)
    assert len(set(waits)) > 100


def test_a_retry_without_a_delay_takes_the_rows_own_policy_until_it_is_exhausted(connection, process):
    intent = kit.intent(
        connection, max_attempts=3, retry='{"backoff": "quadratic", "delay": 10, "jitter": 0}'
    )
    for attempt, wait in ((1, 10), (2, 40)):
        (claimed,) = process.claim()
        assert claimed.attempt == attempt
        process.finish([claimed], "retry")
        found = kit.row(connection, intent)
        assert (found["state"], found["reason"]) == ("scheduled", "retry")
        left = kit.scalar(connection, "select extract(epoch from %s - tributary.clock())", found["run_at"])
        assert wait - 5 < left <= wait
        kit.advance(connection, f"{wait} seconds")
        process.beat()
    process.finish(process.claim(), "retry", delay=90)
    found = kit.row(connection, intent)
    assert (found["state"], found["reason"], found["attempt"]) == ("discarded", "exhausted", 3)
    told = "select data ? 'delay' from tributary.event_log where type = 'step_discarded'"
    assert kit.scalar(connection, told) is False, "no attempt follows"
    assert connection.execute(
        "select attempt, outcome, error ->> 'message', (error ->> 'attempt')::int"
        " from tributary.attempts order by 1"
    ).fetchall() == [(1, "retry", "no", 1), (2, "retry", "no", 2), (3, "discarded", "no", 3)]
    assert connection.execute("select reason, attempt from tributary.dead_letters").fetchall() == [
        ("exhausted", 3)
    ]


def test_a_budget_ends_the_retries(connection, process):
    intent = kit.intent(
        connection, max_attempts=100, retry='{"backoff": "fixed", "delay": 30, "jitter": 0, "budget": 75}'
    )
    attempts = 0
    while kit.row(connection, intent)["state"] != "discarded":
        process.beat()
        process.finish(process.claim(), "retry")
        attempts += 1
        kit.advance(connection, "30 seconds")
    # starts at 0, 30 and 60 s lie within 75 s of the first, 90 s does not
    assert attempts == 3
    assert kit.row(connection, intent)["reason"] == "budget"


def test_snooze_and_release_give_the_number_back(connection, process):
    kit.intent(connection, max_attempts=1)
    for outcome, delay in (("snoozed", 5.0), ("released", None), ("snoozed", 0.0)):
        (claimed,) = process.claim()
        assert claimed.attempt == 1
        assert process.finish([claimed], outcome, delay=delay) == []
        kit.advance(connection, "6 seconds")
        process.beat()
    assert process.finish(process.claim()) == []
    assert connection.execute("select attempt, state::text from tributary.steps").fetchall() == [
        (1, "completed")
    ]


def test_a_mixed_batch_writes_each_outcome_down(connection, process):
    words = ["completed", "retry", "discarded", "snoozed", "released", "skipped", "crashed"]
    ids = [kit.intent(connection) for _ in words]
    claimed = sorted(process.claim(), key=lambda item: ids.index(item.run_id))
    assert process.finish(claimed, words, delay=5.0, result='{"x": 1}') == []
    expected = ["completed", "scheduled", "discarded", "scheduled", "scheduled", "skipped", "scheduled"]
    assert [kit.row(connection, one)["state"] for one in ids] == expected
    assert [kit.row(connection, one)["result"] for one in ids] == [{"x": 1}, *[None] * 6]


DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_what_needs_a_failed_step_is_skipped_transitively(connection, process):
    spec = kit.workflow("w.v1", {**DIAMOND, "e": ("d",), "f": ("c",)})
    run = kit.start(connection, spec)
    process.finish(process.claim())
    b, c = process.claim()
    assert (b.step_id, c.step_id) == ("b", "c")
    process.finish([b], "discarded")
    assert kit.states(connection, run)["d"] == "blocked"
    process.finish([c])
    assert process.work_off() == 1
    assert kit.states(connection, run) == {
        "a": "completed", "b": "discarded", "c": "completed", "d": "skipped", "e": "skipped",
        "f": "completed",
    }  # fmt: skip
    assert kit.run_row(connection, run) == ("failed", 0, 1, 0, None)
    assert kit.row(connection, run, "d")["reason"] == kit.row(connection, run, "e")["reason"] == "upstream"


def test_an_optional_step_is_tolerated(connection, process):
    steps = {**DIAMOND, "b": {"needs": ("a",), "continue_on_error": True}}
    run = kit.start(connection, kit.workflow("w.v1", steps))
    process.finish(process.claim())
    b, c = process.claim()
    process.finish([b, c], ["discarded", "completed"])
    process.work_off()
    assert kit.run_row(connection, run) == ("completed", 0, 0, 1, None)
    assert connection.execute("select from tributary.dead_letters").fetchall() == []


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_an_abort_ends_its_run(connection, process, optional, last):
    steps = {"a": {"continue_on_error": optional}, "b": (), "c": ("a",)}
    run = kit.start(connection, kit.workflow("w.v1", steps, result="${{ steps.b.result }}"))
    a, b = process.claim()
    assert process.finish([b] if last else []) == []
    assert (
        process.finish([a], "aborted", error={"type": "Abort", "message": "enough", "reason": "aborted"})
        == []
    )
    ends = kit.states(connection, run)
    assert ends["a"] == "discarded"
    assert ends["b"] == ("completed" if last else "cancelled")
    assert ends["c"] == "skipped"
    state, remaining, failed, warnings, reason = kit.run_row(connection, run)
    assert (state, remaining, warnings, reason) == ("failed", 0, 0, "aborted")
    assert failed >= 1
    assert process.finish([b]) != []
    assert kit.scalar(connection, "select tributary.retry(%s)", run) == "running"
    process.work_off()
    assert kit.run_row(connection, run)[0] == "completed"


def test_a_lone_optional_step_that_aborts_fails_its_run(connection, process):
    run = kit.start(connection, kit.workflow("w.v1", {"a": {"continue_on_error": True}}))
    process.finish(process.claim(), "aborted")
    assert kit.run_row(connection, run) == ("failed", 0, 1, 0, "aborted")
    kit.scalar(connection, "select tributary.retry(%s)", run)
    process.work_off()
    assert kit.run_row(connection, run) == ("completed", 0, 0, 0, None)


class TestClosing:
    spec = kit.workflow("w.v1", {"a": (), "b": ("a",)}, result="${{ steps.b.result }}")

    def to_the_closing(self, connection, process):
        run = kit.start(connection, self.spec)
        process.finish(process.claim())
        process.finish(process.claim())
        (closing,) = process.claim()
        assert (closing.kind, closing.name, closing.queue) == ("closing", kit.CLOSING, "~closing")
        return run, closing

    def test_it_brings_the_result(self, connection, process):
        run, closing = self.to_the_closing(connection, process)
        assert process.finish([closing], result='{"n": 1}') == []
        assert kit.run_row(connection, run)[0] == "completed"
        assert kit.scalar(connection, "select result from tributary.runs") == {"n": 1}

    def test_its_failure_fails_the_run_and_can_be_retried(self, connection, process):
        run, closing = self.to_the_closing(connection, process)
        process.finish([closing], "discarded", error={"type": "ExpressionError", "message": "no b"})
        assert kit.run_row(connection, run) == ("failed", 0, 0, 0, "result")
        assert kit.scalar(connection, "select error ->> 'message' from tributary.runs") == "no b"
        assert connection.execute("select from tributary.dead_letters").fetchall() == []
        assert kit.scalar(connection, "select tributary.retry(%s)", run) == "running"
        assert process.work_off() == 1
        assert kit.run_row(connection, run)[0] == "completed"

    def test_a_run_cancelled_in_its_closing_can_be_retried(self, connection, process):
        run, closing = self.to_the_closing(connection, process)
        kit.scalar(connection, "select tributary.cancel(%s)", run)
        assert len(process.finish([closing])) == 1
        kit.scalar(connection, "select tributary.retry(%s)", run)
        assert process.work_off() == 1
        assert kit.run_row(connection, run)[0] == "completed"

    def test_a_failed_run_skips_it(self, connection, process):
        run = kit.start(connection, self.spec)
        process.finish(process.claim(), "discarded")
        assert kit.run_row(connection, run)[0] == "failed"
        assert (
            kit.scalar(connection, "select state::text from tributary.steps where kind = 'closing'")
            == "skipped"
        )

    def test_a_crash_of_it_is_rescued(self, connection, process):
        run, _ = self.to_the_closing(connection, process)
        process.fall_silent()
        assert kit.rescue(connection) == 1
        kit.Process(connection).work_off()
        assert kit.run_row(connection, run)[0] == "completed"


def test_run_after_counts_from_the_end_of_the_needs(connection, process):
    steps = {
        "first": {"run_after": 60.0},
        "then": {"needs": ("first",), "run_after": 3600.0},
        "late": {"needs": ("first",), "run_after": "2100-01-01T00:00:00Z"},
        "past": {"needs": ("first",), "run_after": "2000-01-01T00:00:00Z"},
    }
    run = kit.start(connection, kit.workflow("w.v1", steps))
    assert kit.states(connection, run)["first"] == "scheduled"
    assert process.claim() == []
    kit.advance(connection, "61 seconds")
    process.beat()
    assert process.finish(process.claim()) == []
    assert kit.states(connection, run) == {
        "first": "completed", "then": "scheduled", "late": "scheduled", "past": "available",
    }  # fmt: skip
    ended = kit.row(connection, run, "first")["finished_at"]
    assert kit.row(connection, run, "then")["run_at"] == ended + timedelta(hours=1)
    assert kit.row(connection, run, "late")["run_at"] == datetime(2100, 1, 1, tzinfo=UTC)


def test_a_run_starts_when_it_is_due(connection, process):
    at = datetime.now(UTC) + timedelta(hours=1)
    run = kit.start(connection, kit.workflow("w.v1", {"a": (), "b": {"run_after": 7200.0}}), run_at=at)
    assert kit.scalar(connection, "select state from tributary.workflow_executions") == "scheduled"
    assert kit.row(connection, run, "a")["run_at"] == at
    assert kit.row(connection, run, "b")["run_at"] > at
    kit.advance(connection, "61 minutes")
    process.beat()
    assert [claimed.step_id for claimed in process.claim()] == ["a"]


def test_results_and_times_of_a_completed_step(connection, process):
    intent = kit.intent(connection)
    claimed = process.claim()
    process.finish(claimed, result='{"a": [1, null]}', elapsed=0.0)
    found = kit.row(connection, intent)
    assert found["result"] == {"a": [1, None]}
    assert found["created_at"] <= found["claimed_at"] == found["started_at"] <= found["finished_at"]
    assert found["process_id"] is None
