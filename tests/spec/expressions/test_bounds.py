"""Hostile expressions and values: each ends at once, or is refused."""

from __future__ import annotations

import pytest

from tests.effort import cpu_seconds
from tributary_daemon.spec.expressions import ExpressionError, compile_expression, resolve, trace

# measured at 50 ms or less; the bound on work is counted, so this only has to notice what is not counted
SECONDS = 0.5


@pytest.fixture(scope="module")
def huge():
    deep = []
    for _ in range(900):
        deep = [deep]
    return {
        "inputs": {
            "text": "x" * 1_000_000,
            "foreign": "ä" * 500_000,
            "odd": "aß" * 250_000,
            "digits": "1" * 1_000_000,
            "ones": [1] * 500_000,
            "rows": [{"a": 1, "b": [1, 2]} for _ in range(50_000)],
            "other": [{"A": 1}] * 100_000,
            "names": {f"k{number}": number for number in range(50_000)},
            "json": "[" + "[]," * 300_000 + "1]",
            "braces": "}}a" * 200_000,
            "words": [f"w{number}" for number in range(100_000)],
            "wide": [["a"] * 100] * 5_000,
            "deep": deep,
            "big": 10**4_000,
        }
    }


def often(text, operator="||"):
    return operator.join([text] * (20_900 // (len(text) + len(operator))))


@pytest.mark.parametrize(
    "text",
    [
        often("contains(inputs.text,'y')"),
        often("contains(inputs.foreign,'y')"),
        often("contains(inputs.odd,'y')"),
        often("contains(inputs.ones,2)"),
        often("contains(inputs.words,'y')"),
        often("contains(inputs.words,inputs.text)"),
        often("startsWith(inputs.odd,inputs.text)"),
        often("inputs.text==inputs.digits"),
        often("inputs.foreign>inputs.odd"),
        often("inputs.digits==2"),
        often("inputs.names.zz"),
        often("inputs.names[inputs.text]"),
        often("inputs.rows.*.a.x"),
        often("inputs.other.*.a.x"),
        often("inputs.wide.*.*.x"),
        "inputs.rows" + ".*" * 45,
        often("!toJSON(inputs.rows)"),
        often("!toJSON(inputs.ones)"),
        often("!toJSON(inputs.deep)"),
        often("!fromJSON(inputs.json)"),
        often("!format(inputs.braces)"),
        "format('" + "{0}" * 5_000 + "', inputs.text)",
        "format('" + "{0}" * 5_000 + "', inputs.ones)",
        "format('{0}{0}'," * 40 + "'0123456789'" + ")" * 40,
        often("!join(inputs.ones)"),
        "join(inputs.ones, inputs.text)",
        "join(range(100000), join(range(100000), join(range(1000))))",
        often("!range(100000)"),
        often("length(range(100000)) == 1"),
        often("!hash(inputs.rows)"),
        often("!hash(inputs.foreign)"),
        often("!hash(inputs.deep)"),
        often("!same(inputs.rows,inputs.rows)"),
        often("!keys(inputs.names)"),
        often("(inputs.big * inputs.big) == 1"),
        often("format('{0}', inputs.big)"),
        "inputs.ones[inputs.big]",
        "'" + "1" * 20_000 + "x' == 1",
        "'" + "''" * 10_000 + "'",
        "'" + "''" * 10_000,
        "&&".join("1" * 10_000),
        "1" + " + 1" * 5_000,
        "(" * 20_000,
        "!" * 20_900 + "1",
        "inputs" + "[inputs" * 2_900,
        "inputs" + ".a" * 10_000,
        "0x" + "f" * 20_000,
        "1e" + "9" * 20_000,
        "case(" + "false,1," * 2_500 + "1)",
        " " * 20_900,
        "a" * 10_000_000,
    ],
    ids=lambda text: text[:30],
)
def test_it_ends_at_once(text, huge):
    def end():
        try:
            compile_expression(text).evaluate(huge)
        except ExpressionError as error:
            assert error.kind in ("lexing", "parsing", "evaluation")  # noqa: PT017 - refused is as good as ended

    assert cpu_seconds(end, enough=SECONDS) < SECONDS


def test_work_is_counted_not_timed(huge):
    for _ in range(2):
        with pytest.raises(ExpressionError, match="too much to look at"):
            compile_expression(often("contains(inputs.words,'y')")).evaluate(huge)
    assert compile_expression("contains(inputs.words, 'w99999')").evaluate(huge) is True
    assert len(compile_expression("inputs.rows.*.b.*").evaluate(huge)) == 100_000
    assert compile_expression("length(inputs.rows.*.a)").evaluate(huge) == 50_000


@pytest.mark.parametrize(
    "value",
    [
        ["${{ inputs.text }}"] * 1_000,
        ["${{ inputs.rows }}"] * 1_000,
        {str(number): "x ${{ contains(inputs.words, 'y') }}" for number in range(1_000)},
        "${{ inputs.text }}" * 100,
    ],
    ids=["texts", "lists", "work", "one text"],
)
def test_the_expressions_of_one_value_are_bounded_together(value, huge):
    def refuse():
        with pytest.raises(ExpressionError, match=r"memory|too much"):
            resolve(value, huge, strict_missing=True)

    assert cpu_seconds(refuse, enough=4 * SECONDS) < 4 * SECONDS


def test_a_trace_of_huge_values_is_small_and_quick(huge):
    expression = compile_expression(" && ".join(f"inputs.{name} != 'a'" for name in huge["inputs"]))
    assert cpu_seconds(lambda: trace(expression, huge), enough=SECONDS) < SECONDS
    found = trace(expression, huge)
    assert found.holds
    assert all(len(clause.value) <= 200 for clause in found.clauses)


def test_integers_of_any_size_are_values():
    contexts = {"inputs": {"n": 10**400, "list": [1]}}
    assert compile_expression("inputs.n > 1 && inputs.n == inputs.n").evaluate(contexts) is True
    assert compile_expression("inputs.list[inputs.n]").evaluate(contexts) is None
    with pytest.raises(ExpressionError, match="too large"):
        compile_expression("inputs.n * 1.5").evaluate(contexts)
