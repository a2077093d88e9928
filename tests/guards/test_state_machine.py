"""docs/state-machine.md draws the transitions that the code has, and names every event."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tributary_daemon.model.states import RUN_ENDED, STEP_ENDED, STEP_TRANSITIONS, RunState, StepState

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "state-machine.md").read_text(encoding="utf-8")
KNOWN = {(old, new, why) for old, ways in STEP_TRANSITIONS.items() for new, why in ways.items()}
NOT_EVENTS = {
    "run_after",
    "step_id",
    "run_id",
    "step_cache",
}  # keys of JSON objects and a table that look alike


def section(title):
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_table_has_every_transition_and_no_other():
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (.+) \|$", section("Steps and intents"), re.MULTILINE)
    assert {(StepState(old), StepState(new), why) for old, new, why in rows if new != "to"} == KNOWN


def test_the_drawing_has_every_transition_but_explicit_retries():
    arrows = re.findall(r"^ +(\w+) --> (\w+): (.+)$", section("Steps and intents"), re.MULTILINE)
    expected = {(old, new, why) for old, new, why in KNOWN if old not in STEP_ENDED}
    assert {(StepState(old), StepState(new), why) for old, new, why in arrows} == expected


def test_ended_states_are_left_by_explicit_retry_only():
    for state in STEP_ENDED:
        assert all(why.startswith("explicit retry") for why in STEP_TRANSITIONS[state].values())


@pytest.mark.parametrize("state", RunState)
def test_every_run_state_is_explained(state):
    assert re.search(rf"^\| {state} \| .+ \|$", section("Runs"), re.MULTILINE)
    if state in RUN_ENDED:
        assert re.search(rf"--> {state}: ", section("Runs"))


def test_states_of_the_schema_are_those_of_the_code(connection):
    stored = "select enum_range(null::tributary.{})::text[]"
    assert connection.execute(stored.format("step_state")).fetchone()[0] == list(StepState)
    derived = {RunState.SCHEDULED, RunState.AVAILABLE, RunState.WAITING}
    assert set(connection.execute(stored.format("run_state")).fetchone()[0]) == set(RunState) - derived


def written_events():
    """Return every event type that the protocol functions write or derive."""
    types = {"run_completed", "run_failed"}  # 'run_' || state in the view
    for path in (ROOT / "sql" / "functions").glob("*.sql"):
        text = path.read_text(encoding="utf-8")
        types |= set(re.findall(r"'((?:run|step|intent)_[a-z_]+)'", text))
        if path.stem == "finish_steps":
            outcomes = re.findall(r"^-- Outcomes: (.+)$", text, re.MULTILINE)[0]
            words = re.sub(r"\(.*?\)", "", outcomes).rstrip(".").split(",")
            types |= {f"step_{word.strip()}" for word in words}
    return types - NOT_EVENTS


def test_every_event_is_documented():
    cells = re.findall(r"^\| (`.+?) \|", section("Events"), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == written_events()
