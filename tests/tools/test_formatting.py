"""The formatter: usual form, comments, and that nothing changes its meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.loader import load_text
from tributary_daemon.tools import formatting
from tributary_daemon.tools.formatting import formatted
from tributary_daemon.tools.yaml_tree import Unformattable, plain, read

FOLDER = Path(__file__).parents[2] / "workflows"
WORKFLOWS = sorted(set(FOLDER.glob("*.yaml")) - set(FOLDER.glob("*.test.yaml")))

MESSY = """\
# about the file
steps:   # all of them


  b: # behind the key
    with: {x:   "${{ inputs.x }}" , y: [1,2,   3]}   # behind brackets
    # about the task
    task: x.v1
    needs:
    - a   # behind an item
      # at the end of needs
    labels: {one: LONG, two: LONG}
    # at the end of b
  # about a
  a:
       run: |

         echo hi
           indented

       env:
           TEXT: some ${{ inputs.x }} text
           QUOTED: 'a "b" ${{ inputs.x }}'
       description: first
          second

          third
name: z.v1   # the name

inputs: {x: {default: 1, type: integer}}
# at the end of the file
"""
TIDY = """\
# about the file
name: z.v1  # the name

inputs: {x: {type: integer, default: 1}}
steps:  # all of them
  b:  # behind the key
    labels:
      one: LONG
      two: LONG
    needs:
      - a  # behind an item
      # at the end of needs
    # about the task
    task: x.v1
    with: {x: "${{ inputs.x }}", y: [1, 2, 3]}  # behind brackets
    # at the end of b
  # about a
  a:
    description: first
      second

      third
    run: |

      echo hi
        indented

    env:
      TEXT: "some ${{ inputs.x }} text"
      QUOTED: 'a "b" ${{ inputs.x }}'
# at the end of the file
"""


def test_the_usual_form():
    long = "-".join(["long"] * 10)
    messy, tidy = MESSY.replace("LONG", long), TIDY.replace("LONG", long)
    assert formatted(messy) == tidy
    assert formatted(tidy) == tidy


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_workflows_of_the_repository_mean_the_same(path):
    before = path.read_text("utf-8")
    after = formatted(before, file=str(path))
    if "want:" not in before:
        # an inferred graph needs the handlers that make it
        assert load_text(after, file=str(path)).plan() == load_text(before, file=str(path)).plan()
    assert yaml.safe_load(after) == yaml.safe_load(before)
    assert after.count("#") == before.count("#")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("steps: {a: {needs: b, task: a.v1, if: x}}", "steps: {a: {needs: b, if: x, task: a.v1}}\n"),
        ("steps:\n- a\n", "steps:\n  - a\n"),
        (
            "x-a: &x {timeout: 5m}\nname: w.v1\ndefaults: *x\n",
            "x-a: &x {timeout: 5m}\nname: w.v1\ndefaults: *x\n",
        ),
        ("a: |+\n  x\n\n\n", "a: |+\n  x\n\n\n"),
        ("a: |2\n     x\n    y\n", "a: |2\n     x\n    y\n"),
        ("a:\n   b: |1-\n      x\n     y\n", "a:\n  b: |1-\n     x\n    y\n"),
        ("a: {}\nb: []\nc:\n", "a: {}\nb: []\nc:\n"),
        ("a: {b: , c: [1], d: }\n", "a: {b: , c: [1], d: }\n"),
        ("a: [x, # one\n  y]\n", "a:\n  - x  # one\n  - y\n"),
        ("-  - 1\n   - {a: 1,\n      b: 2}\n", "- - 1\n  - {a: 1, b: 2}\n"),
        ('"a b": "x"  \n', '"a b": "x"\n'),
        ("a: ${{ x }}\r\nb: 'it''s ${{ y }}'\r\n", 'a: "${{ x }}"\nb: "it\'s ${{ y }}"\n'),
        ("--- # one\na: 1\n---\nb: 1\n", "---  # one\na: 1\n---\nb: 1\n"),
        ("a: # head\n  # own\n  - 1\n", "a:  # head\n  # own\n  - 1\n"),
        ("é: 'ü' # ö\nb: 1\n", "é: 'ü'  # ö\nb: 1\n"),
        ("0777: x\nb: 0777\n", "0777: x\nb: 0777\n"),
    ],
)
def test_forms_of_yaml(before, after, monkeypatch):
    # the form alone: whether it is a workflow is another question
    monkeypatch.setattr(formatting, "_loaded", lambda *_: None)
    assert formatted(before) == after
    assert formatted(after) == after


@pytest.mark.parametrize(
    "text", ["a: [1", "a: 1\na: 2", "", "# only a comment\n", "a: !!str x", "steps: {run: echo a, b}"]
)
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(InvalidWorkflow):
        formatted(text)


def test_keys_stay_where_an_alias_would_come_above_its_anchor():
    text = "steps:\n  a: {task: a.v1, retry: &r {delay: 1s}}\ndefaults: {retry: *r}\n"
    assert formatted(text) == text
    # a file with faults as well
    assert formatted(text + "nonsense: 1\n") == text + "nonsense: 1\n"


def test_other_faults_are_no_reason_to_leave_a_file_alone():
    assert (
        formatted("steps:\n  a:\n      needs: b\n      nonsense: 1\n")
        == "steps:\n  a:\n    needs: b\n    nonsense: 1\n"
    )


@pytest.mark.parametrize("text", ["%YAML 1.2\n---\nsteps: {a: {run: x}}\n", "? [a]\n: 1\n"])
def test_what_cannot_be_kept_is_left_alone(text, monkeypatch):
    monkeypatch.setattr(formatting, "_loaded", lambda *_: None)
    with pytest.raises(Unformattable):
        formatted(text)


def test_a_change_of_meaning_is_refused(monkeypatch):
    monkeypatch.setattr(formatting, "write", lambda _: "steps: {a: {run: other}}\n")
    with pytest.raises(Unformattable, match="would change what this file means"):
        formatted("steps: {a: {run: echo}}")


# random files: keys, lists, texts of every style, brackets, comments and empty lines anywhere

COMMENTS = st.integers(0, 99).map("# c{}".format)
PLAIN = st.sampled_from(["x", "y z", "1", "true", "~", "0777", "a#b", "-5", "http://x/y", "é ü"])
QUOTED = st.sampled_from(
    ['"a \\"b\\" ${{ inputs.x }}"', "'it''s ${{ inputs.x }}'", '"x # y"', "'a: b'", '""']
)
BLOCKS = st.sampled_from(["|", "|-", "|+", ">", ">-", "| # c100"])


@st.composite
def brackets(draw, depth=2):
    if depth == 0 or draw(st.booleans()):
        return draw(PLAIN | QUOTED)
    inner = draw(st.lists(brackets(depth=depth - 1), max_size=3))
    comma = draw(st.sampled_from([", ", " ,", f",\n{' ' * 20}", f", {draw(COMMENTS)}\n{' ' * 20}"]))
    if draw(st.booleans()):
        return "{" + comma.join(f"k{number}: {each}" for number, each in enumerate(inner)) + "}"
    return "[" + comma.join(inner) + "]"


@st.composite
def noise(draw, indent):
    lines = draw(st.lists(st.sampled_from(["\n", "own", "other"]), max_size=2))
    return "".join(
        line
        if line == "\n"
        else " " * (indent if line == "own" else draw(st.integers(0, indent + 3))) + draw(COMMENTS) + "\n"
        for line in lines
    )


@st.composite
def value(draw, indent, depth):
    behind = draw(st.sampled_from(["", " "]) | COMMENTS.map("  {}".format)) + "\n"
    kind = draw(
        st.sampled_from(
            ["scalar", "brackets", "block", "folded", "empty", "map", "list"] if depth else ["scalar"]
        )
    )
    match kind:
        case "scalar":
            return f" {draw(PLAIN | QUOTED)}{behind}"
        case "brackets":
            return f" {draw(brackets())}{behind}"
        case "block":
            lines = draw(st.lists(st.sampled_from(["echo", "  deep", "# text", ""]), min_size=1, max_size=4))
            return f" {draw(BLOCKS)}\n" + "".join(
                f"{' ' * (indent + 2)}{line}\n" if line else "\n" for line in ["x", *lines]
            )
        case "folded":
            return f" first\n{' ' * (indent + 3)}second\n\n{' ' * (indent + 2)}third\n"
        case "empty":
            return "\n"
        case "map":
            return behind + draw(mapping(indent + draw(st.integers(1, 4)), depth - 1))
    return behind + draw(sequence(indent + draw(st.sampled_from([0, 2])), depth - 1))


@st.composite
def mapping(draw, indent=0, depth=3):
    keys = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3, unique=True))
    parts = [draw(noise(indent)) + f"{' ' * indent}{key}:" + draw(value(indent, depth)) for key in keys]
    return "".join(parts) + draw(noise(indent))


@st.composite
def sequence(draw, indent, depth):
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        inner = draw(value(indent + 1, depth))
        if depth and draw(st.booleans()):
            nested = draw(mapping(indent + 2, depth - 1)).lstrip()
            inner = inner if nested.startswith("#") else f" {nested}"
        parts.append(draw(noise(indent)) + f"{' ' * indent}-{inner}")
    return "".join(parts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mapping())
def test_random_files_keep_values_and_comments_and_settle_at_once(text):
    after = formatted(text)
    assert formatted(after) == after
    assert [plain(each.root) for each in read(after)] == [plain(each.root) for each in read(text)]
    assert sorted(re.findall(r"# c\d+", after)) == sorted(re.findall(r"# c\d+", text))
