"""What a handler accepts is never called a misfit by its schema alone."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from tributary_daemon.spec.builder import node_of
from tributary_daemon.spec.fitting import misfits, mismatch
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.shapes import Shape


class Colour(Enum):
    red = "r"
    blue = "b"


class Level(IntEnum):
    low = 1
    high = 2


class Part(BaseModel):
    n: int
    s: str = ""


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Strict(BaseModel, extra="forbid"):
    a: int | None = None
    b: list[Part] = []


TYPES = [
    int, float, bool, str, date, datetime, timedelta, UUID, Decimal, Colour, Level, Any, Part, Strict,
    int | None, int | str, list[int], list[Part], dict[str, int], dict[str, Any], tuple[int, str],
    Literal["x", 5, True], Annotated[int, Field(gt=0, le=10)], Annotated[str, Field(max_length=2)],
    Annotated[list[int], Field(min_length=1, max_length=2)], Cat | Dog,
    Annotated[Cat | Dog, Field(discriminator="kind")], set[int],
]  # fmt: skip
ADAPTERS = [TypeAdapter(each) for each in TYPES]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([0.0, 1.0, 1.5, -2.5, 1e3]),
    st.sampled_from(
        ["", "x", "r", "5", " 5 ", "1.5", "1e3", "-7", "yes", "OFF", "true", "cat", "dog", "P1D"]
    ),
    st.sampled_from(
        ["2026-01-01", "2026-01-01T00:00:00Z", "5f0c7a6e-54c4-4d0e-9d0b-5b6f0b7a1f11", "01:00:00"]
    ),
)
KEYS = st.sampled_from(["n", "s", "a", "b", "kind", "lives", "name", "z"])
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=8,
)


def found(value, adapter):
    node = node_of(value, Problems("", ""))
    return list(misfits(node, Shape.of(adapter.json_schema()), "with", lambda _node, _shape: None))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(range(len(TYPES))), VALUES)
def test_what_is_accepted_fits(index, value):
    adapter = ADAPTERS[index]
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError:
        return
    assert found(value, adapter) == [], TYPES[index]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([0, 1, 2, 3, 12, 13, 16, 17]), VALUES)
def test_what_is_refused_for_its_kind_does_not_fit(index, value):
    adapter = ADAPTERS[index]
    try:
        adapter.validate_json(json.dumps(value))
    except ValidationError as error:
        kinds = {fault["type"] for fault in error.errors()}
        if kinds <= {
            "missing",
            "extra_forbidden",
            "string_type",
            "list_type",
            "model_type",
            "model_attributes_type",
        }:
            assert found(value, adapter), (TYPES[index], kinds)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(range(len(TYPES))))
def test_a_type_fits_itself(index):
    adapter = ADAPTERS[index]
    schemas = [Shape.of(adapter.json_schema(mode=mode)) for mode in ("serialization", "validation")]
    assert mismatch(*schemas) is None
