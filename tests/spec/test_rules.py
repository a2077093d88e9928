"""The rules of the language, as far as loading goes; each test is named after its rule."""

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


def test_r11_the_source_is_exact():
    text = "# note\n" + OK
    spec = load_text(text)
    assert spec.source == text
    assert spec.revision_hash() != load_text(OK).revision_hash()


def test_r12_timeouts_of_attempt_and_run():
    spec = load_text("timeout: 2h\n" + TASK + "    timeout: 5m\n    retry: {budget: 1h}")
    assert spec.timeout == 7200.0
    assert spec.step("b").options == {"timeout": 300.0, "retry": {"budget": 3600.0}}


def test_r13_secrets_stand_in_env_and_with():
    spec = load_text(
        "secrets: [TOKEN, KEY]\nenv: {T: '${{ secrets.TOKEN }}'}\nsteps:\n"
        "  a: {run: x, env: {K: '${{ secrets.KEY }}'}}\n  b: {task: t.v1, with: {k: '${{ secrets.KEY }}'}}\n"
    )
    assert spec.secrets == ("TOKEN", "KEY")
    assert spec.env == {"T": "${{ secrets.TOKEN }}"}


@pytest.mark.parametrize(
    "key",
    [
        "if: secrets.T",
        "for_each: ${{ secrets.T }}",
        "cache: {key: '${{ secrets.T }}'}",
        "with: ['${{ secrets[run.id] }}']",
    ],
)
def test_r13_secrets_stand_nowhere_else(refused_with, key):
    refused_with("secrets: T\n" + TASK + "    " + key, "TRB138")


def test_r13_the_result_holds_no_secret(refused_with):
    refused_with("secrets: [T]\nresult: ${{ secrets.T }}\n" + OK, "TRB138")


def test_r14_an_unknown_handler_is_no_fault():
    assert load_text("steps: {a: {task: nobody.offers_this.v1}}", strict=True).steps[0].name


HOOKS = """
steps: {a: {run: x}, b: {run: x, needs: a}}
on_success: {s: {task: t.v1, with: ['${{ steps.b.result }}', '${{ run.state }}']}}
on_failure:
  f2: {task: t.v1, needs: f1, if: always()}
  f1: {task: t.v1, with: ['${{ run.error.message }}']}
on_cancel: {c: {run: x}}
finally: {z: {task: t.v1, with: ['${{ steps.f1.state }}', '${{ steps.a.result }}']}}
"""


def test_r15_hooks_come_last_in_their_order():
    spec = load_text(HOOKS)
    assert [(s.ordinal, s.id, s.hook, s.needs) for s in spec.steps] == [
        (1, "a", None, ()),
        (2, "b", None, ("a",)),
        (3, "s", "on_success", ()),
        (4, "f1", "on_failure", ()),
        (5, "f2", "on_failure", ("f1",)),
        (6, "c", "on_cancel", ()),
        (7, "z", "finally", ()),
    ]


def test_r15_a_reference_inside_a_hook_is_an_edge():
    text = OK + "finally:\n  b: {task: t.v1, with: ['${{ steps.a.result }}']}\n  a: {run: x}\n"
    assert load_text(text).step("b").needs == ("a",)


def test_r15_a_cycle_inside_a_hook(refused_with):
    text = OK + "finally: {a: {run: x, needs: b}, b: {run: x, needs: a}}"
    assert "a -> b -> a" in refused_with(text, "TRB106").message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (TASK + "    needs: h\nfinally: {h: {run: x}}", "TRB171"),
        (TASK + "    with: ['${{ steps.h.state }}']\nfinally: {h: {run: x}}", "TRB171"),
        (OK + "result: ${{ steps.h.result }}\nfinally: {h: {run: x}}", "TRB171"),
        (OK + "on_success: {h: {run: x}}\non_failure: {i: {run: x, if: steps.h.state}}", "TRB171"),
        (OK + "on_success: {h: {run: x}}\nfinally: {i: {run: x, needs: h}}", "TRB171"),
        (OK + "on_success: {h: {run: x}}\nfinally: {h: {run: x}}", "TRB170"),
        (TASK + "    if: run.error", "TRB138"),
        (TASK + "    with: ['${{ run.state }}']", "TRB138"),
        (OK + "finally: {h: {task: t.v1, undo: {task: u.v1}}}", "TRB123"),
        (OK + "finally: []", "TRB108"),
    ],
)
def test_r15_borders_of_hooks(refused_with, text, code):
    refused_with(text, code)


def test_r15_undo_reads_its_own_step_and_the_end_of_the_run():
    text = (
        TASK + "    undo: {task: u.v1, with: {id: '${{ steps.b.result.id }}', why: '${{ run.error.type }}'}}"
    )
    assert step(text).undo == {
        "name": "u.v1",
        "with": {"id": "${{ steps.b.result.id }}", "why": "${{ run.error.type }}"},
    }


def test_r16_for_each():
    found = step(
        TASK
        + "    for_each: ${{ steps.a.result.files }}\n    key: ${{ item.name }}\n    if: item.size > index\n"
        "    with: {f: '${{ item }}', i: '${{ index }}'}\n    queue: ${{ item.queue }}\n    max_parallel: 8\n"
        "    fail_fast: false\n    tolerate: 10%\n"
        "    aggregate: {task: s.v1, with: {all: '${{ steps.b.items.*.result }}'}}\n"
    )
    assert (found.for_each, found.key, found.needs) == (
        "${{ steps.a.result.files }}",
        "${{ item.name }}",
        ("a",),
    )
    assert (found.max_parallel, found.fail_fast, found.tolerate) == (8, False, "10%")
    assert found.aggregate == {"name": "s.v1", "with": {"all": "${{ steps.b.items.*.result }}"}}
    assert found.fans_out


def test_r16_matrix():
    found = step(
        "inputs: {r: {type: list}}\n"
        + TASK
        + "    matrix:\n      model: [a, b]\n      region: ${{ inputs.r }}\n"
        "      include: [{model: c, extra: 1}]\n      exclude: [{model: a, region: us}]\n"
        "    with: {m: '${{ matrix.model }}', e: '${{ matrix.extra }}', i: '${{ index }}'}\n"
    )
    assert found.matrix == {
        "axes": {"model": ["a", "b"], "region": "${{ inputs.r }}"},
        "include": [{"model": "c", "extra": 1}],
        "exclude": [{"model": "a", "region": "us"}],
    }


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("with: ['${{ item }}']", "TRB138"),
        ("if: index == 1", "TRB138"),
        ("{for_each: [1], with: ['${{ matrix.a }}']}", "TRB138"),
        ("{matrix: {a: [1]}, with: ['${{ item }}']}", "TRB138"),
        ("{matrix: {a: [1]}, with: ['${{ matrix.b }}']}", "TRB134"),
        ("for_each: ['${{ item }}']", "TRB138"),
        ("{for_each: [1], aggregate: {task: s.v1, with: ['${{ item }}']}}", "TRB138"),
        ("for_each: 3", "TRB108"),
        ("for_each: {a: 1}", "TRB108"),
        ("for_each: a", "TRB108"),
        ("for_each: 'x ${{ inputs.a }}'", "TRB181"),
        ("matrix: [1]", "TRB108"),
        ("matrix: {include: []}", "TRB181"),
        ("matrix: {a: [1], exclude: [{b: 1}]}", "TRB181"),
        ("matrix: {a: [1], include: [b]}", "TRB108"),
        ("{for_each: [1], tolerate: half}", "TRB109"),
        ("{for_each: [1], tolerate: 101%}", "TRB109"),
        ("{for_each: [1], tolerate: -1}", "TRB109"),
        ("tolerate: 1", "TRB123"),
        ("fail_fast: false", "TRB123"),
    ],
)
def test_r16_faults(refused_with, key, code):
    written = key[1:-1] if key.startswith("{") else key
    refused_with("inputs: {a: {type: list}}\nsteps: {b: {task: t.v1, " + written + "}}", code)


@pytest.mark.parametrize("literal", ["[]", "[1, '${{ steps.a.result }}']", "[{a: 1}]"])
def test_r16_lists_may_be_written_out(literal):
    assert step(f"steps: {{a: {{run: x}}, b: {{task: t.v1, for_each: {literal}}}}}").for_each is not None


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("steps.b.items[0].result", None),
        ("steps.b.items.*.result.uri", None),
        ("steps.b.items", None),
        ("steps.b.items[0].Item", None),
        ("steps.b.items[0].outputs", "TRB134"),
        ("steps.b.items.state", "TRB134"),
        ("steps.a.items", "TRB182"),
    ],
)
def test_r16_items(refused_with, path, code):
    text = "steps: {a: {run: x}, b: {run: x, for_each: [1]}, c: {task: t.v1, with: ['${{ %s }}']}}" % path
    if code is None:
        assert step(text, "c").needs == ("b",)
    else:
        refused_with(text, code)


def test_r17_shell_steps():
    spec = load_text(
        "env: {A: x, B: '${{ inputs.b }}'}\ninputs: {b: {type: string}}\n"
        "steps: {a: {run: echo, env: {C: 1}, dir: ./sub, shell: sh}, b: {run: echo}}"
    )
    assert spec.env == {"A": "x", "B": "${{ inputs.b }}"}
    assert spec.steps[0].with_ == {"run": "echo", "env": {"C": "1"}, "dir": "./sub", "shell": "sh"}
    assert spec.steps[1].with_ == {"run": "echo", "env": {}}


def test_r17_an_expression_in_run_shows_the_rewrite(refused_with):
    problem = refused_with("steps: {a: {run: 'echo ${{ item.path }}', for_each: [1]}}", "TRB135")
    assert 'env: {PATH: "${{ item.path }}"}' in problem.hint


HEAD = """
timeout: 1h30m
max_parallel: 4
fail_fast: true
secrets: TOKEN
concurrency: {group: "etl-${{ inputs.env }}", limit: 2, on_limit: cancel_pending}
schedule: ["*/5 * * * *", {cron: "0 6 * * 1", timezone: Europe/Berlin, overlap: queue, catchup: 6h, jitter: 2m, inputs: {env: x}}]
preconditions:
  - inputs.env != ''
  - {if: "${{ run.name != '' }}", message: nameless}
keep: {days: 90, runs: 200}
inputs: {env: {type: string, default: dev}}
steps: {a: {run: x}}
"""


def test_keys_of_a_workflow():
    spec = load_text(HEAD)
    assert (spec.timeout, spec.max_parallel, spec.fail_fast, spec.secrets) == (5400.0, 4, True, ("TOKEN",))
    assert spec.concurrency == {"group": "etl-${{ inputs.env }}", "limit": 2, "on_limit": "cancel_pending"}
    assert spec.keep == {"days": 90, "runs": 200}
    assert spec.preconditions == (
        {"if": "inputs.env != ''", "message": None},
        {"if": "run.name != ''", "message": "nameless"},
    )
    assert spec.schedule == (
        {
            "cron": "*/5 * * * *",
            "timezone": "UTC",
            "overlap": "skip",
            "catchup": 0.0,
            "jitter": 0.0,
            "inputs": {},
        },
        {
            "cron": "0 6 * * 1",
            "timezone": "Europe/Berlin",
            "overlap": "queue",
            "catchup": 21600.0,
            "jitter": 120.0,
            "inputs": {"env": "x"},
        },
    )


@pytest.mark.parametrize("one", ["schedule: '* * * * *'", "preconditions: inputs.a", "secrets: [A]"])
def test_one_stands_for_a_list_of_one(one):
    spec = load_text("inputs: {a: {type: string, default: x}}\n" + OK + one)
    assert len(spec.schedule) + len(spec.preconditions) + len(spec.secrets) == 1


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("wait: {for: 90s}", {"for": 90.0}),
        ("wait: {until: 2026-03-01T06:00:00+01:00}", {"until": "2026-03-01T05:00:00.000000Z"}),
        ("wait: {until: '${{ inputs.t }}'}", {"until": "${{ inputs.t }}"}),
        (
            "wait: {signal: 'ready:${{ inputs.t }}', payload: {a: 1}, timeout: 3h, on_timeout: continue}",
            {
                "signal": "ready:${{ inputs.t }}",
                "payload": {"a": 1},
                "timeout": 10800.0,
                "on_timeout": "continue",
            },
        ),
    ],
)
def test_waits(written, read):
    spec = load_text(f"inputs: {{t: {{type: datetime}}}}\nsteps: {{a: {{{written}}}}}")
    assert spec.steps[0].wait == read
    assert spec.steps[0].with_ == {}


def test_approvals():
    spec = load_text(
        "steps:\n  a: {run: x}\n  b: {approve: {prompt: 'Publish ${{ steps.a.result.n }}?', timeout: 1d,"
        " form: {note: {type: string, required: false}}}}\n"
    )
    assert spec.steps[1].approve == {
        "prompt": "Publish ${{ steps.a.result.n }}?",
        "timeout": 86400.0,
        "form": {"note": {"type": "string", "required": False}},
    }
    assert spec.steps[1].needs == ("a",)


def test_cache_and_concurrency_are_filled_up():
    found = step(TASK + "    cache: {ttl: 1h}\n    concurrency: {group: g}")
    assert found.cache == {"scope": "run", "ttl": 3600.0}
    assert found.concurrency == {"group": "g", "limit": 1, "on_limit": "queue"}
