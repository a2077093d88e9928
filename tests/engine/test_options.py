"""What expressions in options may give, and in which words anything else is refused."""

from __future__ import annotations

import pytest

from tributary_daemon.engine.options import for_items_only, values_of
from tributary_daemon.errors import InvalidInput, InvalidWorkflow
from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.option_values import late_options


def value_of(key, value):
    options = {"expressions": {key: {"text": "${{ inputs.v }}"}}}
    return values_of(options, {"inputs": {"v": value}}).get(key)


@pytest.mark.parametrize(
    ("key", "value", "stored"),
    [
        ("priority", 7, 7),
        ("priority", "-7", -7),
        ("priority", 7.0, 7),
        ("max_attempts", " 3 ", 3),
        ("timeout", 2.5, 2.5),
        ("timeout", "90", 90.0),
        ("timeout", "1h30m", 5400.0),
        ("run_after", 0, 0.0),
        ("run_after", "2d", 172800.0),
        ("run_after", "2026-03-01T06:00:00+01:00", "2026-03-01T05:00:00.000000Z"),
        ("queue", "heavy", "heavy"),
        ("queue", None, None),
        ("timeout", None, None),
    ],
)
def test_what_may_be_written_may_be_given(key, value, stored):
    assert value_of(key, value) == stored


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("priority", True), ("priority", 1.5), ("priority", ""), ("priority", [1]), ("priority", {"a": 1}),
        ("priority", 32001), ("priority", 1e300), ("max_attempts", "0"), ("max_attempts", 10_001),
        ("timeout", 0), ("timeout", -1), ("timeout", "soon"), ("timeout", True), ("timeout", ["1s"]),
        ("run_after", "2026-03-01T06:00:00"), ("run_after", 1e12), ("run_after", False),
        ("queue", ""), ("queue", "~closing"), ("queue", "@mine"), ("queue", 5), ("queue", "a${{ b }}"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_option_expression_and_value(key, value):
    with pytest.raises(InvalidInput) as caught:
        value_of(key, value)
    assert caught.value.message.startswith(f"`{key}`: ${{{{ inputs.v }}}} gives ")


@pytest.mark.parametrize(
    ("key", "written"), [("priority", "high"), ("max_attempts", 0), ("timeout", "soon"), ("queue", "a b")]
)
def test_the_words_are_those_of_the_file(key, written):
    with pytest.raises(InvalidWorkflow) as of_file:
        load_text(f"steps: {{a: {{task: t.v1, {key}: {written}}}}}\n")
    with pytest.raises(InvalidInput) as of_value:
        value_of(key, written)
    assert of_value.value.message.endswith(f": {of_file.value.problems[0].message}")


def test_long_values_are_cut():
    with pytest.raises(InvalidInput) as caught:
        value_of("run_after", "x" * 10_000)
    assert len(caught.value.message) < 12_000
    assert 'gives "' + "x" * 98 + "…:" in caught.value.message


def test_expressions_that_name_items_mean_nothing_to_an_aggregate():
    spec = load_text(
        """
        inputs: {q: {type: string}}
        steps:
          a:
            matrix: {n: [1, 2]}
            task: t.v1
            priority: ${{ matrix.n }}
            max_attempts: ${{ index + 1 }}
            queue: ${{ inputs.q }}
            timeout: 5
            run_after: ${{ inputs.q }}
            aggregate: {task: u.v1}
        """
    )
    step = spec.plan()["steps"][0]
    assert sorted(for_items_only(step)) == ["max_attempts", "priority", "run_after"]
    found = dict(late_options(step["options"], step["run_after"]))
    assert sorted(found) == ["max_attempts", "priority", "queue", "run_after"]
