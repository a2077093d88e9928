"""Durations, ids, states: pure arithmetic."""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import RFC_4122, UUID

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


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -1, True, 1e12, timedelta(days=-1), [1], {}, None]
)
def test_durations_out_of_range_are_refused(value):
    with pytest.raises(InvalidInput):
        durations.seconds(value)


@given(st.floats(0, 1e8))
def test_durations_are_shown_without_surprises(value):
    shown = durations.text(value)
    assert shown
    assert not shown.startswith("-")


def test_ids_are_version_7_and_lead_to_their_slot():
    for made in ids.new_ids(1000):
        read = UUID(made)
        assert str(read) == made
        assert (read.version, read.variant) == (7, RFC_4122)
        assert ids.slot_of(made) == read.int & (ids.SLOTS - 1)


def test_ids_tell_when_they_were_made():
    before = time.time_ns() // 1_000_000
    (made,) = ids.new_ids(1)
    assert before <= UUID(made).int >> 80 <= time.time_ns() // 1_000_000


def test_ids_grow_even_when_the_clock_stands_still(monkeypatch):
    monkeypatch.setattr(ids.time, "time_ns", lambda: 1_700_000_000_000_000_000)
    made = [UUID(text).int >> 64 for text in ids.new_ids(1000)]
    assert made == sorted(set(made))


def test_every_state_has_its_transitions_and_the_ended_ones_only_those_of_a_retry():
    assert set(STEP_TRANSITIONS) == set(StepState)
    for state in STEP_ENDED:
        assert state.ended
        assert all("retry" in cause for cause in STEP_TRANSITIONS[state].values())
    assert {state for state in RunState if state.ended} == RUN_ENDED
