from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.cli import targets, values
from tributary_daemon.daemon.options import parse_queues
from tributary_daemon.errors import ConfigError, InvalidInput
from tributary_daemon.spec.workflow import InputSpec


def test_payload_from_text_file_and_standard_input(tmp_path, monkeypatch):
    file = tmp_path / "payload.json"
    file.write_text('{"n": [1, null]}')
    monkeypatch.setattr("sys.stdin", io.StringIO("[2]"))
    assert values.json_value('{"n": 1}', "--payload") == {"n": 1}
    assert values.json_value(f"@{file}", "--payload") == {"n": [1, None]}
    assert values.json_value("-", "--payload") == [2]


@pytest.mark.parametrize("text", ["{", "{'n': 1}", "NaN", "[1, Infinity]", "[" * 100_000, ""])
def test_payload_that_is_no_json_is_refused(text):
    with pytest.raises(InvalidInput) as caught:
        values.json_value(text, "--payload")
    assert caught.value.hint


def test_payload_file_that_cannot_be_read_is_a_usage_error(tmp_path):
    (tmp_path / "latin").write_bytes(b"\xe9")
    for name in ("none", "latin", ""):
        with pytest.raises(click.BadParameter):
            values.json_value(f"@{tmp_path / name}", "--payload")


@given(st.text())
def test_any_text_is_json_or_refused(text):
    if not text.startswith(("@", "-")):
        try:
            values.json_value(text, "--payload")
        except InvalidInput as error:
            assert error.hint  # noqa: PT017 - most texts are refused, a few are JSON


def test_since_takes_durations_and_times():
    before = datetime.now(UTC)
    assert before - timedelta(hours=24, seconds=5) < values.since("24h") < before - timedelta(hours=23)
    assert values.since("2026-01-01T00:00:00+01:00").utcoffset() == timedelta(hours=1)


def test_pairs_keep_equal_signs_and_refuse_repetition():
    assert values.pair("url=a=b") == ("url", "a=b")
    assert values.pair("empty=") == ("empty", "")
    with pytest.raises(click.BadParameter, match="given twice"):
        values.mapping([("a", "1"), ("a", "2")], "-i")


def test_inputs_are_typed_as_declared_and_win_over_the_payload():
    declared = {"count": InputSpec(type="integer"), "name": InputSpec(type="string")}
    pairs = [("count", "3"), ("name", "7"), ("free", "[1]")]
    given_inputs = targets.inputs(pairs, '{"count": 1, "kept": true}', lambda: declared)
    assert given_inputs == {"count": 3, "kept": True, "name": "7", "free": [1]}
    assert targets.inputs([], None, lambda: pytest.fail("nothing to type")) is None


def test_inputs_beside_a_payload_that_is_no_object_are_a_usage_error():
    with pytest.raises(click.UsageError):
        targets.inputs([("a", "1")], "[1]", lambda: None)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a/b", True),
        ("etl.yaml", True),
        ("ETL.YML", True),
        ("user.signup.v1", False),
        ("etl", False),
        (".", True),
        ("..", True),
    ],
)
def test_what_can_only_be_a_path(text, path):
    assert targets.looks_like_path(text) is path


def test_a_file_without_suffix_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "etl").write_text("steps: {a: {run: 'true'}}")
    assert targets.target("etl").spec.name == "etl"
    assert targets.target("other").work == "other"


def test_queues_with_slots():
    assert parse_queues(["default", "heavy:4"]) == {"default": None, "heavy": 4}
    for bad in ([], [""], [":4"], ["a:0"], ["a:"], ["a:x"], ["a", "a:2"]):
        with pytest.raises(ConfigError):
            parse_queues(bad)
