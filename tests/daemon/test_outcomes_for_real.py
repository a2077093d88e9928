"""What handlers return and raise, seen in the database; one worker serves all these tests."""

from __future__ import annotations

import json
import os
import signal

import pytest

TWO = """\
name: shop.two.v1
steps:
  bad: {task: t.ask.v1, with: {what: abort_run}}
  long: {task: t.hold.v1, with: {gate: never}}
  after: {task: trib.noop.v1, needs: [bad, long]}
"""


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("nan", "unserialisable_result"),
        ("nul", "unserialisable_result"),
        ("surrogate", "unserialisable_result"),
        ("object", "unserialisable_result"),
        ("exit", "exit"),
        ("interrupt", "base_exception"),
        ("base", "base_exception"),
        ("key", None),
    ],
)
def test_what_a_handler_must_not_do_fails_its_attempt_and_nothing_else(shared, what, reason):
    pids = shared.pids()
    run = shared.submit("t.ask.v1", {"what": what}, max_attempts=1)
    shared.until(run, "discarded")
    ((attempt, outcome, why, message),) = shared.errors(run)
    assert (attempt, outcome, why) == (1, "discarded", reason)
    assert message
    assert shared.pids() == pids


def test_a_result_of_the_wrong_type_fails_the_attempt(shared):
    run = shared.submit("t.typed.v1", {"value": "text"}, max_attempts=1)
    shared.until(run, "discarded")
    assert shared.errors(run)[0][2] == "invalid_result"


def test_abort_ends_the_step_for_good(shared):
    run = shared.submit("t.ask.v1", {"what": "abort"}, max_attempts=5)
    shared.until(run, "discarded")
    assert shared.row(run)[1:3] == (1, "aborted")
    assert shared.errors(run)[0][3] == "no way"


def test_abort_of_the_run_cancels_what_runs_and_skips_the_rest(shared):
    run = shared.run(TWO)
    shared.until_run(run, "failed")
    states = dict(
        shared.sql.execute(
            "select step_id, state::text from tributary.steps where run_id = %s", (run,)
        ).fetchall()
    )
    assert states["bad"] == "discarded"
    assert states["long"] in {"cancelled", "skipped"}
    assert states["after"] == "skipped"
    if states["long"] == "cancelled" and shared.notes("began", run)[1:]:
        shared.noted("cancelled", run)


def test_snooze_counts_no_attempt_and_retry_after_does(shared):
    snoozed = shared.submit("t.ask.v1", {"what": "snooze"}, max_attempts=1)
    again = shared.submit("t.ask.v1", {"what": "retry_after"})
    shared.noted("began", snoozed, count=2)
    shared.open("woken")
    shared.until(snoozed, "completed")
    shared.until(again, "completed")
    assert shared.row(snoozed)[1] == 1
    assert shared.row(again)[1] == 2
    assert shared.errors(snoozed) == []


def test_two_failures_then_success_and_errors_that_are_not_retried(shared):
    retry = json.dumps({"backoff": "fixed", "delay": 0.05, "jitter": 0})
    ends_well = shared.submit("trib.fail.v1", {"times": 2}, retry=retry)
    shared.until(ends_well, "completed")
    assert shared.result(ends_well) == {"attempt": 3}
    assert [row[0] for row in shared.errors(ends_well)] == [1, 2]
    not_on = json.dumps({"backoff": "fixed", "delay": 0.05, "not_on": ["LookupError"]})
    refused = shared.submit("trib.fail.v1", {"kind": "KeyError"}, retry=not_on, max_attempts=5)
    only = json.dumps({"backoff": "fixed", "delay": 0.05, "on": ["OSError"]})
    other = shared.submit("trib.fail.v1", {"kind": "ValueError"}, retry=only, max_attempts=5)
    fits = shared.submit("trib.fail.v1", {"kind": "OSError", "times": 1}, retry=only, max_attempts=5)
    shared.until(refused, "discarded")
    shared.until(other, "discarded")
    shared.until(fits, "completed")
    assert shared.row(refused)[1] == shared.row(other)[1] == 1


def test_the_effects_of_a_step_that_fails_are_rolled_back_sync_and_async(shared):
    retry = json.dumps({"backoff": "fixed", "delay": 0.05})
    for name in ("t.effect.v1", "t.aeffect.v1"):
        run = shared.submit(name, {"fail": 1}, retry=retry)
        shared.until(run, "completed")
        assert shared.row(run)[1] == 2
        rows = shared.sql.execute("select attempt from effects where id = %s", (run,)).fetchall()
        assert rows == [(2,)]


@pytest.mark.parametrize("name", ["t.effect.v1", "t.aeffect.v1"])
def test_the_effects_of_a_cancelled_step_are_refused(shared, name):
    gate = f"gate-{name}"
    run = shared.submit(name, {"gate": gate})
    shared.noted("inserted", run)
    shared.sql.execute("select tributary.cancel(%s)", (run,))
    shared.open(gate)
    shared.wait(lambda: _no_transaction(shared), 20, "the transaction has ended")
    assert shared.state(run) == "cancelled"
    assert shared.one("select count(*) from effects where id = %s", run) == (0,)


def _no_transaction(desk):
    return desk.one(
        "select count(*) from pg_stat_activity where datname = current_database()"
        " and application_name = 'trib step' and state like 'idle in transaction%%'"
    ) == (0,)


def test_progress_is_shown_and_given_to_the_next_attempt(shared):
    run = shared.submit("t.beat.v1", {"gate": "never"})
    (began,) = shared.noted("began", run)
    assert began["seen"] is None
    shared.wait(
        lambda: shared.one("select details from tributary.progress where run_id = %s", run),
        10,
        "it is stored",
    )
    os.kill(began["pid"], signal.SIGKILL)
    shared.until(run, "completed")
    assert shared.result(run) == {"seen": {"done": 1}}


def test_cancelled_handlers_see_it_and_are_not_resurrected(shared):
    thread, loop = (
        shared.submit("t.hold.v1", {"gate": "never"}),
        shared.submit("t.ahold.v1", {"gate": "never"}),
    )
    for run in (thread, loop):
        shared.noted("began", run)
        shared.sql.execute("select tributary.cancel(%s)", (run,))
        (note,) = shared.noted("cancelled", run)
        assert note["seen"] is True
        assert shared.state(run) == "cancelled"
    probe = shared.submit("t.note.v1")
    shared.until(probe, "completed")
    assert [shared.state(run) for run in (thread, loop)] == ["cancelled", "cancelled"]


def test_cancel_in_every_state(shared):
    states = {}
    scheduled = shared.one(
        "select tributary.submit_intent('t.note.v1', run_after => now() + interval '1 hour')"
    )[0]
    waiting = shared.submit("nobody.offers.v1")
    available = shared.submit("t.note.v1", queue="nobody_serves")
    running = shared.submit("t.hold.v1", {"gate": "never"})
    shared.noted("began", running)
    for run in (scheduled, waiting, available, running):
        before = shared.one("select tributary.cancel(%s)", run)[0]
        states[before] = shared.state(run)
    assert states == dict.fromkeys(["scheduled", "waiting", "available", "running"], "cancelled")
    run = shared.run(
        "name: shop.states.v1\nsteps:\n  a: {task: t.hold.v1, with: {gate: never}}\n"
        "  b: {task: trib.noop.v1, needs: a}\n  c: {task: trib.noop.v1, run_after: 1h}\n"
    )
    shared.noted("began", run)
    shared.sql.execute("select tributary.cancel(%s)", (run,))
    shared.until_run(run, "cancelled")
    assert {shared.state(run, n) for n in (1, 2, 3)} == {"cancelled"}
    shared.noted("cancelled", run)
