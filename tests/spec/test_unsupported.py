"""What cannot be executed yet is accepted by the loader and refused where work is recorded."""

from __future__ import annotations

import pytest

from tributary_daemon.client import submitting, targets
from tributary_daemon.client.options import Settings
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.unsupported import refuse_unsupported, unsupported

TEXT = """
steps:
  a: {wait: {for: 1s}}
  b: {approve: {prompt: Sure?}}
  c: {task: t.v1, undo: {task: u.v1}, cache: {ttl: 1h}}
  g: {workflow: w.v1, cache: {ttl: 1h}}
  d: {task: t.v1, if: always(), for_each: [1], concurrency: {group: g}}
  e: {workflow: child}
---
name: child
steps: {f: {workflow: w.v1, cache: {ttl: 1h}}}
"""


def test_every_place_is_named_once():
    with pytest.raises(InvalidWorkflow) as caught:
        refuse_unsupported(load_text(TEXT))
    assert [(problem.code, problem.message) for problem in caught.value.problems] == [
        ("TRB190", "step 'g': `cache` of a sub-workflow cannot be executed yet"),
        ("TRB190", "step 'f' of child: `cache` of a sub-workflow cannot be executed yet"),
    ]
    assert all(problem.hint for problem in caught.value.problems)


def test_all_else_is_accepted():
    spec = load_text(
        "steps: {a: {run: x, cache: {}}, b: {task: t.v1, cache: {ttl: 1h}, matrix: {a: [1]}}}\n"
        "finally: {d: {run: x, timeout: '${{ inputs.t }}', priority: '${{ 1 }}'}}\n"
        "schedule: '* * * * *'\ntimeout: 1h\nmax_parallel: 3\ninputs: {t: {type: integer, default: 1}}\n"
    )
    assert unsupported(spec) == []
    refuse_unsupported(spec)


def test_a_submit_refuses_it_before_anything_is_asked_of_the_database():
    spec = load_text("steps: {a: {workflow: w.v1, cache: {ttl: 1s}}}")
    operation = submitting.record(targets.SpecTarget(spec, {}, {}), None, Settings(), strict=False)
    with pytest.raises(InvalidWorkflow, match="`cache` of a sub-workflow cannot be executed yet"):
        next(operation)
