"""What `make graphs` says of recorded times: it sees the faults that it is there to see."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from bench.graphs import Graph, check, layered, read

GRAPH = Graph("graphs.pair.v1", {"above": [], "below": ["above"]})


class Rows:
    """A connection that answers any query with these rows."""

    def __init__(self, *rows):
        self._rows = rows

    def execute(self, *_):
        return self

    def fetchall(self):
        return self._rows


def row(step, began, ended, *, state="completed", attempt=1):
    at = lambda second: datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)  # noqa: E731
    return step, state, attempt, 0, at(began), at(ended)


def test_a_child_that_begins_after_its_parents_is_well():
    assert check(Rows(row("above", 1, 2), row("below", 2, 3)), GRAPH, "run") == ([], 0)
    assert check(Rows(row("above", 1, 2), row("below", 2, 3, attempt=2)), GRAPH, "run") == ([], 1)


@pytest.mark.parametrize(
    ("below", "said"),
    [
        (row("below", 1, 3), "below began"),
        (row("below", 3, 2), "below ended"),
        (row("below", 3, 4, state="skipped"), "below is skipped"),
        (row("below", 3, 4, attempt=3), "after 3 attempts"),
        (row("other", 3, 4), "other steps"),
    ],
)
def test_each_fault_is_named(below, said):
    (wrong,), _ = check(Rows(row("above", 1, 2), below), GRAPH, "run")
    assert said in wrong


def test_ids_become_those_of_steps_and_stay_apart(tmp_path):
    path = tmp_path / "some-graph.topology.json"
    tasks = [
        {"id": "a.b", "parents": []},
        {"id": "a:b", "parents": ["a.b"]},
        {"id": "1", "parents": ["a:b", "a.b"]},
    ]
    path.write_text(json.dumps({"tasks": tasks}))
    graph = read(path)
    assert (graph.name, graph.parents) == (
        "graphs.some_graph.v1", {"a_b": [], "a_b_2": ["a_b"], "t1": ["a_b", "a_b_2"]},
    )  # fmt: skip


def test_the_layered_graph_is_the_same_each_time():
    graph = layered(3, 4)
    assert graph == layered(3, 4)
    assert [len(parents) for parents in graph.parents.values()] == [0] * 4 + [2] * 8
