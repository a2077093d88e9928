"""Plans: order, bounds, options with their levels."""

from __future__ import annotations

import json

import pytest

from tests.tools.conftest import step
from tributary_daemon.spec.loader import load_text
from tributary_daemon.spec.workflow import WorkflowSpec
from tributary_daemon.tools import options, plan_text
from tributary_daemon.tools.planning import Around, decided, plan_of


def planned(spec, *, handlers=None, config=None, given=None):
    return plan_of(spec, Around(handlers=handlers or {}, config=config or {}, given=given or {}))


def by_id(plan):
    return {each["id"]: each for each in plan["steps"]}


def text_of(plan):
    said = [f"{word} {text}" for word, text in plan_text.head(plan)]
    for title, steps in plan_text.parts(plan):
        said.append(title)
        said.extend(f"{one['id']}: {word} {text}" for one in steps for word, text in plan_text.details(one))
    return "\n".join(said)


def test_every_construct_stands_in_the_plan(everything):
    plan = planned(everything, given={"env": "prod"})
    assert json.loads(json.dumps(plan)) == plan
    assert plan["levels"] == [
        ["extract", "wait_a_bit"],
        ["split", "grid"],
        ["later", "script"],
        ["train"],
        ["ask"],
    ]
    assert plan["hooks"] == {"on_failure": [["alert"]], "finally": [["clean"], ["tell"]]}
    assert plan["critical_path"]["steps"] == ["extract", "split", "script", "train", "ask"]
    assert plan["children"]["shop.train.v1"]["levels"] == [["fit"], ["score"]]
    assert plan["inputs"]["day"] == {"type": "date", "required": True, "value": None, "from": None}
    assert plan["inputs"]["env"]["from"] == "given"
    steps = by_id(plan)
    assert steps["split"]["implied"] == ["extract"]
    assert steps["split"]["items"] == {"by": "for_each", "count": 3, "max_parallel": 2, "fail_fast": False}
    assert steps["grid"]["items"]["count"] == 5
    assert steps["later"]["items"]["count"] is None
    assert steps["script"]["holds"] is True
    assert steps["ask"]["holds"] is None
    assert steps["train"]["workflow"]["here"] is True
    assert steps["ask"]["approve"]["prompt"] == "Go on?"
    for name in (
        "timeout",
        "max_parallel",
        "concurrency",
        "schedule",
        "preconditions",
        "keep",
        "secrets",
        "env",
    ):
        assert name in plan
    text = text_of(plan)
    for part in (
        "steps 8 steps in 5 levels, 2 side by side at most",
        "script: if inputs.env == 'prod'  (holds with these inputs)",
        "split: needs extract (implied)",
        "split: items 3 items, by for_each, 2 at once, 10% may fail, the others go on when one fails",
        "later: items known when it runs, by for_each",
        "split: undo shop.unsplit.v1",
        "train: workflow shop.train.v1",
        "train: failure is tolerated",
        "later: run_after 10m00s after its needs",
        "extract: options queue heavy (step), max_attempts 2 (defaults), timeout 1m00s (defaults)",
        'inputs env (choice) = "prod"  given',
        " day (date): required, not given",
    ):
        assert part in text, part


def test_each_option_comes_whole_from_the_strongest_level():
    spec = WorkflowSpec(
        name="w.v1",
        steps=(step("a", 1, name="a.v1", options={"queue": "own"}),),
        defaults={"timeout": 5.0, "priority": 1},
    )
    handlers = {"a.v1": {"queue": "theirs", "priority": 2, "retry": {"backoff": "fixed", "delay": 3.0}}}
    config = {"max_attempts": 7, "retry": {"delay": 9.0, "budget": 60.0}}
    chosen = by_id(planned(spec, handlers=handlers, config=config))["a"]["options"]
    assert {name: (each["value"], each["level"]) for name, each in chosen.items() if name != "retry"} == {
        "queue": ("own", "step"),
        "priority": (2, "handler"),
        "timeout": (5.0, "defaults"),
        "max_attempts": (7, "config"),
    }
    assert chosen["retry"]["level"] == "handler"
    assert "budget" not in chosen["retry"]["value"]
    assert by_id(planned(spec))["a"]["options"]["retry"]["level"] == "built-in"


@pytest.mark.parametrize(
    ("action", "attempts"), [("task", 3), ("run", 1), ("workflow", 1), ("wait", 1), ("approve", 1)]
)
def test_built_in_attempts(action, attempts):
    assert options.built_in(action)["max_attempts"] == attempts


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"options": {"timeout": 10.0, "max_attempts": 1}}, 10.0),
        ({"options": {"timeout": 10.0, "retry": {"backoff": "fixed", "delay": 5.0, "jitter": 0}}}, 40.0),
        ({"options": {"timeout": 10.0, "max_attempts": 3, "retry": {"delay": 1.0, "jitter": 0.5}}}, 34.5),
        ({"options": {"timeout": 10.0, "max_attempts": 9, "retry": {"budget": 20.0}}}, 30.0),
        ({"options": {"timeout": "${{ inputs.t }}"}}, None),
        ({}, None),
        ({"options": {"timeout": 10.0, "max_attempts": 1}, "run_after": 5.0}, 15.0),
        ({"options": {"timeout": 10.0, "max_attempts": 1}, "run_after": "2026-01-01T00:00:00Z"}, None),
        ({"options": {"timeout": 10.0, "max_attempts": 1}, "for_each": [1, 2, 3], "max_parallel": 2}, 20.0),
        ({"options": {"timeout": 10.0, "max_attempts": 1}, "for_each": [1, 2, 3]}, 10.0),
        ({"options": {"timeout": 10.0, "max_attempts": 1}, "for_each": []}, 0.0),
        ({"action": "wait", "wait": {"for": 30.0}}, 30.0),
        ({"action": "wait", "wait": {"signal": "x", "timeout": 90.0}}, 90.0),
        ({"action": "wait", "wait": {"signal": "x"}}, None),
        ({"action": "approve", "approve": {"prompt": "x", "timeout": 60.0}}, 60.0),
    ],
)  # fmt: skip
def test_the_longest_duration_of_a_step(fields, seconds):
    plan = planned(WorkflowSpec(name="w.v1", steps=(step("a", 1, **fields),)))
    assert by_id(plan)["a"]["longest"] == seconds
    assert plan["longest"] == seconds


def test_the_bound_of_a_run_is_its_longest_way_or_its_timeout():
    def once(seconds):
        return {"timeout": seconds, "max_attempts": 1}

    steps = (
        step("a", 1, options=once(10.0)),
        step("b", 2, "a", options=once(1.0)),
        step("c", 3, "b", options=once(1.0)),
        step("d", 4, "a", options=once(50.0)),
    )
    plan = planned(WorkflowSpec(name="w.v1", steps=steps))
    assert plan["critical_path"] == {"steps": ["a", "b", "c"], "length": 3, "longest": 12.0}
    assert plan["longest"] == 60.0
    assert planned(WorkflowSpec(name="w.v1", steps=steps, timeout=30.0))["longest"] == 30.0


def test_a_child_bounds_the_step_that_runs_it():
    child = WorkflowSpec(name="c.v1", steps=(step("x", 1, options={"timeout": 7.0, "max_attempts": 1}),))
    steps = (
        step("a", 1, action="workflow", workflow={"name": "c.v1"}),
        step("b", 2, action="workflow", workflow={"name": "gone.v1"}),
    )
    plan = planned(WorkflowSpec(name="w.v1", steps=steps, children={"c.v1": child}))
    assert by_id(plan)["a"]["longest"] == 7.0
    assert by_id(plan)["b"]["longest"] is None
    assert "registered elsewhere" in text_of(plan)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("inputs.env == 'prod'", False),
        ("inputs.env == 'dev' && inputs.n > 1", True),
        ("inputs.other", None),
        ("steps.a.result.ok", None),
        ("failure()", None),
        ("inputs.env == 'dev' || always()", None),
    ],
)
def test_conditions_that_follow_from_the_inputs_are_decided(condition, holds):
    assert decided(condition, {"env": "dev", "n": 2}) is holds


def test_a_handler_that_is_not_here_is_said_so():
    spec = load_text("name: w.v1\nsteps:\n  a: {task: shop.a.v1}\n  b: {run: echo, needs: a}\n")
    plan = planned(spec, handlers={"shop.b.v1": {}})
    assert by_id(plan)["a"]["handler"] == "not imported"
    assert "handler" not in by_id(plan)["b"]
    assert "a: handler not imported here" in text_of(plan)
