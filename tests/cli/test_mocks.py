"""Mocks of `trib test` for whole sub-workflows and for single attempts."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from tributary_daemon.cli.mocks import CHILD, without_mocked_children
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_text
from tributary_daemon.tools.cases import Mock, check_cases

FLOW = """\
name: try.flow.v1
steps:
  own: {workflow: try.child.v1}
  other: {workflow: try.elsewhere.v1, for_each: [a, b], key: "${{ item }}", with: {v: "${{ item }}"}}
  last: {needs: [own, other], task: try.last.v1}
on_failure:
  tell: {task: try.tell.v1}
result: {own: "${{ steps.own.result }}", other: "${{ steps.other.result }}", last: "${{ steps.last.result }}"}
---
name: try.child.v1
steps:
  inner: {task: try.inner.v1}
"""
CASES = """\
cases:
  - name: as a whole
    mocks:
      own: {result: {inner: 9}}
      other: {result: 1}
      "other[b]": {result: 2}
      last: {results: [{error: {type: OSError, message: down}}, {error: {}}, {result: up}]}
    expect:
      result: {own: {inner: 9}, other: [1, 2], last: up}
      steps:
        last: {attempt: 3}
        "other[b]": {with: {v: b}}
  - name: the child fails
    mocks:
      own: {error: {message: broken}}
      other: {result: 1}
      tell: {result: told}
    expect:
      state: failed
      steps:
        own: {state: discarded, attempt: 1}
        last: {state: skipped, reason: upstream}
        tell: {result: told}
"""
SPEC = load_text(FLOW)


def test_only_mocked_children_are_replaced_and_they_are_tried_once():
    (case, _) = check_cases(CASES, "f", SPEC)
    (own_only,) = check_cases("cases: [{name: a, mocks: {own: {result: 1}}}]", "f", SPEC)
    both = without_mocked_children(SPEC, case)
    assert [both.step(step).name for step in ("own", "other")] == [CHILD, CHILD]
    one = without_mocked_children(SPEC, own_only)
    assert (one.step("own").action, one.step("own").options["max_attempts"]) == ("task", 1)
    assert one.step("other") == SPEC.step("other")


def test_each_attempt_has_its_turn_and_the_last_one_stays():
    mock = Mock.model_validate({"results": [{"error": {"message": "no"}}, {"result": 1}]})
    assert [mock.turn(attempt).result for attempt in (2, 3, 9)] == [1, 1, 1]
    assert mock.turn(1).error is not None
    twice = Mock.model_validate({"error": {}, "times": 2, "result": 5})
    assert [twice.turn(attempt).error is None for attempt in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize(
    ("mock", "said"),
    [
        ("results: [{}]", "either a result or an error"),
        ("results: [{result: 1, error: {}}]", "either a result or an error"),
        ("results: [{result: 1}], times: 2", "leave out result, error and times"),
        ("results: [{result: 1, eror: {}}]", "unknown key 'eror'"),
    ],
)
def test_faults_of_results_are_named(mock, said):
    with pytest.raises(InvalidWorkflow) as caught:
        check_cases(f"cases: [{{name: a, mocks: {{own: {{{mock}}}}}}}]", "f", SPEC)
    assert said in caught.value.problems[0].message


def test_children_are_mocked_as_a_whole_in_the_real_engine(trib, tmp_path):
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "flow.test.yaml").write_text(CASES)
    said = trib("test", "flow.yaml", "-o", "json", "--junit", "out.xml")
    assert said.returncode == 0, said.stdout + said.stderr
    assert [case["state"] for case in json.loads(said.stdout)["cases"]] == ["completed", "failed"]
    suite = ET.parse(tmp_path / "out.xml").getroot()[0]
    assert [case.get("name") for case in suite] == ["as a whole", "the child fails"]
    assert suite.get("failures") == "0"


def test_waits_and_approvals_are_mocked_and_what_undoes_by_its_handler(trib, tmp_path):
    (tmp_path / "waits.yaml").write_text(
        "name: try.waits.v1\nsteps:\n"
        "  packed: {wait: {signal: packed}}\n"
        "  review: {needs: packed, approve: {prompt: Sure?}}\n"
        "  ship: {needs: review, task: try.ship.v1, undo: {task: try.recall.v1}}\n"
        "  late: {needs: ship, wait: {signal: never, timeout: 1d}}\n"
        "result: {boxes: '${{ steps.packed.result.boxes }}'}\n"
    )
    (tmp_path / "waits.test.yaml").write_text(
        "cases:\n"
        "  - name: mocked\n"
        "    mocks: {packed: {result: {boxes: 2}}, review: {result: {approved: true}}, ship: {result: 1},\n"
        "            late: {result: null}}\n"
        "    expect: {state: completed, result: {boxes: 2}}\n"
        "  - name: rejected\n"
        "    mocks: {packed: {result: {}}, review: {error: {type: Abort, message: no}}}\n"
        "    expect: {state: failed, steps: {ship: {state: skipped}}}\n"
        "  - name: too late\n"
        "    mocks: {packed: {result: {}}, review: {result: {}}, ship: {result: 1},\n"
        "            try.recall.v1: {result: 0}}\n"
        "    expect: {state: failed, steps: {late: {reason: timeout}, 'undo:ship': {state: completed}}}\n"
        "  - name: nobody signals\n"
        "    expect: {state: completed}\n"
    )
    done = trib("test", "waits.yaml", "-o", "json")
    assert done.returncode == 1, done.stderr
    told = {case["name"]: case for case in json.loads(done.stdout)["cases"]}
    assert [name for name, case in told.items() if case["passed"]] == ["mocked", "rejected", "too late"], told
    assert "waits for the signal 'packed'" in told["nobody signals"]["refusal"]
