"""The checker of chaos accepts what is as it should be, and refuses each damage with a message of its own."""

from __future__ import annotations

import re

import pytest

from chaos import report
from chaos.checker import check
from chaos.history import RUN, Act, Change, Effect, Execution, Letter, Run, Slot, load
from tests.chaos.histories import DEAD, GRAPH, INTENT, alter, drop, whole


def lose_an_intent(h):
    drop(h.rows, lambda row: row.run_id == INTENT)
    h.changes = [change for change in h.changes if change.run_id != INTENT]
    h.executions = [execution for execution in h.executions if execution.run_id != INTENT]


def record_a_key_twice(h):
    h.runs.append(Run("run-2", "chaos.chain.v1", "completed", idempotency_key="k0"))


def keep_what_was_rolled_back(h):
    h.runs.append(Run("intent-3", "chaos.chain.v1", "completed"))


def leave_a_row_running(h):
    alter(h.rows, lambda row: row.key == (GRAPH, 2), state="running")


def leave_a_row_scheduled(h):
    alter(h.rows, lambda row: row.key == (GRAPH, 2), state="scheduled", reason="retry")


def leave_a_run_open(h):
    alter(h.runs, lambda run: run.run_id == GRAPH, state="running", remaining=1)


def accept_the_stale_result(h):
    alter(h.rows, lambda row: row.run_id == INTENT, x="old")


def accept_a_result_of_nobody(h):
    alter(h.rows, lambda row: row.run_id == INTENT, x="somebody")


def accept_a_result_of_what_failed(h):
    alter(h.executions, lambda execution: execution.x == "new", how="ValueError")


def complete_without_a_claim(h):
    h.changes = [change for change in h.changes if change.key != (INTENT, 0) or change.after != "running"]


def claim_a_child_early(h):
    alter(h.changes, lambda change: change.number == 10, number=12)
    alter(h.changes, lambda change: change.number == 12 and change.key == (GRAPH, 2), number=10)


def begin_a_child_early(h):
    alter(h.executions, lambda execution: execution.x == "two", begin=2.5)


def run_a_lease_twice(h):
    h.executions.append(Execution("again", GRAPH, 2, "chaos.quick.v1", 1, 21, 200, 3.6))


def run_without_a_claim(h):
    h.executions.append(Execution("wild", GRAPH, 2, "chaos.quick.v1", 1, 99, 200, 3.6))


def run_once_work_twice(h):
    h.executions.append(Execution("again", DEAD, 0, "chaos.once.v1", 1, 31, 200, 9.0))


def miscount_an_execution(h):
    alter(h.executions, lambda execution: execution.x == "new", attempt=3)


def forget_an_attempt(h):
    drop(h.attempts, lambda attempt: attempt.run_id == INTENT)


def take_an_attempt_away(h):
    alter(h.rows, lambda row: row.run_id == INTENT, attempt=1, crashes=0)


def exceed_max_attempts(h):
    alter(h.rows, lambda row: row.run_id == INTENT, max_attempts=1, crashes=0)


def change_what_has_ended(h):
    h.changes.append(Change(18, DEAD, 0, "discarded", "completed", 1, 30))
    alter(h.rows, lambda row: row.run_id == DEAD, state="completed", x="bad")


def change_a_run_that_has_ended(h):
    h.changes += [
        Change(18, GRAPH, RUN, "completed", "running"),
        Change(19, GRAPH, RUN, "running", "completed"),
    ]


def make_an_unknown_transition(h):
    alter(h.changes, lambda change: change.number == 11, after="completed")
    drop(h.changes, lambda change: change.number == 12)
    drop(h.changes, lambda change: change.number == 13)


def change_a_row_behind_the_back(h):
    alter(h.rows, lambda row: row.run_id == DEAD, state="cancelled")


def leak_a_slot(h):
    h.slots.append(Slot("group chaos-a", f"{GRAPH}/-1", "held"))


def exceed_a_limit(h):
    alter(h.rows, lambda row: row.key == (GRAPH, 2), claimed_at=2.5)


def leave_steps_uncounted(h):
    alter(h.runs, lambda run: run.run_id == GRAPH, remaining=1)


def write_an_effect_twice(h):
    h.effects.append(Effect(GRAPH, 1, "one"))


def write_no_effect(h):
    h.effects.clear()


def write_an_effect_of_another(h):
    h.effects[:] = [Effect(GRAPH, 1, "old")]


def lose_a_dead_letter(h):
    h.letters.clear()


def make_a_dead_letter_of_the_living(h):
    h.letters.append(Letter(INTENT, 0, "exhausted"))


def fail_a_run_for_nothing(h):
    alter(h.runs, lambda run: run.run_id == GRAPH, state="failed")
    alter(h.changes, lambda change: change.number == 14, after="failed")


def forget_a_cancel(h):
    h.acts.append(Act(INTENT, "cancel", "acknowledged"))


def let_a_worker_leave(h):
    h.departures.append("worker-1 ended by itself with 70")


def fail_by_a_mistake_of_the_handlers(h):
    alter(h.attempts, lambda attempt: attempt.run_id == DEAD, reason="invalid_payload")


DAMAGES = {
    lose_an_intent: "submission 0 .* was acknowledged as intent-1, and is not there",
    record_a_key_twice: "key k0 of submission 0 belongs to 2 works",
    keep_what_was_rolled_back: "submission 3 .* was rolled back, and is there",
    leave_a_row_running: "a row is left running",
    leave_a_row_scheduled: r"it is still scheduled \(retry\)",
    leave_a_run_open: "run chaos.chain.v1 is still running, 1 steps remain",
    accept_the_stale_result: "the result of old was accepted under token 10, the newest claim had 11",
    accept_a_result_of_nobody: "its result is of somebody, which no handler has noted",
    accept_a_result_of_what_failed: "the result of new was accepted, which ended with ValueError",
    complete_without_a_claim: "it is completed, and nobody has claimed it",
    claim_a_child_early: r"it was claimed \(change 10\) before its need 1 ended \(12\)",
    begin_a_child_early: "it began 0.500 s before the end of one, which it needs",
    run_a_lease_twice: "the lease with token 21 was executed 2 times",
    run_without_a_claim: "wild ran under token 99, which no claim has had",
    run_once_work_twice: "max_attempts is 1, and it was executed 2 times",
    miscount_an_execution: "new took itself for attempt 3, its claim was 2",
    forget_an_attempt: "attempt 1 ended available and is recorded nowhere",
    take_an_attempt_away: "2 claims and 0 releases make no 1 attempts",
    exceed_max_attempts: "2 attempts with 0 crashes exceed max_attempts 1",
    change_what_has_ended: r"it was discarded, and then completed \(change 18\)",
    change_a_run_that_has_ended: r"it was completed, and then running \(change 18\)",
    make_an_unknown_transition: "blocked -> completed is no transition",
    change_a_row_behind_the_back: "it was last seen to become discarded, and is cancelled",
    leak_a_slot: "a slot of group chaos-a is held by run-1/-1 after the end",
    exceed_a_limit: "2 attempts of queue narrow ran at once, its limit is 1",
    leave_steps_uncounted: "run chaos.chain.v1 has ended, and 1 steps remain to be counted",
    write_an_effect_twice: "it is completed and has written 2 times",
    write_no_effect: "it is completed and has written 0 times",
    write_an_effect_of_another: "old has written, and the result is of one",
    lose_a_dead_letter: "it was discarded, and there is no dead letter",
    make_a_dead_letter_of_the_living: "it is completed, and there is a dead letter",
    fail_a_run_for_nothing: "the run has failed, and no step of it was discarded",
    forget_a_cancel: "its cancel was acknowledged, and it is completed",
    let_a_worker_leave: "worker-1 ended by itself with 70",
    fail_by_a_mistake_of_the_handlers: "attempt 1 came to nothing: invalid_payload",
}


def test_a_whole_history_is_accepted():
    assert check(whole()) == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_history_is_refused(damage):
    history = whole()
    damage(history)
    found = [violation.message for violation in check(history)]
    assert any(re.search(DAMAGES[damage], message) for message in found), found


def test_a_fan_out_is_claimed_before_its_items():
    """It makes them, and waits; what is checked is that no item's work is needed before."""
    history = whole()
    alter(history.rows, lambda row: row.key == (GRAPH, 2), name="trib.fan.v1", x=None)
    alter(history.rows, lambda row: row.key == (GRAPH, 1), item_key="0")
    drop(history.executions, lambda execution: execution.x == "two")
    claim_a_child_early(history)
    assert [violation for violation in check(history) if violation.rule == "early"] == []


def test_an_explicit_retry_ends_an_end():
    """Of the work that it names, and of no other."""
    history = whole()
    change_what_has_ended(history)
    history.changes[-1:] = [
        Change(18, DEAD, 0, "discarded", "available", 1, 31, 30),
        Change(19, DEAD, 0, "available", "running", 2, 31, 31, 1),
        Change(20, DEAD, 0, "running", "completed", 2, 31, 31, 1),
    ]
    history.executions.append(
        Execution("good", DEAD, 0, "chaos.once.v1", 2, 31, 100, 7.0, end=7.1, how="returned")
    )
    alter(history.rows, lambda row: row.run_id == DEAD, x="good", attempt=2, seq=31)
    history.letters.clear()
    for acts in ([], [Act(GRAPH, "retry", "acknowledged")], [Act(DEAD, "retry", "refused")]):
        history.acts = acts
        assert {violation.rule for violation in check(history)} == {"attempts", "changed"}
    history.acts = [Act(DEAD, "retry", "acknowledged")]
    assert check(history) == []


def test_a_history_survives_being_kept(tmp_path):
    history = whole()
    leak_a_slot(history)
    let_a_worker_leave(history)
    history.save(tmp_path / "history.jsonl")
    assert load(tmp_path / "history.jsonl") == history


def test_the_report_tells_the_story_of_the_step_concerned():
    history = whole()
    accept_the_stale_result(history)
    told = report.verdict(history, check(history))
    assert "VIOLATIONS    1: 1 stale" in told
    assert "change 4: available -> running, attempt 2, token 11, process 2" in told
    assert "execution old: attempt 1, token 10, pid 100, 1.000 to 30.000, returned" in told
    assert report.verdict(whole(), []) == "no violations"
    assert "1 returned what was not accepted, 0 never ended" in report.figures(history)
