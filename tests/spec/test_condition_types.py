"""Conditions that cannot be meant as they stand are warned of."""

from __future__ import annotations

import pytest

from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.signatures import Known, Listed

HEAD = """\
name: shop.flow.v1
inputs:
  dry: {type: boolean, default: false}
  env: {type: choice, options: [prod, test], default: prod}
  day: {type: date}
steps:
  a: {task: shop.count.v1}
  each: {for_each: "${{ steps.a.result.rows }}", task: shop.any.v1, if: ITEM}
  b: {needs: [a, each], run: echo, if: CONDITION}
finally:
  last: {run: echo, if: HOOK}
"""
COUNT = {
    "type": "object",
    "properties": {
        "rows": {"type": "array", "items": {"type": "integer"}},
        "of": {"$ref": "#/$defs/Of"},
    },
    "$defs": {"Of": {"enum": ["red", "blue"]}},
}


def warnings(condition="true", item="true", hook="true"):
    text = HEAD.replace("CONDITION", condition).replace("ITEM", item).replace("HOOK", hook)
    known = Listed([
        Known("shop.count.v1", {"type": "object"}, COUNT), Known("shop.any.v1", {"type": "object"}, {}),
    ])  # fmt: skip
    return [
        (problem.line, problem.column, problem.message, problem.hint)
        for problem in load_text(text, signatures=known).warnings
        if problem.code == "TRB144"
    ]


@pytest.mark.parametrize(
    ("condition", "column", "said", "hint"),
    [
        ("inputs.dry == 'true'", 40, "it compares Boolean", "write true without quotes"),
        ("\"${{ inputs.env == 'prd' }}\"", 45, "with 'prd'", "did you mean 'prod'?"),
        ("success() && steps.a.state == 'complete'", 53, "with 'complete'", "did you mean 'completed'?"),
        ("steps.a.result.of == 'rod'", 40, "'red' or 'blue' or null with 'rod'", "did you mean 'red'?"),
        ("length(steps.a.attempt) > 1", 47, "length needs", None),
        ("steps.each.items == 3", 40, "compares Array", None),
    ],
)
def test_what_can_never_be_is_said_at_its_place(condition, column, said, hint):
    ((line, at, message, told),) = warnings(condition)
    assert (line, at) == (9, column)
    assert said in message
    assert hint is None or hint in told


def test_items_and_the_end_of_a_run_are_known_too():
    ((line, _, message, _),) = warnings(item="item == 'one'")
    assert (line, "compares Number" in message) == (8, True)
    ((line, _, _, hint),) = warnings(hook="run.state == 'success'")
    assert (line, hint.endswith("cancelled, completed, failed")) == (11, True)


@pytest.mark.parametrize(
    "condition",
    [
        "inputs.dry == true",
        "inputs.env != 'test' && inputs.day == '2026-01-01'",
        '"steps.a.result.rows[0] == 1 || steps.a.result == null"',
        "steps.a.result.nothing == 3",
        "steps.a.state == 'skipped' || failure()",
        "steps.a.result.of == 'RED'",
        '"fromJSON(steps.a.result.rows[0])"',
    ],
)
def test_nothing_is_said_of_what_may_be(condition):
    assert warnings(condition) == []
