# ruff: noqa: E501 - messages are compared whole
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.inputs import check_inputs, parse_cli_value
from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.workflow import INPUT_TYPES, InputSpec

DECLARED = load_text(
    """\
inputs:
  email: {type: string, pattern: '^\\S+@\\S+$', max: 20}
  batch: {type: integer, min: 1, max: 10, default: 5}
  ratio: {type: number, required: false}
  dry: {type: boolean, default: false}
  day: {type: date, min: '2026-01-01', required: false}
  at: {type: datetime, max: '2026-06-01T00:00:00Z', required: false}
  env: {type: choice, options: [dev, prod, 3], default: dev}
  tags: {type: list, items: {type: string, min: 2}, max: 2, required: false}
  extra: {type: object, required: false}
steps: {a: {run: x}}
"""
).inputs


def test_defaults_and_nulls_fill_what_was_left_out():
    assert check_inputs(DECLARED, {"email": "a@b"}) == {
        "email": "a@b",
        "batch": 5,
        "ratio": None,
        "dry": False,
        "day": None,
        "at": None,
        "env": "dev",
        "tags": None,
        "extra": None,
    }
    assert check_inputs(DECLARED, {"email": "a@b", "batch": 3.0, "ratio": None})["batch"] == 3
    assert check_inputs({}, {}) == {}
    whole = InputSpec(type="list", items=InputSpec(type="list", items=InputSpec(type="integer")))
    assert repr(check_inputs({"a": whole}, {"a": [[3.0], [4]]})["a"]) == "[[3], [4]]"


def test_all_faults_at_once():
    given_values = {
        "batch": 11,
        "ratio": "x",
        "dry": 1,
        "day": "2025-12-31",
        "at": "2026-06-01T00:00:00+00:00x",
        "env": "3",
        "tags": ["a", 1, "ok"],
        "extra": [],
        "emial": "a@b",
    }
    with pytest.raises(InvalidInput) as caught:
        check_inputs(DECLARED, given_values)
    assert caught.value.message.splitlines() == [
        "unknown input 'emial'; did you mean 'email'? inputs: email, batch, ratio, dry, day, at, env, tags, extra",
        "input 'email' is required (string)",
        "input 'batch' must be at most 10, not 11",
        "input 'ratio' must be a number, not \"x\"",
        "input 'dry' must be true or false, not 1",
        "input 'day' must be at least 2026-01-01, not 2025-12-31",
        "input 'at' must be a time with its zone like 2026-03-01T06:00:00Z, not \"2026-06-01T00:00:00+00:00x\"",
        "input 'env' must be one of \"dev\", \"prod\", 3, not \"3\"",
        "input 'tags' must be at most 2 items, not 3",
        "input 'tags' item 0: must be at least 2 characters, not 1",
        "input 'tags' item 1: must be a string, not 1",
        "input 'extra' must be an object, not []",
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["\0", "\ud800", "no mail", "x" * 30 + "@y", None, 3])
def test_texts_that_are_refused(value):
    with pytest.raises(InvalidInput):
        check_inputs(DECLARED, {"email": value})


def test_a_workflow_without_inputs_says_so():
    with pytest.raises(InvalidInput, match="takes none"):
        check_inputs({}, {"a": 1})


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        (None, "3", 3),
        (None, "true", True),
        (None, "null", None),
        (None, '{"a": 1}', {"a": 1}),
        (None, "[1]", [1]),
        (None, "abc", "abc"),
        (None, '"abc"', '"abc"'),
        (None, "NaN", "NaN"),
        (InputSpec(type="string"), "3", "3"),
        (InputSpec(type="integer"), " 42 ", 42),
        (InputSpec(type="integer"), "4.2", "4.2"),
        (InputSpec(type="integer"), "1\x1c", "1\x1c"),
        (InputSpec(type="integer"), "\t7\n", 7),
        (InputSpec(type="number"), "4.5", 4.5),
        (InputSpec(type="number"), "true", "true"),
        (InputSpec(type="boolean"), "Yes", True),
        (InputSpec(type="boolean"), "0", False),
        (InputSpec(type="boolean"), "perhaps", "perhaps"),
        (InputSpec(type="choice", options=("a", 3)), "3", 3),
        (InputSpec(type="choice", options=("a", 3)), "b", "b"),
        (InputSpec(type="list", items=InputSpec(type="integer")), "1, 2", [1, 2]),
        (InputSpec(type="list"), "a,b", ["a", "b"]),
        (InputSpec(type="list"), "[1]", [1]),
        (InputSpec(type="list"), "", []),
        (InputSpec(type="object"), '{"a": 1}', {"a": 1}),
        (InputSpec(type="date"), "2026-01-01", "2026-01-01"),
    ],
)
def test_command_line_values(spec, text, value):
    assert parse_cli_value(spec, text) == value


@pytest.mark.parametrize("kind", ["integer", "number"])
@pytest.mark.parametrize("digits", [400, 5_000])
def test_numbers_that_no_float_holds_are_refused(kind, digits):
    with pytest.raises(InvalidInput, match=r"'x' must be an? (integer of at most 300 digits|number)"):
        check_inputs({"x": InputSpec(type=kind, max=3)}, {"x": 10**digits})


@given(st.sampled_from(INPUT_TYPES), st.text())
def test_command_line_text_raises_nothing_but_invalid_input(kind, text):
    spec = InputSpec(type=kind, options=("a",) if kind == "choice" else ())
    try:
        check_inputs({"x": spec}, {"x": parse_cli_value(spec, text)})
    except InvalidInput as error:
        assert "'x'" in error.message  # noqa: PT017 - many texts are accepted
