# ruff: noqa: E501, PT017 - lists of fragments; random text may be accepted or refused
from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import cpu_seconds
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_file, load_text
from tributary_daemon.spec.workflow import WorkflowSpec

SIGNUP = """\
name: user.signup.v1
description: a chain
labels: {team: data, tier: 1}
inputs:
  email: {type: string, pattern: '^\\S+@\\S+$'}
defaults: {queue: people, retry: {delay: 2s}}
x-note: free
steps:
  activate:
    task: accounts.activate.v1
    with: {user_id: "${{ steps.create.result.user_id }}"}
    max_attempts: 3
    timeout: 5m
    priority: 10
    run_after: 1h
    continue_on_error: true
    retry: {backoff: fixed, delay: 500ms, on: Timeout, on_exit: [75]}
    description: second
    labels: {kind: call}
    x-note: 1
  create:
    task: accounts.create.v1
    with: {email: "${{ inputs.email }}"}
  report:
    needs: [activate, create]
    run: echo "$WHO" $COUNT
    env: {WHO: "${{ inputs.email }}", COUNT: 3, LOUD: true}
result: {user_id: "${{ steps.create.result.user_id }}"}
"""


def test_the_whole_subset():
    spec = load_text(SIGNUP, file="signup.yaml", strict=True)
    assert (spec.name, spec.description, spec.labels) == (
        "user.signup.v1",
        "a chain",
        {"team": "data", "tier": "1"},
    )
    assert spec.defaults == {"queue": "people", "retry": {"delay": 2.0}}
    assert spec.result == {"user_id": "${{ steps.create.result.user_id }}"}
    assert spec.source == SIGNUP
    create, activate, report = spec.steps
    assert [(s.id, s.ordinal) for s in spec.steps] == [("create", 1), ("activate", 2), ("report", 3)]
    assert create.needs == ()
    assert create.dynamic
    assert activate.needs == ("create",)
    assert activate.implied == {"create"}
    assert activate.options == {
        "max_attempts": 3,
        "timeout": 300.0,
        "priority": 10,
        "retry": {"backoff": "fixed", "delay": 0.5, "on": ["Timeout"], "on_exit": [75]},
    }
    assert (activate.run_after, activate.continue_on_error) == (3600.0, True)
    assert (activate.description, activate.labels) == ("second", {"kind": "call"})
    assert (report.name, report.action, report.needs) == ("trib.shell.v1", "run", ("activate", "create"))
    assert report.implied == frozenset()
    assert report.with_ == {
        "run": 'echo "$WHO" $COUNT',
        "env": {"WHO": "${{ inputs.email }}", "COUNT": "3", "LOUD": "true"},
    }


def test_plan_is_json_and_rebuilds_the_workflow():
    spec = load_text(SIGNUP)
    plan = json.loads(json.dumps(spec.plan()))
    assert plan["steps"][1]["needs"] == [1]
    assert plan["steps"][1]["implied"] == [1]
    assert WorkflowSpec.from_plan(plan, source=SIGNUP) == spec
    assert spec.revision_hash() != load_text(SIGNUP + "# note\n").revision_hash()
    assert WorkflowSpec.from_plan(plan).revision_hash() == WorkflowSpec.from_plan(plan).revision_hash()


def test_the_smallest_file_takes_its_name_from_the_file(tmp_path):
    path = tmp_path / "hello world.yaml"
    path.write_text("steps:\n  hello: {run: echo hello}\n", "utf-8")
    spec = load_file(path, strict=True)
    assert spec.name == "hello world"
    assert load_text("steps: {a: {run: x}}").name == "workflow"
    assert load_text("steps: {a: {run: x}}", default_name="other").name == "other"
    assert load_text("\ufeffsteps: {a: {run: x}}").steps[0].id == "a"


def test_steps_without_order_keep_that_of_the_file():
    spec = load_text("steps:\n  c: {run: x}\n  a: {run: x, needs: z}\n  b: {run: x}\n  z: {run: x}\n")
    assert [step.id for step in spec.steps] == ["c", "b", "z", "a"]


def test_references_imply_needs_once_each_behind_the_written_ones():
    spec = load_text(
        "steps:\n  a: {run: x}\n  b: {run: x}\n"
        "  c:\n    task: t.v1\n    needs: b\n"
        "    with: ['${{ steps.A.result }} ${{ steps.a.state }}', '${{ steps.b.result }}']\n"
    )
    assert spec.steps[2].needs == ("b", "a")
    assert spec.steps[2].implied == {"a"}


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-03-01T06:00:00Z", "2026-03-01T06:00:00.000000Z"),
        ("2026-03-01 06:00+01:00", "2026-03-01T05:00:00.000000Z"),
        ("90", 90.0),
        ("1h30m", 5400.0),
    ],
)
def test_run_after(written, stored):
    spec = load_text(f"steps: {{a: {{run: x, run_after: {written}}}}}")
    assert spec.steps[0].run_after == stored


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0777", "0777"),
        ("-012", "-012"),
        ("01.5", "01.5"),
        ("on", "on"),
        ("yes", "yes"),
        ("NO", "NO"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("0o17", 15),
        ("0xff", 255),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("Null", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("0b1", "0b1"),
    ],
)
def test_r5_scalars(written, value):
    spec = load_text(f"steps:\n  a:\n    task: t.v1\n    with:\n      x: {written}\n")
    assert spec.steps[0].with_ == {"x": value}
    assert type(spec.steps[0].with_["x"]) is type(value)


def test_aliases_repeat_values():
    spec = load_text(
        "x-w: &w {a: [1, 2]}\nsteps:\n  a: {task: t.v1, with: *w}\n  b: {task: t.v1, with: *w}\n"
    )
    assert spec.steps[0].with_ == spec.steps[1].with_ == {"a": [1, 2]}


def test_warnings_stay_with_the_workflow_and_refuse_only_when_strict(refused):
    text = "name: plain\nsteps:\n  a: {task: mail, needs: [b, b]}\n  b: {run: x}\n"
    assert [w.code for w in load_text(text).warnings] == ["TRB122", "TRB122", "TRB124"]
    assert {problem.severity for problem in refused(text, strict=True)} == {"error"}


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "directory"),
        (lambda path: path.write_bytes(b"steps:\n  \xff"), "not UTF-8: byte 9, line 2"),
        (lambda path: path.write_bytes(b"#" * (4 * 1024 * 1024 + 1)), "larger than 4 MiB"),
    ],
)
def test_unreadable_files(tmp_path, prepare, message):
    path = tmp_path / "w.yaml"
    prepare(path)
    with pytest.raises(InvalidWorkflow, match=message) as caught:
        load_file(path)
    assert caught.value.problems[0].code == "TRB100"
    assert caught.value.problems[0].hint


def test_a_path_with_nul_is_an_error_of_the_file():
    with pytest.raises(InvalidWorkflow):
        load_file(Path("a\0b"))


def test_the_collector_is_left_as_it_was():
    assert gc.isenabled()
    load_text(SIGNUP)
    assert gc.isenabled()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_graphs_load_in_topological_order(data):
    count = data.draw(st.integers(1, 25))
    names = data.draw(st.permutations([f"s{n}" for n in range(count)]))
    needs = {
        name: data.draw(st.sets(st.sampled_from(names[:i]))) if i else set() for i, name in enumerate(names)
    }
    shown = data.draw(st.permutations(names))
    text = json.dumps({"steps": {name: {"run": "x", "needs": sorted(needs[name])} for name in shown}})
    spec = load_text(text)
    ordinals = {step.id: step.ordinal for step in spec.steps}
    assert sorted(ordinals.values()) == list(range(1, count + 1))
    for step in spec.steps:
        assert set(step.needs) == needs[step.id]
        assert all(ordinals[need] < step.ordinal for need in step.needs)
    assert WorkflowSpec.from_plan(spec.plan(), source=text) == spec


FRAGMENTS = st.sampled_from(
    ["steps:", " a", ": ", "{", "}", "[", "]", "task", "run", "\n", "  ", "${{", "}}", "inputs.", "steps.a",
     "&x", "*x", "!", "#", "|", ">", "'", '"', ",", "- ", "with", "needs", "if", "for_each", "matrix", "workflow", "---", "<<: ", "a.yaml", "finally:", "\t", "\0", "\x85", "\ud800", "1", "~"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(st.characters()), st.lists(FRAGMENTS, max_size=40).map("".join)))
def test_random_text_raises_nothing_else(text):
    try:
        load_text(text)
    except InvalidWorkflow as error:
        assert str(error).encode()
        positions = [(p.line or 0, p.column or 0) for p in error.problems if p.code != "TRB126"]
        assert positions == sorted(positions)


def chain(count):
    steps = "".join(
        f"  s{i}: {{task: app.do.v1, needs: s{i - 1}, with: {{x: '${{{{ steps.s{i - 1}.result.x }}}}'}}}}\n"
        for i in range(1, count)
    )
    return f"steps:\n  s0: {{task: app.do.v1}}\n{steps}"


def test_ten_thousand_steps_in_a_chain():
    text = chain(10_000)
    # about a second on the slowest machine measured; the bound only catches another order of growth
    assert cpu_seconds(lambda: load_text(text), enough=6) < 6
    spec = load_text(text)
    assert spec.steps[-1].id == "s9999"
    assert spec.steps[-1].ordinal == 10_000


def test_a_cycle_of_ten_thousand_steps_is_found_and_shortened(refused_with):
    problem = refused_with(chain(10_000).replace("s0: {", "s0: {needs: s9999, "), "TRB106")
    assert "more)" in problem.message
    assert len(problem.message) < 300


def test_a_loaded_workflow_leaves_no_work_for_the_collector():
    text = "steps:\n" + "".join(f"  s{n}: {{task: a.b.v1, with: {{n: {n}}}}}\n" for n in range(500))
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        spec = load_text(text)
        # its nodes are many, and have to go by themselves: a cycle would keep them until a collection
        assert gc.collect() < 100
    finally:
        if enabled:
            gc.enable()
    assert len(spec.steps) == 500


@pytest.mark.parametrize("enabled", [True, False])
def test_loading_leaves_the_collector_as_it_was(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        load_text("steps: {a: {task: a.b.v1}}")
        with pytest.raises(InvalidWorkflow):
            load_text("steps: [")
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
