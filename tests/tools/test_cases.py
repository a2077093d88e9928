"""Test files of workflows: what is refused, and how expectations are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_text
from tributary_daemon.tools.cases import Body, Expected, bodies_of, check_cases, pair_of, split
from tributary_daemon.tools.comparing import differences

SPEC = load_text(
    """\
name: shop.flow.v1
steps:
  each: {for_each: [1, 2], task: shop.one.v1, aggregate: {task: shop.sum.v1}}
  sh: {needs: each, run: echo}
"""
)
RUN = {"state": "completed", "result": {"n": [1, 2]}, "warnings": 0}
STEP = {"state": "discarded", "attempt": 3, "result": None, "reason": None, "error": {"reason": "exhausted"}}


def refused(text):
    with pytest.raises(InvalidWorkflow) as caught:
        check_cases(text, "flow.test.yaml", SPEC)
    return [(problem.code, problem.line, problem.message) for problem in caught.value.problems]


def test_either_file_names_both():
    both = (Path("a/b.yaml"), Path("a/b.test.yaml"))
    assert pair_of(both[0]) == pair_of(both[1]) == both
    assert split("each[a[1]]") == ("each", "a[1]")
    assert split("each") == ("each", None)


def test_bodies_are_those_of_steps_and_of_their_aggregates():
    assert list(bodies_of(SPEC)) == [
        Body("each", "shop.one.v1", own=True),
        Body("each", "shop.sum.v1", own=False),
        Body("sh", "trib.shell.v1", own=True),
    ]


def test_a_case_completes_unless_it_says_otherwise():
    (case,) = check_cases("cases: [{name: a, mocks: {each: {result: null}}}]", "f", SPEC)
    assert case.expect.state == "completed"
    assert case.mocks["each"].gives("result")
    assert not case.expect.gives("result")


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", "TRB118", "the file holds no cases"),
        ("cases: []", "TRB108", "cases: list should have at least 1 item"),
        ("cases: [{name: a}]\ncase: 1", "TRB102", "unknown key 'case'"),
        ("cases: [{inputs: {}}]", "TRB103", "the key 'name' is missing"),
        ("cases: [{name: a, mocks: {each: {}}}]", "TRB109", "a mock needs a result or an error"),
        ("cases: [{name: a, mocks: {each: {result: 1, times: 2}}}]", "TRB109", "times counts the attempts"),
        ("cases: [{name: a, mocks: {each: {result: 1, error: {}}}}]", "TRB109", "needs times"),
        ("cases: [{name: a, mocks: {eahc: {result: 1}}}]", "TRB104", "'eahc' in mocks"),
        ("cases: [{name: a, expect: {steps: {eahc: {}}}}]", "TRB104", "unknown step 'eahc' in expect"),
        ("cases: [{name: a, expect: {state: done}}]", "TRB109", "'done' is no state to end in"),
        ("cases: [{name: a, expect: {steps: {sh: {stat: x}}}}]", "TRB102", "unknown key 'stat'"),
        ("- name: a", "TRB108", "the file must be a mapping, not a list"),
        ("cases: {}", "TRB108", "`cases` must be a list, not a mapping"),
        ("cases: [a]", "TRB108", "`cases[0]` must be a mapping, not text"),
        ("cases: [{name: 3}]", "TRB108", "`name` must be text, not a number"),
        ("cases: [{name: a, mocks: {each: x}}]", "TRB108", "`each` must be a mapping, not text"),
        ("cases: [{name: a}]\n---\ncases: [{name: b}]", "TRB129", "this is a further one"),
    ],
)
def test_a_fault_is_named_with_its_place(text, code, said):
    ((found, _, message), *_) = refused(text)
    assert found == code
    assert said in message


def test_two_cases_of_one_name_are_refused():
    assert refused("cases:\n  - {name: a}\n  - {name: a}") == [("TRB124", 3, "two cases are named 'a'")]


def test_differences_are_named_by_their_paths():
    expected = Expected.model_validate(
        {
            "state": "failed",
            "result": {"n": [1, 3, 4], "m": True},
            "steps": {
                "each": {"state": "completed", "reason": "exhausted", "attempt": 3},
                "gone": {"attempt": 1},
            },
        }
    )
    found = [one.to_json() for one in differences(expected, RUN, {"each": STEP})]
    assert found == [
        {"path": "state", "expected": "failed", "actual": "completed"},
        {"path": "result.n[1]", "expected": 3, "actual": 2},
        {"path": "result.n[2]", "expected": 4},
        {"path": "result.m", "expected": True},
        {"path": "steps.each.state", "expected": "completed", "actual": "discarded"},
        {"path": "steps.gone", "expected": {"attempt": 1}},
    ]


def test_what_is_as_expected_differs_in_nothing():
    expected = Expected.model_validate({"result": {"n": [1, 2]}, "warnings": 0})
    assert differences(expected, RUN, {}) == []
    assert differences(Expected.model_validate({"result": 1}), {**RUN, "result": True}, {})
