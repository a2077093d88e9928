"""Traces of the real functions of a schedule: random ones are allowed by the model, damaged ones are not."""

from __future__ import annotations

import pytest

from tests.model_check.campaign import Campaign
from tests.model_check.replay import Refused
from tests.model_check.slot_mutants import NoFence, NoVersion, QueuedIgnoresWork
from tests.model_check.slot_traces import SlotRecorder, SlotTrace, judge_slots
from tests.model_check.slots import Slot

pytestmark = pytest.mark.one_shard("the model is of one shard")


@pytest.mark.timeout(3600)  # many round trips, and the machine may be busy
def test_random_traces_of_schedules_are_allowed(connection, traces):
    count, seed = traces
    campaign = Campaign(connection, seed)
    for number in range(count // 4):
        campaign.slot_trace(number)
    fired = {word for name, word in campaign.seen if name == "fire"}
    assert fired == {"fired", "queued", "skipped", "None"}
    print(campaign.told())


@pytest.fixture
def trace(connection):
    """Two leaders at a schedule whose slots wait for each other."""
    with connection.transaction(force_rollback=True):
        recorder = SlotRecorder(connection, "queue")
        recorder.plan(1, None, 0, missed=False)  # 1
        recorder.time_passes()  # 2
        recorder.fire(1, 0, late=False)  # 3
        recorder.fire(1, 0, late=False)  # 4 the second leader is refused
        recorder.time_passes()  # 5
        recorder.fire(1, 1, late=False)  # 6 waits for the first one
        recorder.fire_queued(1)  # 7 which has not ended
        recorder.end(0)  # 8
        recorder.fire_queued(1)  # 9
        recorder.change()  # 10
        recorder.plan(1, None, 3, missed=False)  # 11 by the older expression: is refused
        return SlotTrace(tuple(recorder.entries))


def _entry(trace, at, **fields):
    entries = list(trace.entries)
    entries[at] = entries[at]._replace(**fields)
    return SlotTrace(tuple(entries))


def _row(trace, at, **fields):
    return _entry(trace, at, row=trace.entries[at].row._replace(**fields))


def _slot(trace, at, number, slot):
    return _entry(trace, at, row=trace.entries[at].row.put(number, slot))


DAMAGES = {
    "a slot is fired again": lambda trace: _entry(trace, 4, answer="fired"),
    "its work is recorded again": lambda trace: _slot(trace, 4, 0, Slot("fired", works=True, count=2)),
    "work that belongs to no slot": lambda trace: _entry(trace, 4, total=2),
    "the next slot stands still": lambda trace: _row(trace, 3, following=0),
    "the next slot goes back": lambda trace: _row(trace, 6, following=1),
    "a slot that waits leaves no trace": lambda trace: _slot(trace, 6, 1, Slot()),
    "a slot that waits overlaps": lambda trace: _entry(trace, 7, answer=1),
    "an older expression is obeyed": lambda trace: _row(trace, 11, following=3),
    "a slot is fired before its time": lambda trace: _entry(trace, 3, asked=("fire", 1, 0, False, -1)),
    "the firing is missing": lambda trace: SlotTrace((*trace.entries[:3], *trace.entries[4:])),
}


def test_damaged_traces_are_refused(trace):
    judge_slots(trace)
    assert [entry.answer for entry in trace.entries] == [
        *(None, True, None, "fired", None, None, "queued", None, None, 1, None, False)
    ]
    allowed = []
    for name, damage in DAMAGES.items():
        try:
            judge_slots(damage(trace))
            allowed.append(name)
        except Refused:
            pass
    assert allowed == []


def test_wrong_rules_do_not_allow_what_the_database_does(trace):
    for rules in (NoFence, NoVersion, QueuedIgnoresWork):
        with pytest.raises(Refused):
            judge_slots(trace, rules)
