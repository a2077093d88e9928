"""Batches as a worker does them: what is equal is done once, what fails leaves a gap, order is kept."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tributary_daemon.app import Client

EQUAL = """\
name: b.equal.v1
inputs: {titles: {type: list}}
steps:
  films:
    for_each: ${{ inputs.titles }}
    task: b.film.v1
    with: {title: "${{ item }}"}
    cache: {scope: run}
result: ${{ steps.films.result }}
"""
TYPED = """\
name: b.typed.v1
inputs: {titles: {type: list}}
steps:
  cards:
    want: list[Card]
    given: {"list[batch_handlers.Title]": "${{ inputs.titles }}"}
    cache: {scope: run}
    max_parallel: 3
    tolerate: 2
result: ${{ steps.cards.result }}
"""


@pytest.fixture
def batches(desk, crew, tmp_path):
    """A desk with a worker that has the handlers of batches."""
    shutil.copy(Path(__file__).with_name("batch_handlers.py"), tmp_path / "batch_handlers.py")
    # a busy machine is no outage of the cache
    crew("--import", "./batch_handlers.py", processes=2, env={"TRIB_CACHE_TIMEOUT": "40s"})
    known = "select count(*) from tributary.registry where name like 'b.%%'"
    desk.wait(lambda: desk.one(known) == (4,), 20, "the handlers are registered")
    return desk


def test_of_ten_thousand_items_a_hundred_that_differ_are_executed(batches):
    titles = [number % 100 for number in range(10_000)]
    run = batches.run(EQUAL, {"titles": titles})
    batches.until_run(run, "completed", timeout=180)
    with Client(batches.url) as client:
        assert client.get(run).result == [{"title": title, "minutes": title + 60} for title in titles]
    assert Counter(note["title"] for note in batches.notes("looked up")) == Counter(range(100))
    ended = "select count(*), max(attempt) from tributary.steps where run_id = %s and reason = 'cached'"
    assert batches.one(ended, run) == (9_900, 1)


def test_an_inferred_batch_does_equal_items_once_and_goes_on_without_those_that_fail(batches):
    run = batches.run(TYPED, {"titles": [{"title": title} for title in (5, -1, 7, 5, -2, 5, 9)]})
    batches.until_run(run, "completed", timeout=60)
    with Client(batches.url) as client:
        document = client.get(run)
        items = {step: client.items(run, step) for step in ("cards_film", "cards")}
    made = [None if title < 0 else {"title": title, "of": 5, "acts": 0} for title in (5, -1, 7, 5, -2, 5, 9)]
    assert document.result == made
    assert document.warnings == 2
    assert [item.state for item in items["cards_film"]].count("discarded") == 2
    # of what has failed nothing is made, and that is no failure more
    assert [item.state for item in items["cards"]].count("skipped") == 2
    assert document.steps["cards_evening"].result == {"films": 5, "minutes": 331}
    looked = Counter(note["title"] for note in batches.notes("looked up"))
    assert (looked[5], looked[7], looked[9]) == (1, 1, 1)
    assert Counter(note["title"] for note in batches.notes("carded")) == Counter((5, 7, 9))


def test_more_failures_than_are_tolerated_end_an_inferred_batch(batches):
    run = batches.run(TYPED, {"titles": [{"title": title} for title in (-1, -2, -3, 4)]})
    batches.until_run(run, "failed", timeout=60)
    with Client(batches.url) as client:
        document = client.get(run)
    assert (document.steps["cards_film"].state, document.steps["cards"].state) == ("discarded", "skipped")
    assert batches.notes("carded") == []
