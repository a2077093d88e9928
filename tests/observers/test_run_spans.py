"""Whose spans of steps and runs are to be made by a process, found in a time that grows with their number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.effort import cpu_seconds
from tributary_daemon.observers.run_spans import mine
from tributary_daemon.store.spans import Ended, Noted

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ended(what, run, ordinal, *, at=0):
    return Ended(
        what=what, shard=0, run_id=run, ordinal=ordinal, seq=ordinal, name="t.v1", step_id=f"s{ordinal}",
        item_key=None, state="completed", reason=None, attempts=1, attempt_base=0, queue="default",
        tenant="", began_at=NOON, ended_at=NOON + timedelta(microseconds=at), traceparent=None,
        correlation_id=None, business_id=None, parent_run_id=None, parent_ordinal=None, parent_base=None,
        depth=0,
    )  # fmt: skip


def runs(count):
    """Return the rows of so many runs of two steps, and the attempts that ended the last step of each."""
    rows, noted = [], set()
    for number in range(count):
        run = f"{number:06d}"
        rows += [ended("step", run, 1), ended("step", run, 2, at=1), ended("run", run, 0, at=1)]
        noted.add(Noted(0, run, 2, 2))
    return rows, frozenset(noted)


def test_a_run_is_of_the_process_that_ended_its_last_step():
    rows, noted = runs(3)
    assert [(row.what, row.run_id, row.ordinal) for row in mine(rows, noted)] == [
        found for number in range(3) for found in (("step", f"{number:06d}", 2), ("run", f"{number:06d}", 0))
    ]
    assert mine(rows, frozenset()) == []


def test_many_ends_are_sorted_out_in_a_time_that_grows_with_their_number():
    few, many = runs(500), runs(5_000)
    base = cpu_seconds(lambda: mine(*few), enough=0.0)
    assert len(mine(*many)) == 10_000
    # ten times as many; where each end looks at all others it is a hundred times as long
    assert cpu_seconds(lambda: mine(*many), enough=30 * base) < 30 * base
