# ruff: noqa: E501 - a table reads best with one case a line
"""Every code: the text that causes it, where it points, what the hint says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.effort import cpu_seconds
from tributary_daemon.spec import codes

OK = "steps: {z: {run: x}}"
TASK = "steps:\n  a:\n    task: t.v1\n"

CASES = [
    # rule, text, code, line:column, part of the message, part of the hint
    ("R4", "a: [", "TRB101", "1:5", "not YAML", None),
    ("R4", "steps:\n\ta: x", "TRB101", "2:1", "not YAML", "spaces, not tabs"),
    ("R4", "a: b: c", "TRB101", "1:5", "not YAML", "quote a text"),
    ("R4", "a: \x01", "TRB101", "1:4", "U+0001", None),
    ("R4", "a: '\ud800'", "TRB101", "1:5", "surrogate", None),
    ("R3", TASK + "    tsk: b\n", "TRB102", "4:5", "unknown key 'tsk'", "did you mean 'task'? known: task, run,"),
    ("R3", TASK + "    outputs: b\n", "TRB102", "4:5", "'outputs'", "`result` of a workflow"),
    ("R3", TASK + "    depends_on: b\n", "TRB102", "4:5", "'depends_on'", "`needs`"),
    ("R3", TASK + "    uses: b\n", "TRB102", "4:5", "'uses'", "`task`"),
    ("R3", TASK + "    when: b\n", "TRB102", "4:5", "'when'", "`if`"),
    ("R3", TASK + "    retries: 3\n", "TRB102", "4:5", "'retries'", "`max_attempts`"),
    ("R3", TASK + "    retry: {dealy: 3}\n", "TRB102", "4:13", "in retry", "did you mean 'delay'?"),
    ("R3", "jobs: {}\n" + OK, "TRB102", "1:1", "'jobs'", "`steps`"),
    ("R3", "outputs: {}\n" + OK, "TRB102", "1:1", "'outputs'", "`result`"),
    ("R3", "defaults: {needs: a}\n" + OK, "TRB102", "1:12", "in defaults", "known: queue"),
    ("R4", "name: a.v1", "TRB103", "1:1", "no steps", None),
    ("R4", "steps: {}", "TRB103", "1:8", "no steps", None),
    ("R4", "inputs: {a: {}}\n" + OK, "TRB103", "1:13", "no type", "string"),
    ("R4", "inputs: {a: {type: choice}}\n" + OK, "TRB103", "1:13", "no options", None),
    ("R4", TASK + "    needs: [z, aa]\n  z: {run: x}\n  ab: {run: x}", "TRB104", "4:16", "'aa' in needs", "known: a, z"),
    ("R10", TASK + "    with: {x: '${{ steps.q.result }}'}", "TRB104", "4:16", "'q'", "known: a"),
    ("R4", TASK + "    needs: a", "TRB105", "4:12", "needs itself", None),
    ("R4", TASK + "    with: ['${{ steps.a.result }}']", "TRB105", "4:13", "refers to itself", None),
    ("R4", "steps: {a: {run: x, needs: b}, b: {run: x, needs: a}}", "TRB106", "1:28", "a -> b -> a", None),
    ("R2", "steps: {a: {task: t.v1, run: x}}", "TRB107", "1:25", "`task` and `run`", None),
    ("R2", "steps: {a: {needs: []}}", "TRB107", "1:9", "no action", "task:"),
    ("R4", "- a", "TRB108", "1:1", "must be a mapping with steps, not a list", None),
    ("R4", "steps: [a]", "TRB108", "1:8", "not a list", "the id of a step is its key"),
    ("R4", "steps: {a: x}", "TRB108", "1:12", "not text", None),
    ("R4", TASK + "    priority: high", "TRB108", "4:15", "whole number, not text", None),
    ("R4", TASK + "    retry: 3", "TRB108", "4:12", "a mapping, not a number", "max_attempts: 3"),
    ("R4", TASK + "    with: text", "TRB108", "4:11", "`with`", "one expression"),
    ("R5", TASK + "    continue_on_error: yes", "TRB108", "4:24", "true or false", "YAML 1.2"),
    ("R4", "steps: {a: {run: 3}}", "TRB108", "1:18", "shell script", "quote it"),
    ("R4", "steps: {a: {run: x, env: {A: [1]}}}", "TRB108", "1:30", "`env.A`", None),
    ("R4", TASK + "    timeout: 5x", "TRB109", "4:14", "not a duration", "1h30m"),
    ("R4", TASK + "    timeout: 0", "TRB109", "4:14", "longer than 0", None),
    ("R4", TASK + "    max_attempts: 0", "TRB109", "4:19", "outside of 1 to", None),
    ("R4", TASK + "    retry: {backoff: slow}", "TRB109", "4:22", "'slow'", "exponential, fixed, quadratic"),
    ("R4", TASK + "    run_after: 2026-01-01", "TRB109", "4:16", "not a time with its zone", "Z"),
    ("R4", "steps: {a: {run: ' '}}", "TRB109", "1:18", "empty", None),
    ("R4", "steps: {a: {run: x}, a: {run: y}}", "TRB110", "1:22", "'a' is written twice", "line 1"),
    ("R4", "1: x\n" + OK, "TRB111", "1:1", "a number (1)", "quote it"),
    ("R4", TASK + "    with: {true: 1}", "TRB111", "4:12", "a boolean", None),
    ("R4", "x-a: !!set {}\n" + OK, "TRB112", "1:6", "not allowed", None),
    ("R4", "steps: {a: {run: x, x-b: {if: !x}}}", "TRB112", "1:31", "a tag in YAML", 'if: "!x"'),
    ("R4", "if: !inputs.x && y", "TRB112", "1:5", "a tag in YAML", 'if: "!inputs.x && y"'),
    ("R4", "x-a: " + "[" * 300_000, "TRB113", "1:105", "deeper than 100", None),
    ("R4", "x-a: *b\n" + OK, "TRB114", "1:6", "no anchor", None),
    ("R4", "x-a: &b [*b]\n" + OK, "TRB114", "1:10", "inside what it names", None),
    ("R4", TASK + "    with: {a: ${{ inputs.a }}}", "TRB115", "4:15", "must be quoted", 'write "${{ inputs.a }}"'),
    ("R4", TASK + "    needs: [${{ inputs.a }}]", "TRB115", "4:13", "must be quoted", None),
    ("R4", 'steps:\n  a:\n    run: echo "issue #1"', "TRB116", "3:22", "ends at ` #`", "quote the whole"),
    ("R4", TASK + "    with:\n      a: ${{ inputs.a == ' #' }}", "TRB116", "5:28", "ends at ` #`", None),
    ("R4", "steps: {a: {run: echo a, b}}", "TRB117", "1:26", "comma", "quote"),
    ("R4", TASK + "    with: {m: hello, world}", "TRB117", "4:22", "comma", None),
    ("R4", "", "TRB118", "1:1", "empty", "steps:"),
    ("R4", "# nothing\n---\n", "TRB118", None, "empty", None),
    ("R4", TASK + "    with: {a: .nan}", "TRB119", "4:15", "not a number that JSON", "quote"),
    ("R4", TASK + "    with: {a: 1e999}", "TRB119", "4:15", "'1e999'", None),
    ("R4", TASK + '    with: {a: "\\0"}', "TRB119", "4:15", "NUL", None),
    ("R1", "steps: {2nd: {run: x}}", "TRB120", "1:9", "'2nd'", "letters"),
    ("R1", f"steps: {{{'a' * 101}: {{run: x}}}}", "TRB120", "1:9", "not an id", None),
    ("R1", "name: a b\n" + OK, "TRB121", "1:7", "'a b'", None),
    ("R1", "steps: {a: {task: send mail}}", "TRB121", "1:19", "'send mail'", None),
    ("R4", "steps: {a: {run: x, env: {TRIB_X: 1}}}", "TRB121", "1:27", "reserved", None),
    ("R17", "steps: {a: {run: x, with: {day: 1}}}", "TRB123", "1:21", "not to run", 'env: {DAY: …} and use "$DAY"'),
    ("R17", "steps: {a: {task: t.v1, env: {A: 1}}}", "TRB123", "1:25", "not to task", None),
    ("R10", TASK + "    with: ['${{ 1 + }}']", "TRB130", "4:13", "Unexpected end of expression", None),
    ("R10", TASK + "    with: ['${{ x']", "TRB130", "4:13", "not closed", None),
    ("R10", TASK + "    with: ['a ${{ input.a }}']", "TRB131", "4:15", "'input'", "did you mean 'inputs'?"),
    ("R10", "inputs: {day: {type: date}}\n" + TASK + "    with: ['${{ inputs.dya }}']", "TRB132", "5:13", "'dya'", "did you mean 'day'?"),
    ("R10", "result: ${{ inputs.a }}\n" + OK, "TRB132", "1:9", "'a'", "none"),
    ("R10", TASK + "    with: ['${{ toJSON(steps) }}']", "TRB133", "4:13", "inside a step", None),
    ("R10", TASK + "    with: ['${{ steps.* }}']", "TRB133", "4:13", "inside a step", None),
    ("R10", TASK + "    with: ['${{ steps[run.id] }}']", "TRB133", "4:13", "inside a step", None),
    ("R7", TASK + "    with: ['${{ steps.z.outputs }}']\n  z: {run: x}", "TRB134", "4:13", "'outputs'", "`result`"),
    ("R7", TASK + "    with: ['${{ run.idd }}']", "TRB134", "4:13", "'idd'", "did you mean 'id'?"),
    ("R17", "steps:\n  a:\n    run: |\n      echo\n      x ${{ inputs.day }}", "TRB135", "5:9", "splice", 'env: {DAY: "${{ inputs.day }}"}'),
    ("R4", "steps: {a: {task: '${{ inputs.a }}'}}", "TRB136", "1:20", "cannot hold", None),
    ("R4", TASK + "    with: {'${{ a }}': 1}", "TRB136", "4:12", "a key", None),
    ("R4", "inputs: {a: {type: string, pattern: '('}}\n" + OK, "TRB140", "1:37", "regular expression", None),
    ("R4", "inputs: {a: {type: string, options: [a]}}\n" + OK, "TRB140", "1:37", "belongs to a choice", None),
    ("R4", "inputs: {a: {type: boolean, min: 1}}\n" + OK, "TRB140", "1:34", "means nothing", None),
    ("R4", "inputs: {a: {type: list, items: strin}}\n" + OK, "TRB140", "1:33", "`items`", "did you mean 'string'?"),
    ("R4", "inputs: {a: {type: integer, default: x}}\n" + OK, "TRB141", "1:38", 'not "x"', None),
    ("R4", "x-a: &a text\n" + TASK + "    <<: *a", "TRB127", "1:6", "takes over mappings, not text", "&name"),
    ("R4", OK + "\n---\n" + OK, "TRB128", "2:1", "has no name", "name:"),
    ("R13", TASK + "    with: ['${{ secrets.T }}']", "TRB137", "4:13", "undeclared secret 'T'", "secrets: [T]"),
    ("R13", "secrets: [T]\n" + TASK + "    queue: ${{ secrets.T }}", "TRB138", "5:12", "`queue` cannot read `secrets`", "never stored"),
    ("R6", TASK + "    with: ['${{ success() }}']", "TRB139", "4:13", "`success()`", "steps.ID.state"),
    ("R10", TASK + "    with: ['${{ env.T }}']", "TRB142", "4:13", "undeclared variable 'T'", "`env: {T: …}`"),
    ("R10", TASK + "    with: ['${{ startWith(1, 2) }}']", "TRB143", "4:13", "unknown function 'startWith'", "did you mean 'startsWith'?"),
    ("children", "steps: {a: {workflow: ./x.yaml}}", "TRB160", "1:23", "lies in no folder", "registered"),
    ("children", "name: a.v1\nsteps: {a: {workflow: a.v1}}", "TRB161", "2:23", "a.v1 -> a.v1", "cannot run itself"),
    ("children", "steps: {a: {workflow: b}}\n---\nname: b\ninputs: {n: {type: integer}}\n" + OK, "TRB162", "1:23", "needs the input 'n' (integer)", "with: {n"),
    ("R15", OK + "\nfinally: {z: {run: y}}", "TRB170", "2:11", "id of one of the steps", "unique"),
    ("R15", OK + "\nfinally: {y: {run: y, needs: z}}", "TRB171", "2:30", "no step of finally", "leave the need out"),
    ("schedule", "schedule: x\n" + OK, "TRB172", "1:11", "a cron expression has 5 fields", "MON-FRI"),
    ("R16", TASK + "    for_each: [1]\n    matrix: {a: [1]}", "TRB180", "5:5", "one of them only", "axis"),
    ("R16", TASK + "    matrix: {}", "TRB181", "4:13", "no axis", "model"),
    ("R16", TASK + "    with: ['${{ steps.z.items }}']\n  z: {run: x}", "TRB182", "4:13", "runs once", "steps.z.result"),
    ("R14", "steps: {a: {want: shop.User}}", "TRB155", "1:19", "no handlers are known here", "--import"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "text", "code", "place", "message", "hint"), CASES)
def test_problem(refused_with, rule, text, code, place, message, hint):
    problem = refused_with(text, code)
    assert message in problem.message
    if place is not None:
        assert f"{problem.line}:{problem.column}" == place, problem.render()
    if hint is not None:
        assert hint in (problem.hint or "")
    assert problem.file == "f.yaml"


def test_all_errors_of_a_file_in_one_pass_by_position(refused):
    text = (
        "nam: x\nsteps:\n  a: {task: t.v1, needs: [q], timeout: x}\n  a: {run: y}\n  b: {run: y, needs: b}\n"
    )
    assert [(p.line, p.code) for p in refused(text)] == [
        (1, "TRB102"),
        (3, "TRB104"),
        (3, "TRB109"),
        (4, "TRB110"),
        (5, "TRB105"),
    ]


def test_the_rendered_form(refused):
    text = "steps:\n  extract: {run: x}\n  load:\n    needs: [extarct]\n    run: y\n"
    assert refused(text)[0].render().splitlines() == [
        "f.yaml:4:13: unknown step 'extarct' in needs [TRB104]",
        "  |",
        "4 |     needs: [extarct]",
        "  |             ^~~~~~~ did you mean 'extract'? known: extract, load",
    ]


def test_the_excerpt_is_printable(refused):
    problem = refused("steps:\n  a: {run: x, 'b\tc': '\u202e'}\n")[0]
    assert problem.render().replace("\n", "").isprintable()
    assert problem.source_line.index("'b c'") == problem.column - 1


def test_alias_bombs_end_early(refused_with):
    levels = "".join(f"x-{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12))
    refused_with(f"x-0: &l0 [1]\n{levels}{OK}", "TRB114")
    text = "t" * 100_000
    refused_with(f"x-0: &t {text}\nx-1: [{', '.join(['*t'] * 100)}]\n{OK}", "TRB114")


def test_a_file_full_of_faults_is_answered_quickly_and_cut(refused):
    steps = ", ".join(f"s{n}: {{run: x, needs: q{n}, bad: 1}}" for n in range(10_000))
    problems = refused(f"steps: {{{steps}}}")
    assert len(problems) == 201
    assert problems[-1].code == "TRB126"
    assert "19,800 further" in problems[-1].message


def test_two_cycles_are_both_named(refused):
    steps = ["a: b", "b: a", "c: d", "d: c", "e: a"]
    text = "steps:\n" + "".join(
        f"  {step.split(': ')[0]}: {{run: x, needs: {step.split(': ')[1]}}}\n" for step in steps
    )
    assert [p.message.partition(": ")[2] for p in refused(text)] == ["a -> b -> a", "c -> d -> c"]


def test_every_code_is_documented_and_documented_once():
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text("utf-8")
    documented = re.findall(r"^## (TRB\d+) ", text, re.MULTILINE)
    known = [value for name, value in vars(codes).items() if name.isupper()]
    assert documented == sorted(documented)
    assert sorted(known) == documented


def test_every_code_has_a_case():
    # TRB100: unreadable files; 122, 124, 129 and 144 are warnings; 125 and 126 need large files, 163 several
    elsewhere = {"TRB100", "TRB122", "TRB124", "TRB125", "TRB126", "TRB129", "TRB144", "TRB163"}
    # these need handlers: test_signature_check, test_wants
    elsewhere |= {f"TRB15{number}" for number in (0, 1, 2, 3, 4, 6, 7, 8, 9)}
    known = {value for name, value in vars(codes).items() if name.isupper()}
    assert {case[2] for case in CASES} == known - elsewhere


@pytest.mark.parametrize(
    "text",
    [
        'steps: {a: {run: "' + "${{ " * 500_000 + '"}}',
        TASK + "    with: ['" + "${{ " * 500_000 + "']",
        TASK + '    with: ["${{ ' + "' " * 500_000 + '"]',
        TASK + "    timeout: " + "1h" * 500_000 + "x",
        "steps: {a: {task: " + "a." * 500_000 + "!}}",
    ],
    ids=["run", "unclosed", "quotes", "duration", "name"],
)
def test_long_texts_are_refused_in_linear_time_with_short_messages(refused, text):
    # each takes well under a second; anything quadratic takes minutes
    assert cpu_seconds(lambda: refused(text), enough=10) < 10
    problems = refused(text)
    assert all(len(problem.render()) < 3_000 for problem in problems)
