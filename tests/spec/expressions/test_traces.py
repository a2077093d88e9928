"""Why a condition held or not, clause by clause."""

from __future__ import annotations

import json

import pytest

from tributary_daemon.spec.expressions import (
    ExpressionError,
    Status,
    Trace,
    compile_condition,
    trace,
    trace_lines,
    truthy,
)

CONTEXTS = {
    "inputs": {
        "env": "dev",
        "list": ["a", "x"],
        "k": "env",
        "none": None,
        "long": "é" * 5_000,
        "nul": "a\0b",
    },
    "steps": {"a": {"state": "completed", "result": {"count": 4, "text": "the hunter22 is here"}}},
    "secrets": {"Password": "hunter22", "pin": "7", "n": 424242, "empty": ""},
    "env": {"COPY": "x hunter22 y", "PIN": "7", "PAGE": "17"},
}
UP = Status(success=True, failure=False, cancelled=False)


def traced(text, status=UP):
    return trace(compile_condition(text), CONTEXTS, status)


def size(document):
    return len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def test_clauses_are_told_with_what_they_read_and_what_was_not_evaluated():
    assert trace_lines(traced("inputs.env == 'prod' && steps.a.result.count > 3")) == [
        "false && …",
        "  false  inputs.env == 'prod'",
        '           inputs.env is "dev"',
        "  …      steps.a.result.count > 3  (not evaluated)",
    ]


def test_nested_clauses_are_split_at_and_or_and_not():
    assert trace_lines(traced("!(inputs.env == 'dev' || success()) || inputs[inputs.k]")) == [
        "!(true || …) || true",
        "  false  !(inputs.env == 'dev' || success())",
        "    true   inputs.env == 'dev' || success()",
        "      true   inputs.env == 'dev'",
        '               inputs.env is "dev"',
        "      …      success()  (not evaluated)",
        '  "dev"  inputs[inputs.k]',
    ]


def test_a_single_clause_needs_no_summary():
    assert trace_lines(traced("steps.a.result.count + 1 > 9")) == [
        "false  steps.a.result.count + 1 > 9",
        "         steps.a.result.count is 4",
    ]
    assert trace_lines(traced("")) == ["null  "]


@pytest.mark.parametrize(
    "text",
    [
        "inputs.env == 'prod'",
        "inputs.none ?? steps.a.result",
        "inputs.list",
        "inputs.long && inputs.list",
        "secrets.password",
        "secrets.empty",
        "NaN",
        "Infinity",
        "!success() || failure() && cancelled()",
        "steps.a.result.count - 4",
        "''",
        "case(always(), steps.a.state, 1)",
    ],
)
def test_a_trace_agrees_with_the_evaluation_and_survives_storage(text):
    found = traced(text)
    assert found.holds is truthy(compile_condition(text).evaluate(CONTEXTS, status=UP))
    assert truthy(found.value) is found.holds
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    again = Trace.from_json(stored)
    assert again.to_json() == found.to_json()
    assert trace_lines(again)[0] == trace_lines(found)[0]


@pytest.mark.parametrize(
    "text",
    [
        "secrets.password",
        "secrets.password && env.copy",
        "env.COPY",
        "steps.a.result",
        "format('{0}!', secrets.password)",
        "secrets",
        "secrets.*",
        "inputs.env == 'hunter22'",
        "inputs['hunter22'] == 3",
        "secrets.n + 1",
        "env",
        "toJSON(secrets) == 'x' || toJSON(env)",
    ],
)
def test_no_secret_is_in_a_trace(text):
    told = json.dumps(traced(text).to_json()) + "\n".join(trace_lines(traced(text))) + repr(traced(text))
    assert "hunter22" not in told
    assert "42424" not in told


def test_a_short_secret_is_masked_where_it_is_the_whole_text():
    found = traced("env.PIN == '7' && env.PAGE == '17'")
    references = dict(reference for clause in found.clauses for reference in clause.references)
    assert references == {"env.PIN": '"***"', "env.PAGE": '"17"'}


def test_a_secret_at_the_cut_leaves_no_part():
    contexts = {"secrets": {"s": "abcdefgh"}, "inputs": {"x": "." * 195 + "abcdefgh"}}
    told = json.dumps(trace(compile_condition("inputs.x == 'y'"), contexts).to_json())
    assert "abc" not in told


def test_values_are_shown_shortened():
    (clause,) = traced("inputs.long").clauses
    assert len(clause.value) == 200
    assert clause.value.endswith("…")
    (clause,) = traced("inputs.nul == 'x'").clauses
    assert "\0" not in json.dumps(clause.references)


@pytest.mark.parametrize(
    "text",
    [
        " && ".join(f"inputs.long != 'ééééééééé {number}'" for number in range(400)),
        "||".join("!(inputs.none&&1)" for _ in range(1_000)),
        "inputs.long && " * 30 + "true",
        "!" * 48 + "true",
    ],
    ids=["wide", "nested", "long", "deep"],
)
def test_a_stored_trace_is_small(text):
    found = traced(text)
    document = found.to_json()
    assert size(document) <= 4_096
    assert document["holds"] is found.holds
    assert Trace.from_json(document).to_json() == document
    told = trace_lines(Trace.from_json(document))
    assert len(told[0]) <= 200
    if document.get("omitted"):
        assert told[-1] == f"{document['omitted']} more clauses are not shown"
    evaluated = len(document["clauses"]) + document.get("omitted", 0)
    assert evaluated >= 10


def test_what_cannot_be_evaluated_cannot_be_traced():
    with pytest.raises(ExpressionError, match="fromJSON") as caught:
        traced("true && fromJSON(env.COPY)")
    assert "hunter22" not in caught.value.message
    with pytest.raises(ExpressionError, match="in `if` only"):
        traced("success()", status=None)
