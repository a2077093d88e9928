"""Conversion: golden files, the small languages inside, and that no input breaks it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tributary_daemon.errors import InvalidInput, InvalidWorkflow
from tributary_daemon.spec import codes
from tributary_daemon.spec.loader import load_text
from tributary_daemon.tools.convert import CONVERTERS
from tributary_daemon.tools.convert.argo_words import condition, depends, expression, seconds
from tributary_daemon.tools.convert.draft import duration, step_id, variable, workflow_name
from tributary_daemon.tools.convert.source import load
from tributary_daemon.tools.formatting import formatted

GOOD = "(steps.{0}.state == 'completed' || steps.{0}.state == 'skipped')"
GOOD = "(steps.{0}.state == 'completed' || steps.{0}.state == 'skipped')"
HERE = Path(__file__).parent / "converted"


def converted(tool, text, name="given"):
    return CONVERTERS[tool](text, name)


def faults(text):
    """Return the problems of a workflow, except what this version does not support yet."""
    try:
        load_text(text, file="converted.yaml")
    except InvalidWorkflow as error:
        return [problem for problem in error.problems if problem.code != codes.UNSUPPORTED]
    return []


@pytest.mark.parametrize("tool", CONVERTERS)
def test_a_whole_file_becomes_what_stands_in_the_golden_one(tool):
    made = converted(tool, (HERE / f"{tool}.source.yaml").read_text("utf-8"))
    assert made.text == (HERE / f"{tool}.yaml").read_text("utf-8")
    assert made.steps == len(
        re.findall(r"^  \w\S*:$", re.sub(r"(?ms)^(inputs|env):.*?^(?=\S)", "", made.text), re.MULTILINE)
    )


@pytest.mark.parametrize("tool", CONVERTERS)
def test_the_result_is_a_workflow_in_its_usual_form(tool):
    text = (HERE / f"{tool}.yaml").read_text("utf-8")
    assert faults(text) == []
    assert formatted(text) == text


@pytest.mark.parametrize("tool", CONVERTERS)
def test_what_was_not_converted_is_named_with_its_line(tool):
    source = (HERE / f"{tool}.source.yaml").read_text("utf-8")
    made = converted(tool, source)
    lines = source.splitlines()
    assert len(made.notes) >= 3
    for note in made.notes:
        assert note.comment() in made.text
        word = re.match(r"[\w-]*", note.text.removeprefix("on: ").removeprefix("outputs.parameters "))[0]
        nearby = "\n".join(lines[max(note.line - 5, 0) : note.line + 3])
        assert word in nearby, note


# GitHub Actions


def test_a_job_of_commands_is_one_script():
    made = converted(
        "github", "on: push\njobs:\n  build it:\n    steps: [{run: make}, {run: make test}]\n", "ci"
    )
    spec = yaml.safe_load(made.text)
    assert spec["name"] == "ci.v1"
    assert spec["steps"]["build_it"]["run"] == "make\nmake test\n"


def test_expressions_in_a_script_come_in_by_the_environment():
    made = converted(
        "github", "jobs: {a: {steps: [{run: 'echo ${{ inputs.day }} ${{ inputs.day }} ${{ env.day }}'}]}}"
    )
    step = yaml.safe_load(made.text)["steps"]["a"]
    assert step["run"] == "echo ${DAY} ${DAY} ${DAY_2}"
    assert step["env"] == {"DAY": "${{ inputs.day }}", "DAY_2": "${{ env.day }}"}


def test_scripts_of_one_job_do_not_reach_into_each_other():
    text = """
jobs:
  a:
    env: {LEVEL: low}
    steps:
      - {run: "cd src && make\\nexit 0", env: {TARGET: one}}
      - {run: make test, env: {TARGET: two, LEVEL: low}}
  b:
    env: {LEVEL: low}
    steps: [{run: cd src, env: {LEVEL: high}}]
"""
    made = converted("github", text)
    steps = yaml.safe_load(made.text)["steps"]
    assert steps["a"]["run"] == "(\ncd src && make\nexit 0\n)\nmake test\n"
    assert steps["a"]["env"] == {"LEVEL": "low", "TARGET": "one"}
    assert [(note.line, note.text) for note in made.notes] == [(7, "env: TARGET")]
    assert steps["b"] == {"run": "cd src", "shell": "bash", "env": {"LEVEL": "high"}}


def test_results_of_needs_are_states_here():
    text = """
jobs:
  a: {steps: [{run: x}]}
  b: {needs: [a], if: "needs.a.result != 'failure' || 'failure' == inputs.x", steps: [{run: y}]}
"""
    assert yaml.safe_load(converted("github", text).text)["steps"]["b"]["if"] == (
        "steps.a.state != 'discarded' || 'discarded' == inputs.x"
    )


def test_a_reusable_workflow_is_a_child():
    made = converted("github", "jobs: {a: {uses: ./other.yml, with: {n: 1}}}")
    assert yaml.safe_load(made.text)["steps"]["a"] == {"workflow": "./other.yml", "with": {"n": 1}}
    assert [note.line for note in made.notes] == [1]


# Argo


@pytest.mark.parametrize(
    ("reference", "ours"),
    [
        ("inputs.parameters.day", "inputs.day"),
        ("workflow.parameters.day", "inputs.day"),
        ("item.name", "item.name"),
        ("tasks.flip-coin.outputs.result", "steps.flip.result.result"),
        ("steps.x.outputs.parameters.n", "steps.x.result.n"),
        ("tasks.x.status", "steps.x.state"),
        ("workflow.status", "run.state"),
        ("pod.name", None),
    ],
)
def test_references_of_argo(reference, ours):
    assert expression(reference, {"flip-coin": "flip"}) == ours


@pytest.mark.parametrize(
    ("when", "ours"),
    [
        ("{{a}} == heads", "<a> == 'heads'"),
        ("'{{a}}' != \"it's\"", "<a> != 'it''s'"),
        ("{{a}} > 3 && ({{b}} == true || !{{c}})", "<a> > 3 && (<b> == true || !<c>)"),
        ("{{a}} =~ x.*", None),
    ],
)
def test_conditions_of_argo(when, ours):
    assert condition(when, lambda reference: f"<{reference}>") == ours


@pytest.mark.parametrize(
    ("written", "needs", "decides"),
    [
        ("a", ["a"], None),
        ("a && b", ["a", "b"], None),
        ("a.Failed", ["a"], "always() && (steps.a.state == 'discarded')"),
        (
            "a.Succeeded || !b.Skipped",
            ["a", "b"],
            "always() && (steps.a.state == 'completed' || !(steps.b.state == 'skipped'))",
        ),
        (
            "a || b",
            ["a", "b"],
            f"always() && ({GOOD.format('a')} || {GOOD.format('b')})",
        ),
    ],
)  # fmt: skip
def test_dependencies_of_argo(written, needs, decides):
    assert depends(written, {}) == (needs, decides)


@pytest.mark.parametrize(
    ("written", "value"),
    [(5, 5.0), ("90", 90.0), ("1m30s", 90.0), ("2h", 7200.0), ("soon", None), (True, None), ("5x", None)],
)
def test_durations_of_argo(written, value):
    assert seconds(written) == value


@pytest.mark.parametrize(
    ("loop", "for_each"),
    [
        ("withItems: [a, {b: 1}]", ["a", {"b": 1}]),
        ("withParam: '{{inputs.parameters.list}}'", "${{ fromJSON(inputs.list) }}"),
        ("withParam: '[1, 2]'", [1, 2]),
        ("withSequence: {count: '3'}", [0, 1, 2]),
        ("withSequence: {start: 2, end: 4}", [2, 3, 4]),
    ],
)
def test_loops_of_argo(loop, for_each):
    text = f"""
kind: Workflow
spec:
  entrypoint: m
  templates:
    - name: m
      steps: [[{{name: a, template: t, {loop}}}]]
    - {{name: t, container: {{command: [echo]}}}}
"""
    assert yaml.safe_load(converted("argo", text).text)["steps"]["a"]["for_each"] == for_each


# Dagu


def test_steps_of_dagu_run_one_after_the_other_unless_they_say_otherwise():
    chain = yaml.safe_load(
        converted("dagu", "steps: [echo a, {command: echo b}, {name: last, command: [echo, c]}]").text
    )
    assert chain["steps"] == {
        "step_1": {"run": "echo a"},
        "step_2": {"needs": "step_1", "run": "echo b"},
        "last": {"needs": "step_2", "run": "echo c"},
    }
    free = yaml.safe_load(converted("dagu", "type: graph\nsteps: {a: {command: x}, b: {command: y}}").text)
    assert all("needs" not in step for step in free["steps"].values())


def test_parameters_and_outputs_reach_scripts_by_the_environment():
    text = """
params: DAY=today
steps:
  - {id: a, command: date, output: NOW}
  - {id: b, command: 'echo $NOW ${DAY} $HOME'}
"""
    spec = yaml.safe_load(converted("dagu", text).text)
    assert spec["inputs"] == {"DAY": {"type": "string", "default": "today"}}
    assert spec["steps"]["a"]["run"] == 'NOW="$(\ndate\n)"\necho "NOW=$NOW" >> "$TRIB_OUTPUT"\n'
    assert spec["steps"]["b"]["run"] == "echo ${NOW} ${DAY} $HOME"
    assert spec["steps"]["b"]["env"] == {"NOW": "${{ steps.a.result.NOW }}", "DAY": "${{ inputs.DAY }}"}


# small parts, and input of any kind


def test_words_become_ids_names_variables_and_durations():
    assert step_id("2nd step!") == "step_2nd_step"
    assert step_id("a", ["a", "a_2"]) == "a_3"
    assert workflow_name("My ETL (daily)") == "my_etl_daily.v1"
    assert workflow_name("a.b.v3") == "a.b.v3"
    assert variable("trib-output") == "MY_TRIB_OUTPUT"
    assert [variable("path"), variable("uid"), variable("my.path")] == ["MY_PATH", "MY_UID", "MY_PATH"]
    assert [duration(each) for each in (90, 3600, 86_400, 0.5)] == ["90s", "1h", "1d", 0.5]


def test_aliases_and_merge_keys_are_followed():
    [root] = load("a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}\n")
    assert root["b"] == {"k": 1, "l": 3}
    assert root["b"].lines == {"k": 1, "l": 2}


@pytest.mark.parametrize("tool", CONVERTERS)
@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "a: *x", "[" * 2_000, "just text"])
def test_what_is_no_mapping_is_refused(tool, text):
    with pytest.raises(InvalidInput):
        converted(tool, text)


WORDS = [
    "on",
    "jobs",
    "steps",
    "needs",
    "if",
    "env",
    "run",
    "uses",
    "with",
    "strategy",
    "matrix",
    "include",
    "outputs",
    "timeout-minutes",
    "continue-on-error",
    "concurrency",
    "schedule",
    "inputs",
    "workflow_dispatch",
    "kind",
    "spec",
    "entrypoint",
    "templates",
    "name",
    "dag",
    "tasks",
    "template",
    "arguments",
    "parameters",
    "value",
    "withItems",
    "withParam",
    "withSequence",
    "count",
    "when",
    "depends",
    "container",
    "script",
    "command",
    "args",
    "source",
    "retryStrategy",
    "limit",
    "backoff",
    "suspend",
    "onExit",
    "workflowSpec",
    "params",
    "output",
    "depends",
    "retryPolicy",
    "continueOn",
    "preconditions",
    "condition",
    "expected",
    "handlerOn",
    "parallel",
    "items",
    "call",
    "type",
    "default",
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.sampled_from(["a", "${{ x }}", "{{inputs.parameters.a}}", "$A", "", "Workflow"])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=25,
)


@given(st.sampled_from(sorted(CONVERTERS)), st.dictionaries(st.sampled_from(WORDS), TREES, max_size=5))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_mapping_is_converted_or_refused(tool, tree):
    if tool == "argo":
        tree = {"kind": "Workflow", "spec": {"entrypoint": "a", "templates": [{"name": "a", **tree}], **tree}}
    try:
        made = converted(tool, yaml.safe_dump(tree))
    except InvalidInput:
        return
    assert made.text.startswith("# Converted from ")
