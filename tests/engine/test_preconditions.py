"""Preconditions: what holds says nothing, what does not is named with the values it looked at."""

from __future__ import annotations

import pytest

from tributary_daemon.engine.preconditions import new_run, require
from tributary_daemon.errors import InvalidInput, PreconditionFailed

RUN = new_run("etl.v1", {"team": "core"}, "2030-01-05T00:00:00.000000Z")


def refusal(*preconditions, **inputs):
    with pytest.raises(PreconditionFailed) as refused:
        require(preconditions, inputs=inputs, run=RUN)
    return refused.value


def test_what_holds_passes():
    require([], inputs={}, run=RUN)
    require(
        [
            {"if": "inputs.env == 'prod'", "message": "no"},
            {"if": "run.labels.team == 'core' && run.name == 'etl.v1'", "message": None},
            {"if": "startsWith(run.created_at, '2030-01')"},
        ],
        inputs={"env": "prod"},
        run=RUN,
    )


def test_the_message_the_expression_and_the_values_are_told():
    error = refusal({"if": "inputs.env == 'prod'", "message": "only for production"}, env="dev")
    assert error.message == "only for production: `inputs.env == 'prod'` (inputs.env is \"dev\")"
    assert error.exit_code == InvalidInput.exit_code == 3
    assert error.hint


def test_without_a_message():
    assert refusal({"if": "inputs.n > 3", "message": None}, n=3).message == (
        "a precondition does not hold: `inputs.n > 3` (inputs.n is 3)"
    )


def test_all_that_does_not_hold_is_told_at_once():
    error = refusal({"if": "inputs.a"}, {"if": "inputs.b"}, {"if": "inputs.c"}, a=False, b=True, c=None)
    assert [line.partition("`")[2].partition("`")[0] for line in error.message.splitlines()] == [
        "inputs.a",
        "inputs.c",
    ]


def test_a_message_may_hold_expressions():
    error = refusal({"if": "false", "message": "not in ${{ inputs.env }}"}, env="dev")
    assert error.message.startswith("not in dev: `false`")


@pytest.mark.parametrize("source", ["fromJSON('{')", "inputs.a ==", "steps.a.result"])
def test_what_cannot_be_evaluated_does_not_hold(source):
    assert source in refusal({"if": source}).message


def test_long_values_are_cut():
    assert len(refusal({"if": "!inputs.text"}, text="x" * 1_000).message) < 200
