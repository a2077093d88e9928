"""Rules 1 to 10 of the language, as far as loading goes; each test is named after its rule."""

from __future__ import annotations

import pytest

from tributary_daemon.spec.loader import load_file, load_text

OK = "steps: {z: {run: x}}\n"
TASK = "steps:\n  a: {run: x}\n  b:\n    task: t.v1\n"


def step(text, step_id="b"):
    return load_text(text).step(step_id)


def codes(problems):
    return [problem.code for problem in problems if problem.severity == "error"]


@pytest.mark.parametrize("step_id", ["a", "_", "A-1", "a" * 100])
def test_r01_ids(step_id):
    assert load_text(f"steps: {{{step_id}: {{run: x}}}}").steps[0].id == step_id


def test_r01_a_missing_version_is_a_warning_and_refuses_when_strict(refused):
    text = "name: etl\nsteps: {a: {task: mail}, b: {workflow: other}}"
    assert [w.code for w in load_text(text).warnings] == ["TRB122"] * 3
    assert len(refused(text, strict=True)) == 3


def test_r01_the_stem_is_a_name_of_any_characters(tmp_path):
    path = tmp_path / "my first file.yaml"
    path.write_text(OK, "utf-8")
    spec = load_file(path, strict=True)
    assert (spec.name, spec.warnings) == ("my first file", ())


@pytest.mark.parametrize(
    ("written", "action", "name"),
    [
        ("task: t.v1", "task", "t.v1"),
        ("run: x", "run", "trib.shell.v1"),
        ("workflow: w.v1", "workflow", "trib.workflow.v1"),
        ("wait: {for: 1s}", "wait", "trib.wait.v1"),
        ("approve: {prompt: Sure?}", "approve", "trib.approve.v1"),
    ],
)
def test_r02_the_actions(written, action, name):
    found = load_text(f"steps: {{a: {{{written}}}}}").steps[0]
    assert (found.action, found.name) == (action, name)


@pytest.mark.parametrize("one", ["task: t.v1", "run: x", "workflow: w.v1", "wait: {for: 1s}", "want: T"])
def test_r02_two_actions_are_refused(refused_with, one):
    other = "approve: {prompt: x}"
    refused_with(f"steps: {{a: {{{one}, {other}}}}}", "TRB107")


def test_r03_x_keys_are_free_at_every_level():
    text = """
x-a: 1
inputs: {x-b: {}, i: {type: string, x-c: 1}}
concurrency: {group: g, x-d: 1}
schedule: [{cron: "* * * * *", x-e: 1, inputs: {i: a}}]
keep: {days: 1, x-f: 1}
defaults: {queue: q, x-g: 1}
steps:
  x-h: {}
  a: {run: x, x-i: 1, retry: {delay: 1s, x-j: 1}, matrix: {a: [1], x-k: 1}, cache: {x-l: 1}}
  b: {wait: {for: 1s, x-m: 1}}
on_success: {x-n: 1, c: {run: x, x-o: {}}}
"""
    spec = load_text(text)
    assert [s.id for s in spec.steps] == ["a", "b", "c"]
    assert spec.steps[0].matrix == {"axes": {"a": [1]}}


def test_r03_a_typo_names_the_key_and_all_others(refused_with):
    problem = refused_with(TASK + "    max_paralel: 3", "TRB102")
    assert "did you mean 'max_parallel'? known: task, run, workflow" in problem.hint
    assert problem.hint.endswith("description, x-*")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (TASK + "    strategy: {}", "keys of the step itself"),
        (TASK + "    foreach: [1]", "`for_each`"),
        (TASK + "    schedule: x", "`schedule` is a key of a workflow"),
        ("for_each: [1]\n" + OK, "`for_each` is a key of a step"),
        ("on: push\n" + OK, "`schedule`"),
    ],
)
def test_r03_words_of_others(refused_with, text, hint):
    assert hint in refused_with(text, "TRB102").hint


def test_r04_a_value_of_an_anchor_is_blamed_once(refused):
    steps = "".join(f"  s{n}: {{<<: *c, run: x}}\n" for n in range(20))
    assert codes(refused(f"x-c: &c {{quue: a}}\nsteps:\n{steps}")) == ["TRB102"]


def test_r04_merge_keys():
    text = """
x-one: &one {queue: one, priority: 1}
x-two: &two {queue: two, timeout: 5s}
steps:
  a: {<<: *one, run: x}
  b: {<<: [*one, *two], run: x, priority: 7}
  c:
    run: x
    <<: *two
"""
    spec = load_text(text)
    assert [s.options for s in spec.steps] == [
        {"queue": "one", "priority": 1},
        {"queue": "one", "priority": 7, "timeout": 5.0},
        {"queue": "two", "timeout": 5.0},
    ]


def test_r04_a_quoted_merge_key_is_a_key_as_any(refused_with):
    assert "'<<'" in refused_with('steps: {d: {"<<": {run: x}, task: t.v1}}', "TRB102").message


def test_r04_anchors_end_with_their_document(refused):
    text = "x-a: &a {run: x}\nsteps: {a: {workflow: b}}\n---\nname: b\nsteps: {c: *a}\n"
    assert "names no anchor" in refused(text)[0].message


def test_r04_faults_of_all_documents_in_one_pass(refused):
    text = "steps: {a: {workflow: b, quue: x}}\n---\nname: b\nsteps: {c: {rum: x}}\n---\nname: c\nsteps: {}\n"
    found = refused(text)
    assert [(p.line, p.code) for p in found if p.severity == "error"] == [
        (1, "TRB102"),
        (4, "TRB102"),
        (7, "TRB103"),
    ]


def test_r05_scalars_of_conditions_and_lists():
    spec = load_text(TASK + "    if: true\n    for_each: [0777, on, 12:30:45, 2026-01-01, 1.5]")
    assert spec.step("b").condition == "true"
    assert spec.step("b").for_each == ["0777", "on", "12:30:45", "2026-01-01", 1.5]


@pytest.mark.parametrize(
    ("written", "condition", "decides"),
    [
        ("steps.a.state == 'completed'", "steps.a.state == 'completed'", False),
        ("${{ steps.a.result.ok }}", "steps.a.result.ok", False),
        ("' ${{steps.a.result.ok}} '", "steps.a.result.ok", False),
        ("always()", "always()", True),
        ("Failure() || steps.a.result.ok", "Failure() || steps.a.result.ok", True),
        ('"!cancelled()"', "!cancelled()", True),
        ("${{ success() && true }}", "success() && true", True),
        ("contains('success()', 'x')", "contains('success()', 'x')", False),
        ("false", "false", False),
        ("|\n      run.name\n      == 'x'", "run.name\n== 'x'", False),
    ],
)
def test_r06_conditions(written, condition, decides):
    found = step(TASK + f"    if: {written}")
    assert (found.condition, found.decides) == (condition, decides)


def test_r06_a_condition_implies_needs():
    found = step(TASK + "    if: steps.a.result.ok")
    assert (found.needs, found.implied) == (("a",), {"a"})


@pytest.mark.parametrize(
    "key",
    [
        "with: {x: '${{ steps.a.result }}'}",
        "for_each: ${{ steps.a.result }}",
        "matrix: {x: '${{ steps.a.result }}'}",
        "{for_each: [1], key: '${{ steps.a.result }}'}",
        "cache: {key: '${{ steps.a.result }}'}",
        "concurrency: {group: '${{ steps.a.result }}'}",
        "queue: ${{ steps.a.result }}",
        "priority: ${{ steps.a.result }}",
        "max_attempts: ${{ steps.a.result }}",
        "timeout: ${{ steps.a.result }}s",
        "run_after: ${{ steps.a.result }}",
        "if: steps.a.state == 'skipped'",
        "{for_each: [1], aggregate: {task: s.v1, with: {x: '${{ steps.a.result }}'}}}",
    ],
)
def test_r07_keys_that_imply_an_edge(key):
    written = key[1:-1] if key.startswith("{") else key
    found = load_text("steps: {a: {run: x}, b: {task: t.v1, " + _flow(written) + "}}").step("b")
    assert (found.needs, found.implied) == (("a",), {"a"})


def _flow(written):
    # plain texts with expressions are quoted inside { }
    name, _, value = written.partition(": ")
    return (
        f"{name}: '{value}'"
        if value.startswith("$")
        else written.replace("steps.a.state == 'skipped'", "steps.a.state")
    )


@pytest.mark.parametrize(
    "text",
    [
        "steps: {a: {run: x}, b: {task: t.v1, undo: {task: u.v1, with: {x: '${{ steps.a.result }}'}}}}",
        "steps: {a: {run: x}, b: {task: t.v1}}\nresult: ${{ steps.a.result }} ${{ steps.b.result }}",
        "steps: {a: {run: x}}\nfinally: {b: {task: t.v1, with: {x: '${{ steps.a.result }}'}}}",
    ],
)
def test_r07_keys_that_imply_none(text):
    assert load_text(text).step("b").needs == ()


def test_r07_options_keep_their_expressions():
    found = step(TASK + "    timeout: ${{ steps.a.result.t }}\n    run_after: ${{ run.labels.at }}")
    assert found.options == {"timeout": "${{ steps.a.result.t }}"}
    assert found.run_after == "${{ run.labels.at }}"
    assert not found.dynamic


@pytest.mark.parametrize("path", ["steps", "steps.*", "steps.*.result", "steps[run.name]"])
@pytest.mark.parametrize("key", ["with: ['${{ %s }}']", "if: '%s'", "for_each: '${{ %s }}'"])
def test_r07_the_whole_of_steps_is_read_by_no_step(refused_with, key, path):
    refused_with(TASK + "    " + key % path, "TRB133")


def test_r07_the_result_may_read_the_whole_of_steps():
    assert load_text(OK + "result: ${{ toJSON(steps) }}").result == "${{ toJSON(steps) }}"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("if: inputs.x", "TRB132"),
        ("if: steps.c.state", "TRB104"),
        ("if: steps.b.state", "TRB105"),
        ("if: steps.a.outputs", "TRB134"),
        ("if: runn.id", "TRB131"),
        ("if: run.idd", "TRB134"),
        ("if: startWith('a', 'b')", "TRB143"),
        ("for_each: ${{ inputs.x }}", "TRB132"),
        ("matrix: {a: '${{ inputs.x }}'}", "TRB132"),
        ("cache: {key: '${{ inputs.x }}'}", "TRB132"),
        ("concurrency: {group: '${{ inputs.x }}'}", "TRB132"),
        ("timeout: ${{ inputs.x }}", "TRB132"),
        ("undo: {task: u.v1, with: ['${{ inputs.x }}']}", "TRB132"),
        ("run_after: ${{ env.X }}", "TRB142"),
    ],
)
def test_r10_every_reference_is_checked(refused_with, key, code):
    refused_with(TASK + "    " + key, code)


def test_r10_names_of_contexts_and_inputs_ignore_case():
    text = "inputs: {Day: {type: date}}\nenv: {Stage: x}\nsecrets: [Token]\n" + TASK
    text += (
        "    with: ['${{ INPUTS.day }}', '${{ Env.STAGE }}', '${{ secrets.TOKEN }}', '${{ Steps.A.Result }}']"
    )
    assert step(text).needs == ("a",)


@pytest.mark.parametrize(
    "key",
    [
        "preconditions: ['steps.z.result']",
        "concurrency: {group: '${{ steps.z.result }}'}",
        "env: {A: '${{ steps.z.result }}'}",
    ],
)
def test_r10_what_is_evaluated_before_the_steps_reads_none(refused_with, key):
    refused_with(OK + key, "TRB138")
