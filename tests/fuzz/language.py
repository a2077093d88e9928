# ruff: noqa: E501, PT017, SIM905 - lists of fragments; random text may be accepted or refused
"""Random workflow files and expressions.

Nothing but `InvalidWorkflow` may leave the loader, nothing but `ExpressionError` an expression.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from tests.spec.expressions.spelling import spell
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.expressions import (
    CONTEXTS,
    FUNCTIONS,
    ExpressionError,
    Status,
    Trace,
    check_types,
    compile_condition,
    compile_expression,
    resolve,
    trace,
    trace_lines,
)
from tributary_daemon.spec.expressions.parser import parse
from tributary_daemon.spec.loader import load_text

if TYPE_CHECKING:
    import random

LONGEST = 30_000
KEYS = (
    "name description labels inputs secrets env timeout max_parallel fail_fast concurrency schedule preconditions "
    "defaults steps result on_success on_failure on_cancel finally keep task run workflow wait approve want given "
    "with needs if for_each key matrix tolerate aggregate retry max_attempts queue priority run_after "
    "continue_on_error cache undo dir shell x-note type default required options min max pattern items group limit "
    "on_limit cron timezone overlap catchup jitter backoff delay multiplier max_delay budget on not_on on_exit for "
    "until signal payload on_timeout prompt form scope ttl days runs include exclude"
).split()
VALUES = (
    "1 -1 0.5 1e400 true null ~ '' \"\" 'a' [a, b] {a: 1} 5m 1h30m 10% 0777 yes 12:30:45 2026-01-01 .inf .nan "
    "0x1F <<: *a &a !x | > - ? : # @ ` % ${{ ${{}} }} \"${{ inputs.a }}\" '${{ steps.a.result.b }}' ${{secrets.x}} "
    "string integer number boolean date datetime choice list object queue default a b c t.v1 shop.order.v1 success() "
    "*/5\\ *\\ *\\ *\\ *"
).split(" ")
TOKENS = (
    *sorted(CONTEXTS),
    *(f"{function.name}(" for function in FUNCTIONS.values()),
    *". [ ] ( ) , * .* [*] && || ?? ! == != < <= > >= + - / % ' '' '' 'a' 'x{0}' '{{' '}}' 1 -1 0x1F 1e9 1e400".split(),
    *" + | - | * | / | % ".split("|"),
    *"true false null NaN Infinity a b result state .a .result ['a'] [0] [-1] \t \n \0 é 😀 $ @ \" ${{ }} 9007199254740993".split(
        " "
    ),
    " ",
)
EXPRESSIONS = (
    "inputs.env == 'prod' && steps.a.result.count > 3 || contains(inputs.list, 'x')",
    "format('{0}-{1}', inputs.text, join(inputs.list, ', '))",
    "steps.a.result.rows.*.id[0] ?? hash(inputs) == toJSON(fromJSON('[1, 2]'))",
    "!(success() || failure()) && always() && !cancelled()",
    "case(inputs.n > 1, range(inputs.n)[1] * 2, -7 % 3 + length(keys(run)))",
    "same(now(), today()) || startsWith(run.name, 'a') || endsWith('it''s', secrets.token)",
)
DOCUMENTS = (
    "steps:\n  hello: {run: echo hello}\n",
    """name: user.signup.v1
inputs:
  email: {type: string, pattern: '^\\S+@\\S+$'}
  n: {type: integer, default: 3, min: 1, max: 9}
env: {A: "${{ inputs.email }}"}
defaults: {queue: q, priority: 3, retry: {backoff: fixed, delay: 1s}}
steps:
  a:
    task: shop.a.v1
    with: {x: "${{ inputs.email }}", y: [1, 2.5, null, true]}
    retry: {backoff: exponential, delay: 1s, multiplier: 2, max_delay: 5m, jitter: 0.1}
  b:
    needs: [a]
    if: success() && steps.a.result.ok
    task: shop.b.v1
    for_each: ${{ steps.a.result.list }}
    key: ${{ item.id }}
    with: {item: "${{ item }}", text: "n=${{ index + 1 }}"}
    timeout: 5m
    continue_on_error: true
  c: &c
    needs: b
    wait: {signal: paid, timeout: 1h, on_timeout: fail}
  d: {<<: *c, needs: [b, c]}
on_failure:
  tell: {task: shop.tell.v1, with: {error: "${{ run.error }}"}}
finally:
  clean: {run: 'echo "k=v" >> "$TRIB_OUTPUT"', env: {B: b}}
result: {sum: "${{ steps.a.result.sum ?? 0 }}"}
schedule: {cron: "*/5 * * * *", timezone: Europe/Berlin}
concurrency: {group: "g-${{ inputs.n }}", limit: 1, on_limit: queue}
x-note: anything
""",
)
SECRET = "hunter22"
VALUES_OF_CONTEXTS: dict[str, Any] = {
    "inputs": {
        "env": "prod",
        "n": 3,
        "text": "é{0}",
        "list": [1, "x", None, {"a": [1]}],
        "a": 10**30,
        "b": 1e308,
    },
    "steps": {
        "a": {
            "state": "completed",
            "attempt": 1,
            "result": {"count": 4, "ok": True, "rows": [{"id": 1}, {"ID": 2}]},
        },
        "b": {"state": "skipped", "attempt": 0, "result": None},
    },
    "item": {"a": {"b": [[1], [2]]}},
    "index": 0,
    "matrix": {"a": "b"},
    "env": {"A": f"x {SECRET} y"},
    "secrets": {"token": SECRET},
    "run": {
        "id": "r",
        "name": "a.v1",
        "created_at": "2026-01-02T03:04:05Z",
        "scheduled_for": None,
        "labels": {},
    },
}
SCHEMAS = {
    "inputs": {"type": "object", "properties": {"n": {"type": "integer"}, "list": {"type": "array"}}},
    "steps.a.result": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"type": "object", "properties": {"count": {"type": "integer"}}}},
    },
}


def mutate(dice: random.Random, text: str, words: tuple[str, ...] | list[str], *, lines: bool) -> str:
    """Return a text with a few random changes."""
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + dice.choice((0, 1, 2, 5, 20)))
        match dice.randrange(8 if lines else 5):
            case 0:
                text = text[:start] + text[end:]
            case 1 | 2:
                text = text[:start] + dice.choice(words) + text[end:]
            case 3:
                text = text[:start] + text[start:end] * dice.choice((2, 3, 60)) + text[end:]
            case 4:
                letter = chr(
                    dice.choice((dice.randrange(128), dice.randrange(0x2100), dice.randrange(0x11000)))
                )
                text = text[:start] + letter + text[end:]
            case 5:
                rows = text.split("\n")
                at = dice.randrange(len(rows))
                rows[at] = dice.choice(("", "  ", "    ", "\t", "- ")) + rows[at].lstrip()
                text = "\n".join(rows)
            case 6:
                rows = text.split("\n")
                rows.insert(dice.randrange(len(rows) + 1), rows[dice.randrange(len(rows))])
                text = "\n".join(rows)
            case _:
                rows = text.split("\n")
                rows.insert(
                    dice.randrange(len(rows) + 1),
                    f"{'  ' * dice.randrange(4)}{dice.choice(KEYS)}: {dice.choice(VALUES)}",
                )
                text = "\n".join(rows)
    return text[:LONGEST]


def an_expression(dice: random.Random) -> str:
    """Return something like an expression."""
    match dice.randrange(4):
        case 0:
            return "".join(dice.choices(TOKENS, k=dice.choice((3, 8, 20, 60))))
        case 1:
            return _grown(dice, dice.choice((2, 3, 5)))
        case 2:
            return mutate(dice, _grown(dice, 3), TOKENS, lines=False)
    return mutate(dice, dice.choice(EXPRESSIONS), TOKENS, lines=False)


def _grown(dice: random.Random, depth: int) -> str:
    """Return an expression that can be read."""
    if depth == 0:
        path = "".join(
            dice.choices(
                (".a", ".b", ".result", ".*", "[0]", "['n']", ".rows", ".list", ".id"), k=dice.randrange(4)
            )
        )
        return dice.choice(
            (
                f"{dice.choice(sorted(CONTEXTS))}{path}",
                "1",
                "'a'",
                "null",
                "true",
                "-0.5",
                "'{0}'",
                "inputs.n",
            )
        )
    one, other = (_grown(dice, depth - 1) for _ in range(2))
    match dice.randrange(5):
        case 0:
            function = dice.choice(list(FUNCTIONS.values()))
            return f"{function.name}({', '.join(_grown(dice, depth - 1) for _ in range(function.least))})"
        case 1:
            return f"!({one})"
        case 2:
            return f"inputs[{one}]"
    operator = dice.choice(("&&", "||", "??", "==", "!=", "<", ">=", "+", "-", "*", "/", "%"))
    return f"({one}) {operator} {other}"


def a_document(dice: random.Random) -> str:
    """Return something like a workflow file."""
    if dice.randrange(6) == 0:
        rows = ["steps:"]
        for number in range(dice.randrange(1, 5)):
            rows.append(f"  s{number}:")
            rows.extend(
                f"    {dice.choice(KEYS)}: {dice.choice(VALUES)}" for _ in range(dice.randrange(1, 6))
            )
        rows.extend(f"{dice.choice(KEYS)}: {dice.choice(VALUES)}" for _ in range(dice.randrange(3)))
        return "\n".join(rows)
    text = dice.choice(DOCUMENTS)
    if dice.randrange(3) == 0:
        text = text.replace("${{ inputs.email }}", f"${{{{ {an_expression(dice)} }}}}")
    return mutate(dice, text, [*KEYS, *VALUES], lines=True)


def try_expression(text: str) -> str:
    """Put an expression through everything that takes one; return how it ended."""
    check_types(text, SCHEMAS)
    with contextlib.suppress(ExpressionError):
        resolve({"a": [f"x ${{{{ {text} }}}}"]}, VALUES_OF_CONTEXTS, strict_missing=True)
    try:
        expression = compile_expression(text)
        compile_condition(text)
    except ExpressionError:
        return "refused"
    tree = expression.tree
    assert parse(spell(tree), CONTEXTS) == tree, "it reads back as another tree"
    ended = "evaluated"
    for status in (None, Status(success=True, failure=False, cancelled=False)):
        try:
            expression.evaluate(VALUES_OF_CONTEXTS, status=status)
            found = trace(expression, VALUES_OF_CONTEXTS, status)
        except ExpressionError:
            ended = "failed"
            continue
        document = found.to_json()
        size = len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
        assert size <= 4_096, f"its trace has {size} bytes"
        told = json.dumps(document) + "\n".join(trace_lines(Trace.from_json(document)))
        assert SECRET not in told, "its trace holds a secret"
    return ended


def try_document(text: str) -> str:
    """Load a workflow; return how it ended."""
    try:
        spec = load_text(text, file="fuzz.yaml")
    except InvalidWorkflow as error:
        assert error.problems, "it is refused without a reason"
        str(error)
        return "refused"
    json.dumps(spec.plan(), allow_nan=False)
    return "loaded"


KINDS = (
    ("expression", an_expression, try_expression),
    ("workflow", a_document, try_document),
)
