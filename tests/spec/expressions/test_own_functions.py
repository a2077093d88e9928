"""What Tributary adds to GitHub's language: arithmetic, functions, status functions, conditions."""

from __future__ import annotations

import hashlib

import pytest

from tributary_daemon.spec.expressions import (
    STATUS_FUNCTIONS,
    ExpressionError,
    Status,
    compile_condition,
    compile_expression,
)

CONTEXTS = {
    "inputs": {"n": 3, "half": 0.5, "text": "héé", "list": [1, [2], {"a": 1}], "none": None, "big": 2**60},
    "steps": {
        "a": {"state": "completed", "result": {"rows": [{"id": 1, "x": {"y": 2}}, {"id": 2}], "k": "id"}}
    },
    "run": {"created_at": "2026-03-01T23:30:00.5-02:00", "scheduled_for": None},
}


def value(text, **options):
    return compile_expression(text).evaluate(CONTEXTS, **options)


def refused(text, **options):
    with pytest.raises(ExpressionError) as caught:
        value(text, **options)
    return caught.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("12 / 4 / 3", 1),
        ("7 / 2", 3.5),
        ("6 / 2", 3),
        ("7 % 3", 1),
        ("-7 % 3", -1),
        ("7 % -3", 1),
        ("7.5 % 2", 1.5),
        ("1 - -1", 2),
        ("1 + 2 == 3 && 2 * 2 > 3", True),
        ("1 < 1 + 1", True),
        ("inputs.n + 1", 4),
        ("inputs.half + inputs.half", 1),
        ("inputs.big + 1", 2**60 + 1),
        ("inputs.big * 16", float(2**64)),
        ("inputs.none ?? 1 + 1", 2),
        ("inputs.none + 1", None),
        ("(inputs.none + 1) ?? 9", 9),
        ("length(inputs.list) * 2", 6),
        ("steps.a.result.rows[inputs.n - 2].id", 2),
    ],
)
def test_arithmetic(text, expected):
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("'1' + 1", "`+` needs numbers; its left side is of kind String", "fromJSON"),
        ("1 + true", "its right side is of kind Boolean", "case"),
        ("inputs.list * 2", "of kind Array", "length"),
        ("1 / 0", "`/` by zero", "before"),
        ("1 % 0", "`%` by zero", "before"),
        ("1e308 * 10 * 1 + inputs.list", "of kind Array", ""),
        ("1+2", "Unexpected symbol: '1+2'", "space on both sides"),
        ("1 -1", "Unexpected symbol: '-1'", "space on both sides"),
        ("-inputs.n", "Unexpected symbol", "0 - x"),
        ("inputs-n", "Unrecognized named-value: 'inputs-n'", "a - b"),
        ("1 +", "Unexpected end of expression: '+'", ""),
        ("+ 1", "Unexpected symbol: '+'", "space on both sides"),
    ],
)
def test_arithmetic_that_cannot_be(text, message, hint):
    error = refused(text)
    assert message in error.message
    assert hint in (error.hint or "")


def test_null_in_arithmetic_is_an_error_where_missing_paths_are():
    error = refused("inputs.none + 1", strict_missing=True)
    assert "its left side is null" in error.message
    assert "?? 0" in error.hint
    assert value("(inputs.none + 1) ?? 5", strict_missing=True) == 5


def test_a_name_may_hold_a_minus():
    assert compile_expression("inputs.a-b").evaluate({"inputs": {"a-b": 5}}) == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("length(inputs.text)", 3),
        ("length(inputs.list)", 3),
        ("length(inputs)", 6),
        ("length(inputs.nope)", 0),
        ("keys(steps.a.result)", ["rows", "k"]),
        ("keys(null)", []),
        ("range(3)", [0, 1, 2]),
        ("range(2, 5)", [2, 3, 4]),
        ("range(5, 0, -2)", [5, 3, 1]),
        ("range(3, 1)", []),
        ("RANGE(2.0)", [0, 1]),
        ("same('a', 'A')", False),
        ("same(1, '1')", False),
        ("same(1, true)", False),
        ("same(NaN, NaN)", True),
        ("same(fromJSON('[1, {\"a\": null}]'), fromJSON('[1.0, {\"a\": null}]'))", True),
        ("same(fromJSON('{\"a\": 1}'), fromJSON('{\"b\": 1}'))", False),
        ('hash(fromJSON(\'{"b": 1, "a": 2}\')) == hash(fromJSON(\'{"a": 2.0, "b": 1}\'))', True),
        ("hash('a') == hash('A')", False),
        ("hash(1, 2) == hash(fromJSON('[1, 2]'))", True),
        ("now()", "2026-03-02T01:30:00.500000Z"),
        ("today()", "2026-03-02"),
    ],
)
def test_functions(text, expected):
    assert value(text) == expected


def test_hash_is_the_sha256_of_canonical_json():
    assert value("hash(inputs.list)") == hashlib.sha256(b'[1,[2],{"a":1}]').hexdigest()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("length(3)", "length needs a text, an array or an object"),
        ("keys('a')", "keys needs an object"),
        ("range('3')", "range needs whole numbers"),
        ("range(true)", "range needs whole numbers"),
        ("range(1.5)", "range needs whole numbers, not 1.5"),
        ("range(Infinity)", "range needs whole numbers, not inf"),
        ("range(0, 1, 0)", "the step of range is 0"),
        ("range(1e18)", "range would have"),
        ("hash(NaN)", "hash needs JSON"),
        ("hash()", "Too few parameters supplied"),
        ("now(1)", "Too many parameters supplied"),
        ("hashFiles('a')", "Unrecognized function"),
    ],
)
def test_functions_refuse(text, message):
    assert message in refused(text).message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("hashFiles('**/lock')", "expressions read no files"),
        ("len(inputs)", "length(x)"),
        ("github.ref", "`run`"),
        ("needs.a.outputs.b", "steps.ID.result"),
        ("inputs.n and true", "&&"),
        ("inputs.n = 3", "=="),
        ("inputs.n ? 1 : 2", "case("),
        ('inputs.text == "a"', "single quotes"),
        ("${{ inputs.n }}", "does not nest"),
        ("lenght(inputs)", "did you mean 'length'?"),
    ],
)
def test_words_of_other_languages_have_a_hint(text, hint):
    assert hint in refused(text).hint


def test_now_is_the_time_the_run_was_scheduled_for():
    run = {"created_at": "2026-01-01T00:00:00Z", "scheduled_for": "2026-01-02T05:00:00.000000Z"}
    assert compile_expression("now()").evaluate({"run": run}) == "2026-01-02T05:00:00.000000Z"
    assert compile_expression("today()").evaluate({"run": run}) == "2026-01-02"


@pytest.mark.parametrize(
    "contexts", [{}, {"run": None}, {"run": {"created_at": 3}}, {"run": {"created_at": "x"}}]
)
def test_now_never_reads_the_clock(contexts):
    with pytest.raises(ExpressionError, match="time"):
        compile_expression("now()").evaluate(contexts)


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("success()", (True, False, False), True),
        ("success()", (False, True, False), False),
        ("failure()", (False, True, False), True),
        ("always()", (False, False, True), True),
        ("cancelled()", (False, False, True), True),
        ("!cancelled() && Failure()", (False, True, False), True),
    ],
)
def test_status_functions_answer_what_the_caller_says(text, status, expected):
    expression = compile_expression(text)
    assert expression.evaluate({}, status=Status(*status)) is expected
    assert expression.calls & STATUS_FUNCTIONS


@pytest.mark.parametrize("name", sorted(STATUS_FUNCTIONS))
def test_status_functions_are_errors_outside_if(name):
    error = refused(f"{name}()")
    assert error.kind == "evaluation"
    assert "in `if` only" in error.message


def test_calls_are_known_in_lower_case():
    expression = compile_expression(
        "toJSON(inputs) == 'x' || !case(ALWAYS(), [1], 2)[length('a')]".replace("[1]", "1")
    )
    assert expression.calls == {"tojson", "case", "always", "length"}
    assert compile_expression("inputs.length").calls == frozenset()


@pytest.mark.parametrize(
    "text", ["inputs.n == 3", "${{ inputs.n == 3 }}", "  ${{ inputs.n == 3 }} ", "!false", ""]
)
def test_a_condition_stands_with_or_without_braces(text):
    assert compile_condition(text).evaluate(CONTEXTS) is (None if not text else True)


def test_text_beside_the_braces_of_a_condition_is_refused():
    with pytest.raises(ExpressionError, match="always true"):
        compile_condition("${{ inputs.n }} == 3")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("steps.a.result[inputs.text]", "has no 'héé'"),
        ("steps.a.result.rows[9 - 1].id", "steps.a.result.rows[8].id does not exist"),
        ("steps.a.result[steps.a.result.k]", "has no 'id'"),
        ("steps.a.result.nope.*.id", "has no 'nope'"),
        ("inputs[format('x{0}', 1)]", "has no 'x1'"),
    ],
)
def test_a_computed_path_that_is_missing_fails_when_strict(text, named):
    assert named in refused(text, strict_missing=True).message
    assert value(text) in (None, [])
    assert value(f"{text} ?? 7", strict_missing=True) in (7, [])


def test_elements_without_the_name_are_left_out_also_when_strict():
    assert value("steps.a.result.rows.*.x.y", strict_missing=True) == [2]
    assert value("steps.a.result.rows[inputs.n - 3].id", strict_missing=True) == 1


def test_an_error_message_holds_no_secret():
    contexts = {"secrets": {"token": "hunter{22"}}
    with pytest.raises(ExpressionError) as caught:
        compile_expression("format(secrets.token)").evaluate(contexts)
    assert "hunter" not in caught.value.message
    assert "***" in caught.value.message
