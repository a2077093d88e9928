"""A database with one wrong function is found out by a trace of it: the judge looks at what matters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model_check.damages import scripted
from tests.model_check.recording import PLANS, Recorder, Stage
from tests.model_check.replay import Refused, judge
from tests.model_check.slot_traces import SlotRecorder, SlotTrace, judge_slots

pytestmark = pytest.mark.one_shard("the model is of one shard")

FUNCTIONS = Path(__file__).resolve().parents[2] / "sql" / "functions"
WRONG = {
    "no fence": ("finish_steps", "held.state = 'running' and held.seq = t.seq", "held.state = 'running'"),
    "a rescue does not count": ("rescue_dead", "array_fill('crashed'::text", "array_fill('released'::text"),
    "a rescue keeps the token": ("finish_mixed", "seq = greatest(s.seq + 1, v_us + i)", "seq = s.seq"),
    "a retry keeps the token": ("start_over", "seq = greatest(s.seq + 1, v_us + c.i)", "seq = s.seq"),
    "a retry keeps the crashes": ("start_over", "crashes = 0,", "crashes = s.crashes,"),
    "a child of a failed step waits": ("settle_steps", "then 'skipped'", "then held.state"),
    "the only child is not counted": (
        "settle_one",
        "set unmet = s.unmet - 1 where",
        "set unmet = s.unmet where",
    ),
    "the run counts no step": ("settle_one", "remaining = r.remaining - 1", "remaining = r.remaining"),
    "a child is counted by one": ("write_decisions", "greatest(s.unmet - child.n, 0)", "s.unmet"),
    "the run counts no failure": ("count_runs", "failed = r.failed + ended.failed,", "failed = r.failed,"),
    "a silent process claims": ("know_caller", "interval '10 seconds'", "interval '10 days'"),
}


SLOTS_WRONG = {
    "no slot": ("fire_schedule", "and s.next_slot = p_slot", ""),
    "no version": ("fire_schedule", "s.version = p_version and", ""),
    "the slot stands still": ("fire_schedule", "set next_slot = p_next_slot, next_at", "set next_at"),
}


def damage(connection, name, right, wrong):
    """Replace a function, until the rollback, by one that differs from it in one place."""
    text = (FUNCTIONS / f"{name}.sql").read_text(encoding="utf-8")
    assert right in text
    before = connection.execute("show search_path").fetchone()[0]
    connection.execute("set local search_path to tributary")
    connection.execute(text.replace(right, wrong))
    connection.execute(f"set local search_path to {before}")


def refused(call, trace):
    """Return whether a trace is not allowed."""
    try:
        call(trace)
    except Refused:
        return True
    return False


def silent_claim(recorder):
    """Record a claim by a process that does not beat."""
    recorder.fall_silent(0)
    recorder.claim(0, 1)
    return recorder.trace


def history_of(recorder):
    """Record what two leaders do, one of which is late."""
    recorder.plan(1, None, 0, missed=False)
    recorder.time_passes()
    recorder.fire(2, 0, late=False)
    recorder.fire(1, 0, late=False)
    recorder.time_passes()
    recorder.fire(1, 0, late=False)
    return SlotTrace(tuple(recorder.entries))


def test_wrong_functions_are_found_out(connection):
    stage = Stage(connection, PLANS["fan-in"], "fan-in")
    found = set()
    for mistake in (None, *WRONG):
        for history in (silent_claim, scripted):
            with connection.transaction(force_rollback=True):
                if mistake is not None:
                    damage(connection, *WRONG[mistake])
                if refused(judge, history(Recorder(stage))):
                    found.add(mistake)
    assert found == set(WRONG)


def test_wrong_functions_of_schedules_are_found_out(connection):
    found = set()
    for mistake in (None, *SLOTS_WRONG):
        with connection.transaction(force_rollback=True):
            if mistake is not None:
                damage(connection, *SLOTS_WRONG[mistake])
            if refused(judge_slots, history_of(SlotRecorder(connection, "allow"))):
                found.add(mistake)
    assert found == set(SLOTS_WRONG)
