from __future__ import annotations

import io
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.cli import as_yaml, output
from tributary_daemon.cli.blocks import Lines, Span, line, pairs, plain
from tributary_daemon.cli.paint import paint

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _shown(data, form, **fields):
    stream = io.StringIO()
    output.show(
        output.View(data, ["one", "two"], lambda: [Lines((line("for people"),))], **fields), form, stream
    )
    return stream.getvalue()


@given(JSON)
def test_json_and_yaml_read_back_unchanged(value):
    assert json.loads(_shown(value, "json")) == value
    assert yaml.safe_load(as_yaml.dump(value)) == value


def test_many_are_a_line_each_in_jsonl_and_one_array_in_json():
    assert _shown([{"a": 1}, {"a": 2}], "jsonl") == '{"a": 1}\n{"a": 2}\n'
    assert json.loads(_shown([{"a": 1}], "json")) == [{"a": 1}]
    assert _shown([], "jsonl") == ""
    assert _shown({"a": [1, 2]}, "jsonl") == '{"a": [1, 2]}\n'


def test_names_and_tables():
    assert _shown([], "name") == "one\ntwo\n"
    assert _shown([], "table") == "for people\n"


def test_letters_of_all_languages_stay_readable():
    assert "grüße" in _shown({"a": "grüße"}, "json")
    assert "grüße" in _shown({"a": "grüße"}, "yaml")


@pytest.mark.parametrize("value", [None, 3, [1], {"a": 1}])
def test_plain_data_is_its_own_document(value):
    assert output.document(value) == value


def test_models_become_documents():
    class Model:
        def to_json(self):
            return {"a": 1}

    assert output.document([Model(), Model()]) == [{"a": 1}, {"a": 1}]


def test_pairs_are_aligned_and_leave_out_what_is_missing():
    shown = pairs(("id", "x"), ("reason", None), ("created", "today"), ("empty", ""))
    assert [plain(row) for row in shown.lines] == ["id       x", "created  today"]


def test_lines_in_a_pipe_are_whole_plain_and_cannot_steer_a_terminal():
    stream = io.StringIO()
    long = "x" * 20_000
    shown = [
        Lines((line(Span("a\x1b[31m", "bad"), " b"), line(long), line())),
        Lines(()),
        Lines((line("c"),)),
    ]
    paint(shown, stream)
    assert stream.getvalue() == f"a\\x1b[31m b\n{long}\n\n\n\nc\n"
