"""Graphs of workflows and runs: nodes, edges, and each of the drawings."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.effort import cpu_seconds
from tests.tools.conftest import step, workflow
from tributary_daemon.tools import ascii, dot, items, mermaid  # noqa: A004
from tributary_daemon.tools.graphs import Edge, graph_of, graph_of_intent


def drawn(spec, **options):
    return ascii.draw(graph_of(spec), lambda state: state[0], **options)


def test_nodes_and_edges_of_every_construct(everything):
    graph = graph_of(everything)
    assert list(graph.nodes)[:3] == ["extract", "wait_a_bit", "split"]
    own = [node for node in graph.nodes.values() if node.parent is None and node.hook is None]
    assert {node.id: node.level for node in own} == {
        "extract": 1, "wait_a_bit": 1, "split": 2, "grid": 2, "later": 3, "script": 3, "train": 4, "ask": 5,
    }  # fmt: skip
    assert Edge("extract", "split", "implied") in graph.edges
    assert Edge("extract", "grid", "needs") in graph.edges
    assert Edge("train", "train/fit", "child") in graph.edges
    assert Edge("train/fit", "train/score", "needs") in graph.edges
    assert (graph.nodes["split"].fan_out, graph.nodes["split"].items) == ("for_each", None)
    assert (graph.nodes["grid"].fan_out, graph.nodes["grid"].items) == ("matrix", 5)
    assert graph.nodes["split"].undo == "shop.unsplit.v1"
    assert graph.nodes["train"].tolerated
    assert [node.id for node in graph.nodes.values() if node.hook] == ["alert", "clean", "tell"]
    plain = json.loads(json.dumps(graph.to_json()))
    assert {
        "id": "train/fit",
        "name": "shop.step.v1",
        "action": "task",
        "level": 1,
        "parent": "train",
    } in plain["nodes"]
    assert {"from": "clean", "to": "tell", "kind": "needs"} in plain["edges"]


def test_a_run_shows_states_and_counts_its_items(everything):
    steps = {"extract": {"state": "completed"}, "split": {"state": "running"}}
    graph = graph_of(everything, inputs={"regions": ["eu"]}, steps=steps, state="running")
    assert graph.nodes["extract"].state == "completed"
    assert graph.nodes["split"].items == 1
    assert graph.nodes["grid"].state is None
    assert graph.to_json()["state"] == "running"
    assert "class n1 completed" in mermaid.draw(graph)
    assert re.search(r"classDef completed fill:#\w{6},stroke:#\w{6}", mermaid.draw(graph))
    assert re.search(r'n1 \[.*fillcolor="#d8f3dc", color="#2d7a3e"\];', dot.draw(graph))
    assert "[completed] extract" in ascii.draw(graph, lambda state: f"[{state}]")


def test_an_intent_is_one_node():
    graph = graph_of_intent({"name": "a.b.v1", "state": "available"})
    assert [node.to_json()["id"] for node in graph.nodes.values()] == ["a.b.v1"]
    assert ascii.draw(graph, lambda state: state[0]) == "a a.b.v1\n"


def test_workflows_that_run_each_other_end():
    inner = workflow({"a": []}, name="inner.v1", a={"workflow": {"name": "outer.v1"}, "action": "workflow"})
    outer = workflow({"b": []}, name="outer.v1", b={"workflow": {"name": "inner.v1"}, "action": "workflow"})
    outer.children.update({"inner.v1": inner, "outer.v1": outer})
    assert list(graph_of(outer).nodes) == ["b", "b/a"]


def test_a_fork_and_join_is_drawn_with_one_line_for_the_join(graph):
    spec = graph({"price": [], "reserve": ["price"], "charge": ["price"], "confirm": ["reserve", "charge"]})
    assert drawn(spec) == (
        "price ─┬──▶ reserve ─┬──▶ confirm\n"
        "       └──▶ charge ──┘\n"
    )  # fmt: skip


def test_an_implied_need_is_dashed_and_explained(graph):
    spec = graph({"a": [], "b": ["a"]}, b={"implied": ("a",)})
    assert drawn(spec) == "a ╌╌╌╌▷ b\n\n╌▷ implied by a reference\n"
    assert drawn(spec, unicode=False) == "a ~~~~> b\n\n~> implied by a reference\n"


def test_lines_that_pass_a_level_and_meet_at_a_node(graph):
    spec = graph({"a": [], "b": ["a"], "c": ["a", "b"]})
    assert drawn(spec) == (
        "a ─┬──▶ b ───┬▶ c\n"
        "   └─────────┘\n"
    )  # fmt: skip


def test_hooks_children_and_marks_are_drawn_apart(everything):
    text = drawn(everything)
    assert "\n\non_failure:\n  alert\n" in text
    assert "\n\nfinally:\n  clean ────▶ tell\n" in text
    assert "\n\ntrain runs shop.train.v1:\n  fit ────▶ score\n" in text
    assert "split \N{MULTIPLICATION SIGN}n" in text
    assert "grid \N{MULTIPLICATION SIGN}5" in text
    assert "script?" in text
    assert "train [shop.train.v1]" in text
    assert "ask? (approve)" in text
    assert drawn(everything, unicode=False).isascii()


def test_what_is_too_wide_is_listed_level_by_level(everything):
    text = drawn(everything, width=40)
    assert text.startswith("level 1 (2 steps, none needs another)\n  extract\n")
    assert "level 2 (2 steps, none needs another)\n  split" in text
    assert "n  needs extract (implied)\n  grid" in text
    many = workflow({"a": [], **{f"s{n}": ["a"] for n in range(200)}, "z": [f"s{n}" for n in range(200)]})
    assert "z  needs s0, s1, s2, s3, s4, s5, s6, s7 and 192 more" in drawn(many)


@st.composite
def acyclic(draw):
    count = draw(st.integers(1, 12))
    return {
        f"s{n}": [f"s{need}" for need in sorted(draw(st.sets(st.integers(0, n - 1), max_size=3)))]
        if n
        else []
        for n in range(count)
    }


LEADS = {
    "─": "lr",
    "│": "ud",
    "┐": "ld",
    "┘": "lu",
    "┌": "rd",
    "└": "ru",
    "┬": "lrd",
    "┴": "lru",
    "┤": "udl",
    "├": "udr",
    "┼": "lrud",
}
MOVES = {"l": (0, -1), "r": (0, 1), "u": (-1, 0), "d": (1, 0)}
BACK = {"l": "r", "r": "l", "u": "d", "d": "u"}


def follow(lines):
    """Return who needs whom, read off a drawing: from every label to all arrows that its line leads to."""
    found = set()
    for row, line in enumerate(lines):
        for label in re.finditer(r"s\d+", line):
            # behind a label comes a space, then its line
            waiting, seen = [(row, label.end() + 1, "r")], set()
            while waiting:
                at = waiting.pop()
                if at in seen:
                    continue
                seen.add(at)
                y, x, towards = at
                mark = lines[y][x] if x < len(lines[y]) else " "
                if mark == "▶":
                    found.add((label[0], re.match(r" (s\d+)", lines[y][x + 1 :])[1]))
                    continue
                if mark == "│" and towards in "lr":
                    # one line passes below another
                    waiting.append((y, x + MOVES[towards][1], towards))
                    continue
                leads = LEADS.get(mark, "")
                if BACK[towards] not in leads:
                    continue
                # lines lead down, up and to the right; what comes in from the left joins
                ways = leads.replace(BACK[towards], "").replace("l", "")
                waiting.extend((y + MOVES[way][0], x + MOVES[way][1], way) for way in ways)
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acyclic())
def test_a_drawing_can_be_read_back(edges):
    text = drawn(workflow(edges), width=1_000)
    wanted = {(need, step_id) for step_id, needs in edges.items() for need in needs}
    assert "level 1" in text or follow(text.splitlines()) == wanted


def test_dot_has_the_form_of_its_grammar(everything):
    text = dot.draw(graph_of(everything))
    assert text.startswith('digraph "shop.everything.v1" {\n')
    assert text.endswith("}\n")
    assert text.count("{") == text.count("}") == 4 + 1 - 1
    string = r'"(?:[^"\\]|\\.)*"'
    value = rf"(?:{string}|\w+)"
    attributes = rf"\[\w+={value}(?:, \w+={value})*\]"
    statement = re.compile(
        rf"\s*(?:n\d+ {attributes};|n\d+ -> n\d+(?: {attributes})?;|(?:node|edge) {attributes};"
        rf"|\w+={value};(?: \w+={value};)*"
        rf"|subgraph cluster_\d+ {{|}}|digraph {string} {{)"
    )  # fmt: skip
    for line in text.splitlines():
        assert statement.fullmatch(line), line
    assert "n1 -> n3 [style=dashed];" in text
    assert re.search(r'label="split .n\\n.*peripheries=2', text)
    assert 'label="on_failure";' in text


def test_mermaid_has_the_form_of_its_grammar(everything):
    text = mermaid.draw(graph_of(everything))
    lines = text.splitlines()
    assert lines[0] == "flowchart LR"
    label = r'"[^"]*"'
    statement = re.compile(
        rf"\s+(?:n\d+(?:\[{label}\]|\[/{label}/\]|\[\[{label}\]\]|\(\[{label}\]\)|\{{\{{{label}\}}\}})"
        rf"|n\d+ (?:-->|-\.->|--o) n\d+|subgraph part\d+\[{label}\]|end|style part\d+ [\w:# -]+"
        rf"|classDef \w+ [\w:#,% -]+|class n\d+(?:,n\d+)* \w+)"
    )
    for line in lines[1:]:
        assert statement.fullmatch(line), line
    assert lines.count("  end") == sum(line.startswith("  subgraph") for line in lines) == 3
    assert "  n1 -.-> n3" in lines
    assert "  class n3,n4,n5 fan_out" in lines


def test_labels_cannot_end_a_string():
    spec = workflow({"a": []}, name='x"; } <b>', a={"condition": 'inputs.a == "b\\" && `c` #1 <d>'})
    graph = graph_of(spec)
    assert 'if inputs.a == \\"b\\\\\\" && `c` #1 <d>' in dot.draw(graph)
    assert dot.draw(graph).startswith('digraph "x\\"; } <b>" {')
    assert "if inputs.a == #34;b#92;#34; #38;#38; #96;c#96; #35;1 #60;d#62;" in mermaid.draw(graph)


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({"for_each": [1, "${{ inputs.a }}"]}, 2),
        ({"for_each": "${{ inputs.list }}"}, 3),
        ({"for_each": "${{ inputs.other }}"}, None),
        ({"for_each": "${{ steps.a.result }}"}, None),
        ({"for_each": "${{ inputs.a }}"}, None),
        ({"for_each": "${{ fromJSON('[1, 2, 3, 4]') }}"}, 4),
        ({"for_each": "${{ inputs }}"}, None),
        ({"matrix": {"axes": {"x": [1, 2], "y": "${{ inputs.list }}"}}}, 6),
        ({"matrix": {"axes": {"x": [1, 2], "y": [3, 4]}, "exclude": [{"x": 1}]}}, 2),
        ({"matrix": {"axes": {"x": [1, 2]}, "include": [{"x": 1, "z": 9}, {"x": 7}, {"z": 1}]}}, 3),
        ({"matrix": {"axes": {"x": "${{ steps.a.result }}"}}}, None),
        ({"matrix": {"axes": {}, "include": [{"x": 1}, {"x": 2}]}}, 2),
        ({"matrix": {"axes": {"x": [1, 2]}, "exclude": [{}]}}, 2),
        ({"matrix": {"axes": dict.fromkeys("abcdef", "${{ range(1000) }}")}}, 10**18),
        ({"for_each": "${{ range(3) }}"}, 3),
        ({"for_each": "${{ fromJSON(format('[{0}]', hash(now ()))) }}"}, None),
        ({"for_each": "${{ fromJSON('[\"now()\"]') }}"}, 1),
    ],
)  # fmt: skip
def test_items_are_counted_where_the_inputs_tell(fields, count):
    assert items.count(step("s", 1, **fields), {"a": 1, "list": [1, 2, 3]}) == count


@pytest.mark.parametrize(("count", "seconds"), [(2_000, 1.0), (20_000, 8.0)])
def test_large_graphs_are_drawn_in_time(count, seconds):
    chance = random.Random(7)
    edges = {
        f"s{n}": sorted({f"s{chance.randrange(max(0, n - 200), n)}" for _ in range(3)}) if n else []
        for n in range(count)
    }
    spec = workflow(edges)

    def draw():
        graph = graph_of(spec)
        return [ascii.draw(graph, str), dot.draw(graph), mermaid.draw(graph)]

    assert cpu_seconds(draw, enough=seconds) < seconds
    drawings = draw()
    assert all(len(text.splitlines()) > count for text in drawings)
