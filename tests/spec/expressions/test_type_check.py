"""What types tell about an expression before it is evaluated."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from tributary_daemon.spec.expressions import check_types, compile_expression


class Person(BaseModel):
    user_id: int
    color: Literal["red", "green"]
    parent: Person | None
    tags: list[str]
    pets: list[Pet]
    extra: dict[str, int]
    pair: tuple[int, str]
    ok: bool
    anything: object


class Pet(BaseModel):
    name: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


Person.model_rebuild()
INPUTS = {
    "type": "object",
    "properties": {
        "n": {"type": "integer"},
        "flag": {"type": "boolean"},
        "text": {"type": "string"},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["n", "flag", "text", "rows", "maybe"],
}
SCHEMAS = {
    "inputs": INPUTS,
    "steps.a.result": Person.model_json_schema(mode="serialization"),
    "steps.a.state": {"enum": ["completed", "skipped"]},
    "steps.bare.result": {"type": "object"},
    "steps.open.result": Open.model_json_schema(mode="serialization"),
    "steps.none.result": {"type": "null"},
    "steps.text.result": {"type": "string"},
    "steps.odd.result": {"$ref": "#/$defs/none"},
    "steps.loop.result": {"$ref": "#/$defs/x", "$defs": {"x": {"$ref": "#/$defs/x"}}},
    "steps.two.result": {"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]},
    "steps.one.result": {
        "anyOf": [
            {"properties": {"a": {"type": "string"}}},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
            {"type": "null"},
        ]
    },
}


@pytest.mark.parametrize(
    "text",
    [
        "steps.a.result.user_id",
        "STEPS.A.Result.USER_ID",
        "steps.a.result.parent.parent.user_id",
        "steps.a.result.tags[0]",
        "steps.a.result.pets.*.name",
        "steps.a.result.pets[0].name",
        "steps.a.result.extra.whatever",
        "steps.a.result.pair[1]",
        "steps.a.result.anything.at.all[3].*",
        "steps.a.result[inputs.text].x",
        "steps.bare.result.anything",
        "steps.open.result.more",
        "steps.odd.result.x",
        "steps.loop.result.x",
        "steps.two.result.b",
        "steps.one.result.a",
        "steps.unknown.result.x",
        "steps.a.error",
        "env.ANY == 1",
        "steps.a.result.nope ?? 'x'",
        "(steps.a.result.nope ?? inputs.nope) == 3",
        "steps.a.result.color == 'RED'",
        "steps.a.result.color > 'a'",
        "inputs.n == '3'",
        "inputs.n == true",
        "inputs.text == 3",
        "inputs.text == null",
        "inputs.maybe == null",
        "inputs.rows == inputs.rows",
        "inputs.flag == 1",
        "inputs.n + 1 > 2 || inputs.maybe",
        "length(inputs.maybe) + length(inputs.rows)",
        "range(inputs.n, fromJSON(inputs.text))",
        "same(inputs.text, 'a')",
        "steps.one.result.b + 1",
        "case(inputs.flag, inputs.n, 'x') == 'x'",
    ],
)
def test_nothing_is_said_about_what_may_be(text):
    assert check_types(text, SCHEMAS) == []


@pytest.mark.parametrize(
    ("text", "position", "message", "hint"),
    [
        ("steps.a.result.usr_id", 15, "`steps.a.result` has no 'usr_id'", "did you mean 'user_id'?"),
        (
            "1 + steps.a.result.parent.parent.colr",
            33,
            "`steps.a.result.parent.parent` has no 'colr'",
            "color",
        ),
        ("steps.a.result['usr_id']", 15, "has no 'usr_id'", "user_id"),
        ("steps.a.result.tags.name", 20, "`steps.a.result.tags` is Array", "steps.a.result.tags.*.name"),
        ("steps.a.result.tags[0].x", 23, "String", None),
        ("steps.a.result.pair[2]", 20, "has no '2'", None),
        ("steps.a.result.pets.*.nam", 22, "`steps.a.result.pets.*` has no 'nam'", "did you mean 'name'?"),
        ("inputs.rows.*.x[0] == 3", 16, "has no '0'", "goes into each element"),
        ("steps.a.result.user_id.*", 0, "has no '*'", None),
        ("steps.a.result.extra.x.y", 23, "Number", None),
        ("steps.none.result.id", 18, "`steps.none.result` is null", None),
        ("steps.text.result.id", 18, "`steps.text.result` is String", None),
        ("steps.one.result.c", 17, "has no 'c'", "known: a, b"),
        ("inputs[inputs.zz]", 14, "`inputs` has no 'zz'", "known"),
        ("inputs.rows[inputs.n].x == inputs.nn", 34, "has no 'nn'", "did you mean 'n'?"),
        (
            "steps.a.result.color == 'blu'",
            0,
            "is always false: it compares 'red' or 'green' with 'blu'",
            "red",
        ),
        ("steps.a.state != 'complete'", 0, "is always true", "did you mean 'completed'?"),
        ("inputs.flag == 'true'", 0, "compares Boolean with 'true'", "write true without quotes"),
        ("x == 1 || inputs.n == 'abc'", 0, "Unrecognized named-value: 'x'", None),
        ("false || inputs.n == 'abc'", 9, "is always false: it compares Number with 'abc'", None),
        ("inputs.n > 'abc'", 0, "is always false", None),
        ("inputs.rows == 'x'", 0, "compares Array with 'x'", "same(a, b)"),
        ("inputs.rows > 3", 0, "is always false", "length(x)"),
        ("inputs.n == steps.a.result.tags", 0, "is always false", "same"),
        ("same(inputs.n, 'a')", 0, "is always false", None),
        ("inputs.text + 1", 0, "`+` needs Number, `inputs.text` is String", None),
        ("1 - (inputs.rows)", 5, "`-` needs Number, `inputs.rows` is Array", None),
        ("length(inputs.n)", 7, "length needs String or Array or Object or Null", None),
        ("range(1, inputs.text)", 9, "range needs Number, `inputs.text` is String", None),
        ("keys(inputs.rows)", 5, "keys needs Object or Null", None),
        ("case(inputs.n, 1, 2)", 5, "a condition of case needs Boolean", None),
        ("nope(1)", 0, "Unrecognized function: 'nope'", "known"),
        ("length()", 0, "Too few parameters supplied: 'length'", None),
        ("1 +", 2, "Unexpected end of expression", None),
    ],
)
def test_what_cannot_be_is_said_with_its_position(text, position, message, hint):
    (finding,) = check_types(text, SCHEMAS)
    assert finding.position == position
    assert message in finding.message
    assert hint is None or hint in (finding.hint or "")


def test_all_findings_come_by_position():
    found = check_types("inputs.b == inputs.a && length(inputs.n) > 1", SCHEMAS)
    assert [position for position, _, _ in found] == [7, 19, 31]


def test_a_condition_may_read_what_cannot_be_but_not_compare_it():
    expression = compile_expression("inputs.nope && inputs.n == 'abc'")
    assert [finding.position for finding in check_types(expression, SCHEMAS, strict_missing=False)] == [15]


def test_schemas_of_no_sense_say_nothing():
    for schema in (
        True,
        None,
        3,
        {"type": "strange"},
        {"type": ["object", 3]},
        {"$ref": 3},
        {"enum": [{1}]},
        {"anyOf": []},
    ):
        assert check_types("inputs.a.b == 3", {"inputs": schema}) == [], schema
