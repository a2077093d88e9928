"""JSON to text and back: what is refused, and how the refusal says where."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tributary_daemon import codec
from tributary_daemon.errors import CodecError


class Colour(Enum):
    RED = "red"


class Point(BaseModel):
    x: float
    label: str | None = None


@dataclasses.dataclass
class Box:
    at: Point
    size: int = 1


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(plain)
def test_json_values_survive(value):
    assert codec.loads(codec.dumps(value)) == value


@given(
    st.recursive(
        plain | st.text() | st.floats() | st.binary(), lambda inner: st.lists(inner) | st.tuples(inner)
    )
)
def test_whatever_comes_is_stored_as_strict_json_or_refused(value):
    try:
        text = codec.dumps(value)
    except CodecError:
        return
    assert "\x00" not in str(json.loads(text, parse_constant=pytest.fail))
    text.encode()


def test_rich_types_are_written_as_pydantic_does():
    value = {
        "at": datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        "day": date(2026, 1, 2),
        "id": UUID(int=5),
        "sum": Decimal("1.10"),
        "colour": Colour.RED,
        "box": Box(Point(x=1)),
        "big": 123456789012345678901234567890,
        "set": {1},
        3: "number as a key",
    }
    assert codec.loads(codec.dumps(value)) == {
        "at": "2026-01-02T03:04:05.000006Z",
        "day": "2026-01-02",
        "id": "00000000-0000-0000-0000-000000000005",
        "sum": "1.10",
        "colour": "red",
        "box": {"at": {"x": 1.0, "label": None}, "size": 1},
        "big": 123456789012345678901234567890,
        "set": [1],
        "3": "number as a key",
    }


@pytest.mark.parametrize(
    ("value", "place", "fault"),
    [
        ({"items": [{}, {}, {}, {"name": "a\x00b"}]}, "payload.items[3].name", "NUL"),
        ({"a": "x\ud800"}, "payload.a", "lone surrogate (position 1)"),
        ({"a\x00": 1}, "a key of payload", "NUL"),
        ({"two words": math.nan}, "payload['two words']", "is nan"),
        ([1, math.inf], "payload[1]", "is inf"),
        (-math.inf, "payload", "is -inf"),
        (Point(x=math.nan), "payload.x", "is nan"),
        ({"p": Box(Point(x=-math.inf))}, "payload.p.at.x", "is -inf"),
        ({"f": [len]}, "payload.f[0]", "builtin_function_or_method"),
        ({"o": {object()}}, "payload.o[0]", "type object"),
        ({"b": b"\xff"}, "payload.b", "not UTF-8"),
        ({"c": 1j, "d": Colour}, "payload.d", "type"),
    ],
)
def test_refusals_name_the_path(value, place, fault):
    with pytest.raises(CodecError) as caught:
        codec.dumps(value)
    assert caught.value.message.startswith(place)
    assert fault in caught.value.message
    assert caught.value.hint


def test_innocent_look_alikes_pass():
    value = {"text": "\\u0000 NaN Infinity null", "none": None, "literal": "\\\\u0000", "quote": '"\\'}
    assert codec.loads(codec.dumps(value)) == value


@pytest.mark.parametrize("levels", [201, 250, 300, 10_000])
def test_deep_values_are_refused(levels):
    with pytest.raises(CodecError, match="result is nested more than 200 levels deep"):
        codec.dumps(nested(levels), what="result")


def test_depth_counts_levels_not_brackets():
    wide = [{"a": ["[" * 300]} for _ in range(300)]
    assert codec.loads(codec.dumps(wide)) == wide
    assert codec.depth(codec.dumps(wide).encode()) == 3
    assert codec.depth(b"1") == 0
    assert codec.loads(codec.dumps(nested(200))) == nested(200)


def test_circles_are_refused():
    value: dict = {"a": []}
    value["a"].append(value)
    with pytest.raises(CodecError, match=r"payload\.a\[0\] contains itself"):
        codec.dumps(value)


def test_too_large_says_both_sizes_and_what_to_do():
    with pytest.raises(CodecError) as caught:
        codec.dumps("x" * 5 * 1024 * 1024)
    assert "5.00 MiB (5,242,882 bytes)" in caught.value.message
    assert "1.00 MiB" in caught.value.message
    assert "reference" in caught.value.hint
    with pytest.raises(CodecError, match="12 bytes"):
        codec.dumps("x" * 10, max_bytes=11)
    assert codec.dumps("x" * 10, max_bytes=12)


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[NaN]", "-Infinity", '"\\ud800"', b"\xff", "[1] 2"])
def test_loads_refuses_what_is_not_json(text):
    with pytest.raises(CodecError, match="inputs is not valid JSON"):
        codec.loads(text, what="inputs")


def test_loads_refuses_what_is_too_deep():
    with pytest.raises(CodecError, match="nested more than 200"):
        codec.loads("[" * 10_000 + "]" * 10_000)
