"""Rules 11 to 17 of the language, as far as loading goes; each test is named after its rule."""

from __future__ import annotations

import pytest

from tributary_daemon.spec.loader import load_text

OK = "steps: {z: {run: x}}\n"
TASK = "steps:\n  a: {run: x}\n  b:\n    task: t.v1\n"


def step(text, step_id="b"):
    return load_text(text).step(step_id)


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
    text = "steps: {a: {run: x}, b: {run: x, for_each: [1]}, c: {task: t.v1, with: ['${{ PATH }}']}}"
    text = text.replace("PATH", path)
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
    problem = refused_with("steps: {a: {run: 'echo ${{ item.name }}', for_each: [1]}}", "TRB135")
    assert 'env: {NAME: "${{ item.name }}"}' in problem.hint
    problem = refused_with("steps: {a: {run: 'echo ${{ item.path }}', for_each: [1]}}", "TRB135")
    assert 'env: {MY_PATH: "${{ item.path }}"} and use "$MY_PATH"' in problem.hint, "it needs its own"


@pytest.mark.parametrize(
    "given", ["{run: 'echo ${{ inputs.a }}'}", "{run: echo, shell: '${{ inputs.a }}'}", "'${{ inputs.a }}'"]
)
def test_r17_a_task_that_is_the_shell_splices_nothing_either(refused_with, given):
    problem = refused_with(
        f"inputs: {{a: {{type: object}}}}\nsteps: {{a: {{task: trib.shell.v1, with: {given}}}}}", "TRB135"
    )
    assert "env" in problem.hint


def test_r17_every_expression_of_a_script_is_told(refused):
    script = "echo ${{ inputs.a }} ${{ inputs.b }}\n      echo ${{ inputs.b }}\n      ${{ x\n"
    found = refused(f"steps:\n  a:\n    run: |\n      {script}")
    assert [(problem.code, problem.line, problem.column) for problem in found] == [
        ("TRB135", 4, 12),
        ("TRB135", 4, 28),
    ]
