"""Durations, ids, states: pure arithmetic."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations, ids
from tributary_daemon.model.states import (
    RUN_ENDED,
    STEP_ENDED,
    STEP_TRANSITIONS,
    RunState,
    StepState,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("90", 90), ("1.5s", 1.5)],
)
def test_durations_are_read_as_written(text, seconds):
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "5 m", "1h-30m", "s", "1y", "٣s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InvalidInput):
        durations.seconds(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, True, 1e12, timedelta(days=-1)])
def test_durations_out_of_range_are_refused(value):
    with pytest.raises(InvalidInput):
        durations.seconds(value)


@given(st.floats(0, 1e8))
def test_durations_are_shown_without_surprises(value):
    shown = durations.text(value)
    assert shown
    assert not shown.startswith("-")


@given(st.one_of(st.none(), st.integers(0, ids.SLOTS - 1)))
def test_ids_are_version_7_and_keep_their_slot(slot):
    made = ids.new_id(slot)
    assert made.version == 7
    assert slot is None or ids.slot_of(made) == slot


def test_ids_grow_with_time():
    made = [ids.new_id().int >> 64 for _ in range(1000)]
    assert made == sorted(made)


def test_every_state_has_its_transitions_and_the_ended_ones_only_those_of_a_retry():
    assert set(STEP_TRANSITIONS) == set(StepState)
    for state in STEP_ENDED:
        assert state.ended
        assert all("retry" in cause for cause in STEP_TRANSITIONS[state].values())
    assert {state for state in RunState if state.ended} == RUN_ENDED
