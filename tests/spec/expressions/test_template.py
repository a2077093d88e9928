# ruff: noqa: E501, PT017 - lists of fragments; random text may be accepted or refused
from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tributary_daemon.spec.expressions import ExpressionError, compile_expression, is_dynamic, resolve

CONTEXTS = {
    "inputs": {"email": "a@b", "n": 3, "none": None, "list": [1, {"x": 2}]},
    "steps": {
        "done": {"state": "completed", "attempt": 1, "result": {"id": 7, "items": [{"u": 1}, {"u": 2}]}},
        "empty": {"state": "completed", "attempt": 1, "result": None},
        "left": {"state": "skipped", "attempt": 0, "result": None},
    },
    "run": {"id": "r1"},
}


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ("${{ inputs.n }}", 3),
        ("${{inputs.list}}", [1, {"x": 2}]),
        ("n=${{ inputs.n }}!", "n=3!"),
        ("${{ inputs.n }}${{ inputs.none }}", "3"),
        (" ${{ inputs.n }}", " 3"),
        ("${{ '}}' }}", "}}"),
        ("${{ 'it''s }}' }}x", "it's }}x"),
        ("${ inputs } {{ x }}", "${ inputs } {{ x }}"),
        ({"a": ["${{ STEPS.Done.result.ID }}"], "${{ x }}": True}, {"a": [7], "${{ x }}": True}),
        ("${{ steps.done.result.items.*.u }}", [1, 2]),
        ("${{ steps.done.result.items[1].u }}", 2),
        ("${{ steps.left.result.id }}", None),
        ("${{ steps.left.result }}", None),
        ("${{ steps.done.result.nope ?? 'else' }}", "else"),
        ("${{ inputs.none ?? steps.q.result ?? inputs.n }}", 3),
        ("${{ inputs.none.deeper }}", None),
        ("${{ run.nothing }}", None),
        ("${{ }}", None),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_resolve(value, resolved):
    assert resolve(value, CONTEXTS, strict_missing=True) == resolved


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("${{ inputs.nope }}", "inputs.nope does not exist"),
        ("${{ steps.nope.result }}", "steps.nope.result does not exist"),
        ("x ${{ steps.done.result.user.id }}", "steps.done.result has no 'user'"),
        ("${{ steps.done.result.items[9] }}", "steps.done.result.items[9] does not exist"),
        ("${{ steps.empty.result.id }}", "steps.empty.result.id does not exist"),
        ("${{ contains(steps.done.result.nope, 'a') }}", "steps.done.result.nope"),
    ],
)
def test_missing_paths_fail_by_name_when_strict_and_are_null_otherwise(text, named):
    with pytest.raises(ExpressionError) as caught:
        resolve(text, CONTEXTS, strict_missing=True)
    assert caught.value.kind == "missing"
    assert named in caught.value.message
    assert resolve(text, CONTEXTS, strict_missing=False) in (None, "x ", False)


@pytest.mark.parametrize(
    "text", ["${{ NaN }}", "${{ -Infinity }}", "${{ fromJSON('[') }}", "${{ fromJSON('NaN') }}"]
)
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ExpressionError) as caught:
        resolve(text, {}, strict_missing=True)
    assert caught.value.kind == "evaluation"


def test_the_numbers_of_expressions_stay_whole():
    assert (
        json.dumps(resolve(["${{ 1 }}", "${{ 2.0 }}", "${{ 0x10 }}"], {}, strict_missing=True))
        == "[1, 2, 16]"
    )
    big = 2**60 + 1
    assert (
        resolve("${{ inputs.b }} ${{ inputs.b }}", {"inputs": {"b": big}}, strict_missing=True)
        == f"{big} {big}"
    )


def test_references():
    expression = compile_expression("steps.a.result.b[inputs['k']] || steps.c.items.*.d && toJSON(run)")
    assert expression.references == {
        ("steps", "a", "result", "b"),
        ("inputs", "k"),
        ("steps", "c", "items"),
        ("run",),
    }
    assert not is_dynamic({"a": ["b"], "${{ x }}": 1})
    assert is_dynamic({"a": [{"b": "${{ x }}"}]})


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "!" * 5000 + "1",
        "a" * 30_000,
        "run" + "[run" * 200 + "]" * 200,
        "format('{0}', " * 60 + "1" + ")" * 60,
    ],
)
def test_depth_and_length_are_bounded(text):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)
    assert caught.value.kind in ("parsing", "lexing")


def test_nested_calls_do_not_double_their_work():
    text = "''"
    for _ in range(45):
        text = f"format('{{0}}{{0}}', {text})"
    assert compile_expression(text).evaluate({}) == ""


def test_memory_is_bounded():
    text = "'0123456789'"
    for _ in range(25):
        text = f"format('{{0}}{{0}}', {text})"
    with pytest.raises(ExpressionError, match="memory"):
        compile_expression(text).evaluate({})


def test_deep_values_are_refused_not_crashed_on():
    with pytest.raises(ExpressionError):
        compile_expression("fromJSON(inputs.t)").evaluate({"inputs": {"t": "[" * 100_000}})
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ExpressionError):
        compile_expression("toJSON(inputs.t)").evaluate({"inputs": {"t": deep}})


PIECES = st.sampled_from(
    ["inputs", "steps", ".", "a", "[", "]", "(", ")", "*", "'x'", "1", " ", "&&", "||", "??", "!", "==", "<", ",",
     "format", "toJSON", "case", "true", "null", "-", "'", "0x", "}}", "${{"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join)))
def test_random_text_raises_nothing_but_expression_errors(text):
    for run in (
        lambda: compile_expression(text).evaluate(CONTEXTS, strict_missing=True),
        lambda: resolve(f"a ${{{{ {text} }}}}", CONTEXTS, strict_missing=True),
    ):
        try:
            run()
        except ExpressionError as error:
            assert error.kind in ("lexing", "parsing", "evaluation", "missing")


@pytest.mark.parametrize(
    "path", ["inputs.email", "STEPS.done.result.id", " run.id ", "inputs.a-b.true", "true", "null"]
)
def test_the_short_way_for_paths_equals_the_long_one(path):
    short, long = compile_expression(path), compile_expression(f"({path})")
    assert short.references == long.references
    assert short.evaluate(CONTEXTS) == long.evaluate(CONTEXTS)
