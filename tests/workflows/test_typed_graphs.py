"""Examples of inferred graphs: an enriched user by a real run; a batch with aggregates by its steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tributary_daemon.client.local import Local
from tributary_daemon.spec.builder import node_of
from tributary_daemon.spec.nodes import to_json
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.wants import expand_wants


def test_a_user_is_enriched(run_example):
    code, run = run_example("enriched_user", "-i", "id=ada_lovelace", handlers="people")
    assert (code, run["state"]) == (0, "completed"), run
    assert run["result"]["to"] == "ada_lovelace@example.org"
    assert run["result"]["text"].endswith(", Ada Lovelace")
    assert {step: told["needs"] for step, told in run["steps"].items()} == {
        "user_fetch_profile": [],
        "user_fetch_preferences": [],
        "user": ["user_fetch_profile", "user_fetch_preferences"],
        "greet": ["user"],
    }


def test_without_the_handlers_the_file_is_refused(trib):
    said = trib("validate", Path(__file__).resolve().parents[2] / "workflows" / "enriched_user.yaml")
    assert said.returncode == 3
    assert "no handler takes or makes a type people.EnrichedUser [TRB155]" in said.stderr
    assert "--import MODULE" in said.stderr


@pytest.fixture
def movies(example):
    return example("movies")


def test_a_batch_is_gone_over_and_aggregated(movies):
    problems = Problems("", "")
    written = {"all": {"want": "movies.Report", "given": {"list[movies.MovieID]": "${{ inputs.ids }}"}}}
    root = node_of({"steps": written}, problems)
    steps = to_json(expand_wants(root, ["steps"], Local(), problems)[0])["steps"]
    assert problems.finish(strict=True) == ()
    assert steps == {
        "all_look_up": {
            "task": "movies.look_up.v1",
            "for_each": "${{ inputs.ids }}",
            "with": "${{ item }}",
        },
        "all_stats": {"task": "movies.stats.v1", "with": {"movies": "${{ steps.all_look_up.result }}"}},
        "all_rate": {
            "task": "movies.rate.v1",
            "for_each": "${{ steps.all_look_up.result }}",
            "with": {"movie": "${{ item }}", "stats": "${{ steps.all_stats.result }}"},
        },
        "all": {
            "task": "movies.report.v1",
            "with": {"stats": "${{ steps.all_stats.result }}", "rated": "${{ steps.all_rate.result }}"},
        },
    }


def test_the_handlers_of_the_batch_fit_together(movies):
    found = [movies.look_up(movies.MovieID(number=number)) for number in range(1, 6)]
    stats = movies.stats(found)
    report = movies.report(stats, [movies.rate(movie, stats) for movie in found])
    assert stats.movies == 5
    assert 0 < len(report.long_ones) < 5
