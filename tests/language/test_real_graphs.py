"""Graphs of real workflows, read from beside the repository: each step once, none before its parents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.graphs import check, read

PLACES = [folder / "shared" / "data" / "wfinstances" for folder in Path(__file__).resolve().parents]
FILES = sorted(file for place in PLACES for file in place.glob("*.topology.json"))

pytestmark = pytest.mark.skipif(not FILES, reason="the graphs are not beside this checkout")


def test_each_step_of_a_real_graph_is_executed_once_and_after_its_parents(lang):
    graphs = [read(path) for path in FILES]
    runs = [lang.start(json.dumps(graph.document())) for graph in graphs]
    wrong, again = [], 0
    for graph, run in zip(graphs, runs, strict=True):
        assert lang.ended(run, timeout=60).state == "completed", graph.name
        faults, repeated = check(lang.sql, graph, run)
        wrong += faults
        again += repeated
    assert (wrong, again) == ([], 0)
    assert sum(len(graph.parents) for graph in graphs) > 1_000
