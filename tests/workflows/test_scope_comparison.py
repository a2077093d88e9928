"""Scopes of the cache: a result for one run, and a result for all."""

from __future__ import annotations

from tests.workflows.conftest import WORKFLOWS
from tributary_daemon.testing import Bench

FILE = WORKFLOWS / "scope_comparison.yaml"


def lines(path):
    return len(path.read_text().splitlines())


def test_a_run_keeps_its_own_results_and_all_share_the_others(example, tmp_path, server):
    example("scopes")
    by_run, by_all = tmp_path / "by_run.txt", tmp_path / "by_all.txt"
    with Bench(url=server) as bench:
        runs = [bench.run(FILE, {"out": str(tmp_path)}) for _ in range(3)]
        assert (lines(by_run), lines(by_all)) == (3, 1)
        for run in runs:
            assert [price["looked_up_by"] for price in run.result["of_this_run"]] == [run.id] * 3
            assert [price["looked_up_by"] for price in run.result["of_all_runs"]] == [runs[0].id] * 3
        other = bench.run(FILE, {"out": str(tmp_path), "article": "coffee"})
        assert other.result["of_all_runs"][0]["cents"] == 600
        bench.advance("1h1s")
        bench.run(FILE, {"out": str(tmp_path)})
        assert (lines(by_run), lines(by_all)) == (5, 3)
        fresh = bench.run(FILE, {"out": str(tmp_path)}, cache=False)
        assert fresh.result["of_all_runs"][0]["looked_up_by"] == fresh.id
        assert (lines(by_run), lines(by_all)) == (8, 6)


def test_it_runs(run_example, tmp_path):
    code, run = run_example("scope_comparison", handlers="scopes")
    assert (code, run["state"]) == (0, "completed"), run
    assert run["steps"]["of_all_runs"]["result"][2]["looked_up_by"] == run["id"]
    assert lines(tmp_path / "out" / "by_run.txt") == lines(tmp_path / "out" / "by_all.txt") == 1
    code, run = run_example("scope_comparison", "--no-cache", handlers="scopes")
    assert (code, lines(tmp_path / "out" / "by_run.txt")) == (0, 4)
