"""What `trib explain` and docs/language.md say of the keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tributary_daemon.cli import manual
from tributary_daemon.errors import InvalidWorkflow, NotFound
from tributary_daemon.spec import codes, fields
from tributary_daemon.spec.loader import load_text
from tributary_daemon.tools import examples, reference, vocabulary

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
WORDS = vocabulary.words()


def test_the_page_is_current():
    text = PAGE.read_text("utf-8")
    assert reference.renewed(text) == text, "run `make docs`"


def test_a_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="lacks"):
        reference.renewed("# nothing here\n")


@pytest.mark.parametrize(
    ("section", "table"), [("workflow", fields.WORKFLOW), ("step", fields.STEP), ("input", fields.INPUT)]
)
def test_every_key_has_a_description_an_example_and_a_form(section, table):
    found = {word.key: word for word in WORDS if word.section == section}
    assert set(found) == set(table)
    for word in found.values():
        assert word.doc.endswith(".")
        assert word.form
        assert word.example, word.name
        assert word.key in word.example


def test_no_example_is_left_of_a_key_that_is_gone():
    known = {word.name for word in WORDS}
    assert {f"{section}.{key}" for section, table in examples.SECTIONS.items() for key in table} <= known


def test_the_codes_exist():
    assert {code for word in WORDS for code in word.codes} <= set(manual.entries())


STRING = {"type": "string"}
STEP = {"$ref": "#/$defs/step"}


def in_a_workflow(word):
    """Return a workflow around an example."""
    lines = word.example.splitlines()

    def indented(depth):
        return "\n".join(" " * depth + line for line in lines)

    match word.section:
        case "workflow":
            steps = "" if word.key == "steps" else "steps:\n  create_user: {run: echo}\n"
            return f"{indented(0)}\n{steps}"
        case "step":
            action = (
                ""
                if any(line.startswith(f"{each}:") for line in lines for each in fields.ACTIONS)
                else "    run: echo\n"
            )
            if word.key in ("with", "cache", "retry"):
                action = "    task: a.b.v1\n"
            if word.key == "given":
                action = "    want: a.B\n"
            if word.key in ("key", "max_parallel", "fail_fast", "tolerate", "aggregate"):
                action += "    for_each: [{name: a}]\n"
            return (
                f"steps:\n  extract: {{run: echo}}\n  transform: {{run: echo}}\n  x:\n{indented(4)}\n{action}"
            )
        case "retry":
            return f"steps:\n  x:\n    run: echo\n    retry:\n{indented(6)}\n"
    kind = {"items": "list", "options": "choice", "pattern": "string"}.get(word.key, "integer")
    more = "" if word.key == "type" else f"    type: {kind}\n"
    return f"inputs:\n  x:\n{more}{indented(4)}\nsteps: {{a: {{run: echo}}}}\n"


@pytest.mark.parametrize(
    "word", [w for w in WORDS if w.key in examples.SECTIONS.get(w.section, {})], ids=lambda w: w.name
)
def test_every_example_is_a_workflow_when_put_into_one(word):
    needed = {codes.UNDECLARED_INPUT, codes.UNKNOWN_STEP, "TRB137", "TRB155"}
    try:
        load_text(in_a_workflow(word), file="example.yaml")
    except InvalidWorkflow as error:
        # an example may speak of an input, a step or a file that is not here
        left = [
            problem
            for problem in error.problems
            if problem.code not in needed and not problem.code.startswith("TRB16")
        ]
        assert left == [], in_a_workflow(word)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("retry", ["step.retry"]),
        ("timeout", ["workflow.timeout", "step.timeout"]),
        ("workflow.timeout", ["workflow.timeout"]),
        ("steps.load.retry", ["step.retry"]),
        ("retry.backoff", ["retry.backoff"]),
        ("inputs.type", ["input.type"]),
        ("NEEDS:", ["step.needs"]),
        ("`if`", ["step.if"]),
    ],
)
def test_finding_keys(text, names):
    found, ours = vocabulary.find(text)
    # keys inside of others may share the word
    assert [word.name for word in found][: len(names)] == names
    assert ours is None


def test_words_of_other_tools_lead_to_ours():
    found, ours = vocabulary.find("depends-on")
    assert ([word.name for word in found], ours) == (["step.needs"], "needs")


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(NotFound) as caught:
        vocabulary.find("matirx")
    assert caught.value.hint == "did you mean matrix? "


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": ["a", "b"]}, "one of `a`, `b`"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "a whole number, 1 to 9"),
        ({"type": "boolean"}, "`true` or `false`"),
        ({"anyOf": [STRING, {"type": "array", "items": STRING}]}, "text, or a list of: text"),
        ({"type": "object", "properties": {"a": {}, "b": {}}}, "a mapping with `a`, `b`"),
        ({"type": "object", "patternProperties": {"^a$": STEP}}, "a mapping of ids, each to a step"),
        ({"$ref": "#/$defs/input"}, "a mapping: the keys of an input"),
        ({"allOf": [{"$ref": "#/definitions/input"}]}, "a mapping: the keys of an input"),
        ({"type": ["string", "number"]}, "text, or a number"),
        ({}, "any value"),
    ],
)  # fmt: skip
def test_forms_in_words(schema, words):
    assert vocabulary.in_words(schema) == words
