"""Array literals of the hot path: what goes in is what PostgreSQL reads."""

from __future__ import annotations

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tributary_daemon.store.arrays import numbers, plain, quoted

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read(connection, literal, kind):
    return connection.execute(f"select %s::{kind}[]", (literal,)).fetchone()[0]


@MANY
@given(st.lists(st.none() | TEXTS, max_size=8))
@example(["NULL", "null", None, "", '"', "\\", '\\"', "{a,b}", "a,b", " x ", "\n\t", "é🙂"])
def test_texts(connection, items):
    assert read(connection, quoted(items), "text") == items


@MANY
@given(
    st.lists(TEXTS, min_size=60, max_size=140),
    st.none() | st.sampled_from(['"\\', "x" * 5_000 + '"']),
    st.integers(0, 59),
)
def test_many_texts_one_of_them_absent_or_long(connection, items, odd, at):
    items[at] = odd
    assert read(connection, quoted(items), "text") == items


def test_a_text_with_nul_is_no_two_texts(connection):
    with pytest.raises(psycopg.DataError, match="NUL"):
        read(connection, quoted(["a", "b\0c"]), "text")


@MANY
@given(st.lists(st.none() | st.floats(allow_nan=False), max_size=8))
@example([0.1 + 0.2, 5e-324, float("inf")])
def test_floats(connection, items):
    assert read(connection, numbers(items), "float8") == items


@MANY
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=8))
def test_whole_numbers(connection, items):
    assert read(connection, numbers(items), "bigint") == items


@MANY
@given(st.lists(st.uuids(), max_size=8))
def test_ids(connection, items):
    assert read(connection, plain(map(str, items)), "uuid") == items
