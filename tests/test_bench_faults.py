"""The measurement of recovery: what it compares, and that it finds the places where its tables belong."""

from __future__ import annotations

import pytest

from bench.fault_trials import FAULTS
from bench.faults import DOCS, MARKS, Found, Recovery, Return, asked, put
from bench.throughput import LOADS, Course, compare

# issue: seconds until work goes on
BARS = {
    "a process is killed (SIGKILL)": 15,
    "a whole worker is killed": 15,
    "the worker that leads is killed": 15,
    "all connections of a worker are cut": 2,
    "PostgreSQL is restarted (fast)": 5,
    "PostgreSQL is restarted (immediate)": 5,
    "connections go silent (half open)": 30,
    "PgBouncer is restarted": 5,
}


def test_what_was_asked_for_is_measured():
    assert BARS.items() <= {fault.what: fault.bar for fault in FAULTS}.items()
    assert {load.bar for load in LOADS} <= set(BARS.values())


@pytest.mark.parametrize(("page", "mark"), MARKS)
def test_the_documents_have_a_place_for_each_table(page, mark):
    text = (DOCS / page).read_text(encoding="utf-8")
    begin, finish = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    assert put("| a |", mark, text).partition(begin)[2].partition(finish)[0].strip() == "| a |"
    with pytest.raises(RuntimeError, match="no <!-- nothing: begin"):
        put("| a |", "nothing", text)


def test_rates_are_compared_by_the_medians_of_windows():
    steady = dict.fromkeys(range(-60, 0), 100)
    course = compare(steady | {-3: 0}, {0: 0, 1: 40, **dict.fromkeys(range(2, 40), 96)}, 5)
    assert (course.before, course.after, course.share, course.back) == (100, 96, 0.96, 1)
    assert compare(steady, dict.fromkeys(range(40), 50), 5) == Course(100, 50, float("inf"))
    assert compare(steady, {}, 5) == Course(100, 0, float("inf"))


def test_a_failed_trial_and_a_late_one_are_told():
    fault = next(fault for fault in FAULTS if fault.bar == 2)
    well = Recovery(fault, Found([0.1, 1.9], 0))
    assert well.ok
    assert well.shown() == ("1.0 s", "1.9 s")
    assert not Recovery(fault, Found([0.1, 2.1], 0)).ok
    assert not Recovery(fault, Found([0.1], 1)).ok
    assert not Recovery(fault, Found([], 2)).ok
    assert "1 failed" in asked([Recovery(fault, Found([0.1], 1))])
    assert "**missed**" in asked([Recovery(fault, Found([], 2))])
    lost = Return(LOADS[0], Found([Course(100, 94, 3), Course(100, 94, 3)], 0))
    assert not lost.ok
    assert not Return(LOADS[0], Found([], 1)).ok
    assert Return(LOADS[0], Found([Course(100, 95, 3)], 0)).ok
