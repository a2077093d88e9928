# ruff: noqa: E501, PT017 - tables of strategies; random documents may be accepted or refused
"""`from_plan(plan())` is the same workflow, whatever it holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.fields import STEP, WORKFLOW
from tributary_daemon.spec.loader import load_file, load_text
from tributary_daemon.spec.workflow import EXTRAS, HEAD_EXTRAS, WorkflowSpec

GOOD = sorted((Path(__file__).parent / "good").glob("*.yaml"))

TEXT = st.sampled_from(["x", "a b", "${{ inputs.i }}", "n-${{ inputs.i }}"])
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=4,
)
OBJECT = st.dictionaries(st.sampled_from("abc"), VALUE, max_size=3)
DURATION = st.sampled_from([1, "500ms", "5m", "1h30m"])
CALL = st.fixed_dictionaries({"task": st.just("t.v1")}, optional={"with": VALUE})
CONCURRENCY = st.fixed_dictionaries(
    {"group": TEXT}, optional={"limit": st.integers(1, 9), "on_limit": st.sampled_from(["queue", "reject"])}
)
OPTIONS = {
    "queue": st.just("q"),
    "priority": st.integers(-9, 9) | st.just("${{ inputs.i }}"),
    "max_attempts": st.integers(1, 9),
    "timeout": DURATION,
    "retry": st.fixed_dictionaries({}, optional={"delay": DURATION, "on_exit": st.just([75])}),
}
COMMON = {
    "if": st.sampled_from([True, "inputs.i == 1", "always()", "${{ failure() || inputs.i }}"]),
    "continue_on_error": st.booleans(),
    "run_after": DURATION | st.just("2026-03-01T06:00:00Z"),
    "concurrency": CONCURRENCY,
    "labels": st.just({"a": "b"}),
    "description": st.just("words"),
    **OPTIONS,
}
FAN = {
    "key": TEXT,
    "max_parallel": st.integers(1, 9),
    "fail_fast": st.booleans(),
    "tolerate": st.sampled_from([0, 3, "10%"]),
    "aggregate": CALL,
}
ACTIONS = [
    ({"task": st.just("t.v1")}, {"with": OBJECT, "cache": st.just({"ttl": "1h"}), "undo": CALL}),
    ({"run": st.just("echo")}, {"env": st.just({"A": "1"}), "dir": TEXT, "shell": st.just("sh")}),
    ({"workflow": st.just("other.v1")}, {"with": OBJECT}),
    ({"wait": st.sampled_from([{"for": "1s"}, {"signal": "s", "timeout": "1h"}])}, {}),
    ({"approve": st.sampled_from([{}, {"prompt": "p", "form": {"a": {"type": "string"}}}])}, {}),
]
FANS = [
    ({}, {}),
    ({"for_each": st.lists(VALUE, max_size=3) | st.just("${{ inputs.i }}")}, FAN),
    ({"matrix": st.fixed_dictionaries({"a": st.lists(VALUE, min_size=1, max_size=2)}, optional={"include": st.just([{"a": 1}])})}, FAN),
]  # fmt: skip


@st.composite
def steps(draw, ids, hook=False):
    made = {}
    for index, step_id in enumerate(ids):
        action, with_action = draw(st.sampled_from(ACTIONS))
        fan, with_fan = draw(st.sampled_from(FANS))
        optional = {**COMMON, **with_action, **with_fan}
        if hook:
            optional.pop("undo", None)
        if "wait" in action or "approve" in action:
            del optional["timeout"], optional["concurrency"]
        step = draw(st.fixed_dictionaries({**action, **fan}, optional=optional))
        if index and draw(st.booleans()):
            step["needs"] = draw(st.lists(st.sampled_from(ids[:index]), unique=True))
        made[step_id] = step
    return made


HEAD = st.fixed_dictionaries(
    {},
    optional={
        "name": st.just("w.v1"),
        "description": st.just("words"),
        "labels": st.just({"a": "b"}),
        "secrets": st.just(["A", "B"]),
        "env": st.just({"A": "${{ inputs.i }}"}),
        "timeout": DURATION,
        "max_parallel": st.integers(1, 9),
        "fail_fast": st.booleans(),
        "concurrency": CONCURRENCY,
        "schedule": st.sampled_from(["* * * * *", [{"cron": "0 0 * * *", "inputs": {"i": 3}}]]),
        "preconditions": st.sampled_from(["inputs.i", [{"if": "inputs.i", "message": "m"}, "true"]]),
        "keep": st.sampled_from([{"days": 1}, {"days": 1, "runs": 2}]),
        "defaults": st.fixed_dictionaries({}, optional={**OPTIONS, "priority": st.integers(-9, 9)}),
        "result": VALUE,
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HEAD, steps(["a", "b", "c"]), steps(["d"], hook=True), steps(["e", "f"], hook=True))
def test_random_workflows(head, main, failed, last):
    document = {
        **head,
        "inputs": {"i": {"type": "integer", "default": 1}},
        "steps": main,
        "on_failure": failed,
        "finally": last,
    }
    # JSON is YAML, so the text is what the builder would write
    text = json.dumps(document)
    spec = load_text(text)
    stored = json.loads(json.dumps(spec.plan()))
    again = WorkflowSpec.from_plan(stored, source=text)
    assert again == replace(spec, warnings=())
    assert again.plan() == stored
    assert again.revision_hash() == spec.revision_hash()
    assert WorkflowSpec.from_plan(stored).revision_hash() == replace(spec, source="").revision_hash()


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_files(path):
    spec = load_file(path, strict=True)
    again = WorkflowSpec.from_plan(json.loads(json.dumps(spec.plan())), source=spec.source)
    assert again == replace(spec, children={})


def test_the_large_file_holds_every_key():
    spec = load_file(Path(__file__).parent / "good" / "etl.yaml")
    # no file is a workflow function
    assert {name for name in HEAD_EXTRAS if not getattr(spec, name)} == {"function"}
    unused = {name for name in EXTRAS if all(getattr(step, name) in (None, False) for step in spec.steps)}
    # a fan-out that does not stop at once: false is what it says
    assert unused == {"fail_fast"}
    assert spec.step("train").fail_fast is False


def test_what_is_not_written_is_not_stored():
    plan = load_text("steps: {a: {run: x}}").plan()
    assert set(plan) == {"format", "name", "description", "labels", "inputs", "defaults", "result", "steps"}
    assert set(plan["steps"][0]).isdisjoint(EXTRAS)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(0, 2)
    | st.sampled_from(["", "x", "a", "1h", "${{ item }}", "${{ steps.a.items[0].x }}", "always()", "x.yaml", "${{", "* * * * *"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["a", "b", "if", "task", "with", "group", "cron", "inputs", "form", "prompt", "type", "items", "for", "signal", "x-a", "${{ a }}", "include", "exclude", "1"]),
        inner,
        max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(st.sampled_from(sorted(WORKFLOW)), ANYTHING, max_size=4),
    st.dictionaries(st.sampled_from(sorted(STEP)), ANYTHING, max_size=5),
    st.dictionaries(st.sampled_from(sorted(STEP)), ANYTHING, max_size=4),
)
def test_random_values_of_every_key_are_read_or_refused(head, step, hook):
    document = {"steps": {"a": {"run": "x", **step}}, "finally": {"h": hook}, **head}
    try:
        spec = load_text(json.dumps(document))
    except InvalidWorkflow as error:
        assert all(problem.line == 1 for problem in error.problems)
    else:
        assert WorkflowSpec.from_plan(json.loads(json.dumps(spec.plan())), source=spec.source) == replace(
            spec, warnings=(), children={}
        )
