"""Templates of a run become values, or an outcome that says why not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tributary_daemon.engine.inputs import close_run, prepare
from tributary_daemon.model.control import Flag
from tributary_daemon.model.outcome import Completed, Discarded


@dataclass
class Plan:
    result: Any = None
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Run:
    plan: Plan = field(default_factory=Plan, kw_only=True)
    inputs: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=lambda: {"id": "r1", "name": "etl"})


@dataclass
class Around:
    facts: Run
    steps: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict)
    step: dict[str, Any] = field(default_factory=dict)


AROUND = Around(
    Run({"email": "a@b", "n": 3}),
    {
        "made": {"state": "completed", "attempt": 1, "result": {"id": 7, "tags": ["x", "y"]}},
        "gone": {"state": "skipped", "attempt": 0, "result": None},
    },
)


def resolved(lease, template):
    return prepare(lease(json.dumps(template), flags=Flag.DYNAMIC), AROUND)


def test_a_payload_gets_values_with_their_types(a_lease):
    template = {
        "to": "${{ inputs.email }}",
        "user": "${{ steps.made.result.id }}",
        "all": "${{ steps.made.result }}",
        "text": "run ${{ run.name }} of ${{ inputs.n }}",
        "skipped": "${{ steps.gone.result }}",
        "plain": [1, None],
    }
    assert json.loads(resolved(a_lease, template)) == {
        "to": "a@b",
        "user": 7,
        "all": {"id": 7, "tags": ["x", "y"]},
        "text": "run etl of 3",
        "skipped": None,
        "plain": [1, None],
    }


def test_a_missing_path_discards_the_step_and_is_named(a_lease):
    outcome = resolved(a_lease, {"user": "${{ steps.made.result.uid }}"})
    assert isinstance(outcome, Discarded)
    assert outcome.error.reason == "expression"
    assert "steps.made.result.uid" in outcome.error.message


def test_a_payload_that_grows_too_large_is_refused(a_lease):
    around = Around(Run({"big": "x" * 600_000}), {})
    lease = a_lease(json.dumps(["${{ inputs.big }}", "${{ inputs.big }}"]), flags=Flag.DYNAMIC)
    outcome = prepare(lease, around)
    assert outcome.error.reason == "invalid_payload"
    assert "MiB" in outcome.error.message


def test_a_run_closes_with_its_result(a_lease):
    lease = a_lease(kind="closing")

    def closed(template):
        return close_run(lease, Around(Run(plan=Plan(template)), AROUND.steps))

    assert closed({"user": "${{ steps.made.result.id }}"}) == Completed('{"user":7}')
    assert closed(None) == Completed("null")
    failed = closed("${{ steps.made.result.nope }}")
    assert (type(failed), failed.error.reason) == (Discarded, "expression")


@pytest.mark.parametrize(
    "script",
    [
        {"run": "echo ${{ inputs.email }}"},
        {"run": "echo", "shell": "${{ inputs.email }}"},
        {"run": "echo ${{ inputs.email"},
        "${{ steps.made.result }}",
    ],
)
def test_nothing_is_spliced_into_a_script_whoever_made_the_plan(a_lease, script):
    lease = a_lease(json.dumps(script), name="trib.shell.v1", flags=Flag.DYNAMIC)
    outcome = prepare(lease, AROUND)
    assert isinstance(outcome, Discarded)
    assert outcome.error.reason == "invalid_payload"
    assert "splice" in outcome.error.message


def test_the_variables_of_a_script_get_values(a_lease):
    template = {"run": 'echo "$TO"', "env": {"TO": "${{ inputs.email }}"}, "dir": "${{ run.name }}"}
    lease = a_lease(json.dumps(template), name="trib.shell.v1", flags=Flag.DYNAMIC)
    assert json.loads(prepare(lease, AROUND)) == {"run": 'echo "$TO"', "env": {"TO": "a@b"}, "dir": "etl"}
