"""``trib eval``: one expression, or one a line."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

PLACES = [folder / "shared" / "conformance" / "expressions" for folder in Path(__file__).resolve().parents]
SUITE = next((place for place in PLACES if place.is_dir()), None)


@pytest.fixture
def lines(cli, monkeypatch):
    """Return a function that gives texts to ``trib eval --jsonl`` and returns its answers."""

    def answer(*texts):
        given = io.TextIOWrapper(io.BytesIO(b"".join(text + b"\n" for text in texts)))
        monkeypatch.setattr("sys.stdin", given)
        said = cli("eval", "--jsonl")
        assert (said.code, said.err) == (0, "")
        return [json.loads(text) for text in said.out.splitlines()]

    return answer


@pytest.mark.parametrize(
    ("expression", "kind", "value"),
    [
        ("1 + 2 * 3", "Number", 7),
        ("null", "Null", None),
        ("${{ true }}", "Boolean", True),
        ("'é'", "String", "é"),
        ("fromJSON('[1]')", "Array", [1]),
        ("inputs", "Object", {"n": 3}),
        ("-1 < inputs.n", "Boolean", True),
        ("NaN", "Number", math.nan),
    ],
)
def test_a_value_has_its_kind(cli, expression, kind, value):
    said = cli("eval", expression, "--context", '{"inputs": {"n": 3}}', "-o", "json")
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out)
    assert found["kind"] == kind
    assert found["value"] == value or math.isnan(found["value"])
    assert list(found) == ["kind", "value"]


def test_into_a_pipe_the_document_is_one_line(cli):
    assert cli("eval", "'a'").out == '{"kind": "String", "value": "a"}\n'
    assert cli("eval", "'a'", "-o", "name").out == "a\n"
    assert cli("eval", "1", "-o", "yaml").out == "kind: Number\nvalue: 1\n"


@pytest.mark.parametrize("output", [[], ["-o", "json"], ["-o", "jsonl"]])
def test_an_error_exits_3_with_a_document_and_says_it_in_words(cli, output):
    said = cli("eval", "length(3)", *output)
    assert said.code == 3
    message = "length needs a text, an array or an object, not a value of kind Number"
    assert json.loads(said.out) == {"error": {"kind": "evaluation", "message": message}}
    assert said.err == f"error: {message}\n"


def test_an_error_is_shown_at_its_place(cli):
    said = cli("eval", "${{ 1 + lenght(2) }}")
    assert said.code == 3
    first, hint, text, mark = said.err.splitlines()
    assert "Unrecognized function: 'lenght'" in first
    assert "did you mean 'length'?" in hint
    assert text.index("lenght") == mark.index("^")


def test_only_the_contexts_given_exist(cli):
    said = cli("eval", "inputs.x")
    assert said.code == 3
    assert "Unrecognized named-value: 'inputs'" in said.err
    assert "--context '{\"inputs\": …}' gives it" in said.err
    assert cli("eval", "other.x", "--context", '{"other": {"x": 1}}').code == 0


def test_contexts_come_from_a_file(cli, tmp_path):
    (tmp_path / "c.json").write_text('{"run": {"created_at": "2026-01-02T03:04:05Z"}}')
    assert json.loads(cli("eval", "today()", "--context", "@c.json").out)["value"] == "2026-01-02"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "missing argument 'EXPR'"),
        (["1", "2"], 2, "unexpected extra argument"),
        (["1", "--context", "[1]"], 3, "not a JSON object of contexts"),
        (["1", "--context", "{"], 3, "--context is not JSON"),
        (["1", "--context", "@none.json"], 2, "cannot read none.json"),
        (["1", "--jsonl"], 2, "--jsonl reads expressions"),
        (["--contxt", "{}"], 2, "no such option '--contxt'"),
    ],
)
def test_usage(cli, arguments, code, message):
    said = cli("eval", *arguments)
    assert (said.code, said.out) == (code, "")
    assert message in said.err


def test_a_condition_is_explained(cli):
    said = cli(
        "eval", "failure() || inputs.force", "--status", "failure", "--trace", "--context", '{"inputs": {}}'
    )
    assert said.out.splitlines() == [
        "true || …",
        "  true  failure()",
        "  …     inputs.force  (not evaluated)",
    ]
    assert "in `if` only" in cli("eval", "failure()").err
    document = json.loads(cli("eval", "1 == 2 && 3", "--trace", "-o", "json").out)
    assert document["value"] is False
    assert [clause["text"] for clause in document["trace"]["clauses"]] == ["1 == 2 && 3", "1 == 2", "3"]


def test_a_wrong_line_is_an_answer_not_an_end(lines):
    answers = lines(
        b'{"expr": "a.b", "contexts": {"a": {"b": [1, "\xc3\xa9"]}}}',
        b"oops",
        b"",
        b"\xff",
        b"[1]",
        b'{"expr": 1}',
        b'{"expr": "1", "contexts": 3}',
        b"[" * 100_000,
        b'{"expr": "fromJSON(1, 2)"}',
        b'{"expr": "\'\\ud800\'"}',
        b'{"expr": "1"}',
    )
    assert answers[0] == {"kind": "Array", "value": [1, "é"]}
    assert [answer["error"]["kind"] for answer in answers[1:8]] == ["input"] * 7
    assert answers[8]["error"]["kind"] == "parsing"
    assert answers[9] == {"kind": "String", "value": "\ud800"}
    assert answers[10] == {"kind": "Number", "value": 1}


@pytest.mark.skipif(SUITE is None, reason="the conformance suite is not beside this checkout")
def test_the_conformance_suite_through_lines(lines):
    cases = [
        case
        for file in sorted(SUITE.glob("*.json"))
        for group in json.loads(file.read_text("utf-8")).values()
        for case in group
    ]
    asked = [
        json.dumps({"expr": case["expr"], "contexts": case.get("contexts", {})}).encode() for case in cases
    ]
    answers = lines(*asked)
    assert len(answers) == len(cases) == 781
    for case, answer in zip(cases, answers, strict=True):
        if "err" in case:
            assert answer["error"]["kind"] == case["err"]["kind"], case
            assert answer["error"]["message"].startswith(case["err"]["value"]), case
        else:
            assert answer["kind"] == case["result"]["kind"], case
            expected = case["result"]["value"]
            assert answer["value"] == expected or (math.isnan(expected) and math.isnan(answer["value"])), case


def test_every_line_is_answered_before_the_next_is_written():
    with subprocess.Popen(
        [sys.executable, "-m", "tributary_daemon", "eval", "--jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as child:
        for number in range(3):
            child.stdin.write(f'{{"expr": "{number} + 1"}}\n')
            child.stdin.flush()
            assert json.loads(child.stdout.readline()) == {"kind": "Number", "value": number + 1}
        child.stdin.close()
        assert child.wait(timeout=30) == 0
