"""Sub-workflows whose results are used again: one child run for all that ask, whoever dies meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.cache_servers import MariaServer, RedisServer, serving
from tests.daemon.test_step_cache import entries, priced, until
from tributary_daemon import Client, Worker, handler

QUOTE = """\
name: shop.quote.v1
inputs: {{article: {{type: string}}}}
steps:
  price:
    workflow: shop.price.v1
    with: {{article: "${{{{ inputs.article }}}}"}}
    cache: {cache}
---
name: shop.price.v1
inputs: {{article: {{type: string}}}}
steps:
  ask: {{task: {task}, with: {{article: "${{{{ inputs.article }}}}"{more}}}}}
result: {result}
"""
ASKED = '"${{ steps.ask.result }}"'
EACH = """\
name: shop.quotes.v1
steps:
  prices:
    for_each: [rice, rice, oats, rice]
    max_parallel: 1
    workflow: shop.price.v1
    with: {article: "${{ item }}"}
    cache: {scope: run}
---
"""
LOOP = """\
name: shop.loop.v1
inputs: {depth: {type: integer}}
steps:
  note: {task: t.price.v1, with: {article: "loop ${{ inputs.depth }}"}}
  again:
    if: inputs.depth > 0
    needs: note
    workflow: shop.turn.v1
    with: {depth: "${{ inputs.depth - 1 }}"}
"""
TURN = """\
name: shop.turn.v1
inputs: {depth: {type: integer}}
steps:
  turn:
    workflow: shop.loop.v1
    with: {depth: "${{ inputs.depth }}"}
    cache: {scope: global, key: same}
"""


def quote(task="t.price.v1", cache="{scope: global}", gate=None, result=ASKED):
    """Return a workflow with a step that calls another one, which is cached."""
    return QUOTE.format(task=task, cache=cache, more="" if gate is None else f", gate: {gate}", result=result)


def children(desk, *runs):
    """Return how many child runs these runs have started."""
    return desk.one("select count(*) from tributary.runs where parent_run_id = any (%s::uuid[])", list(runs))[
        0
    ]


def until_waits(desk, *runs):
    """Wait until the steps of these runs wait for what another one makes."""
    for run in runs:
        desk.wait(lambda run=run: desk.row(run, 1)[2] == "cache_wait", 20, "it waits")


@pytest.fixture
def team(desk, crew, tmp_path):
    """Return a function that starts a worker with cached handlers."""
    shutil.copy(Path(__file__).with_name("cached_handlers.py"), tmp_path / "cached_handlers.py")

    def start(*args, env=None, **more):
        # a busy machine is no outage
        return crew(
            "--import",
            "./cached_handlers.py",
            *args,
            env={"TRIB_CACHE_TIMEOUT": "40s", **(env or {})},
            **more,
        )

    return start


def test_a_hit_starts_no_child_run_and_a_changed_sub_workflow_is_another_key(shared):
    first = shared.run(quote(), {"article": "mint"})
    made = until(shared, first)
    again = shared.run(quote(), {"article": "mint"})
    assert until(shared, again, "cached") == made
    assert (made["article"], made["exact"]) == ("mint", 0.1)
    assert (children(shared, first), children(shared, again), priced(shared, "mint")) == (1, 0, 1)
    other = shared.run(quote(result='"${{ steps.ask.result.article }}"'), {"article": "mint"})
    assert until(shared, other) == "mint"
    assert priced(shared, "mint") == 2
    assert [(state, scope) for state, scope, *_ in entries(shared, "shop.price.v1")] == [
        ("filled", "global")
    ] * 2
    with Client(shared.url) as client:
        assert client.get(again).steps["price"].reason == "cached"
        assert [reason.code for reason in client.why(again, "price").reasons] == ["cached"]
        told = {
            run: [e.type for e in client.events(run).items if e.step == "price"] for run in (first, again)
        }
        assert sorted(told[again]) == ["step_cached", "step_completed"]
        assert set(told[first]) == {"step_started", "step_completed"}
        # from the beginning of its child run to its end
        step = client.get(first).steps["price"]
        child = client.get(client.get(first).steps["price"].child)
        assert step.started_at <= child.created_at
        assert step.attempt == 1


def test_who_asks_meanwhile_is_served_by_the_one_child_run(shared):
    text = quote(gate="ground")
    first = shared.run(text, {"article": "anise"})
    shared.noted("priced", count=1)
    shared.wait(lambda: priced(shared, "anise") == 1, 20, "it is at work")
    others = [shared.run(text, {"article": "anise"}) for _ in range(3)]
    until_waits(shared, *others)
    shared.open("ground")
    made = until(shared, first)
    assert [until(shared, run, "cached") for run in others] == [made] * 3
    assert (children(shared, first, *others), priced(shared, "anise")) == (1, 1)
    assert {shared.row(run, 1)[1] for run in (first, *others)} == {1}


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_who_fails_or_is_cancelled_is_followed_by_exactly_one_child_run(shared, end):
    article = f"basil {end}"
    text = quote("t.bad_price.v1", gate=f"gate-{end}")
    first = shared.run(text, {"article": article})
    shared.wait(lambda: priced(shared, article) == 1, 20, "it is at work")
    others = [shared.run(text, {"article": article}) for _ in range(3)]
    until_waits(shared, *others)
    if end == "failed":
        (shared.home / "spoilt").touch()
        shared.open(f"gate-{end}")
    else:
        with Client(shared.url) as client:
            client.cancel(first)
        shared.wait(lambda: priced(shared, article) == 2, 20, "another one is at work")
        shared.open(f"gate-{end}")
    shared.until_run(first, end)
    for run in others:
        shared.until_run(run, "completed")
    assert sorted(str(shared.row(run, 1)[2]) for run in others) == ["None", "cached", "cached"]
    assert (children(shared, *others), priced(shared, article)) == (1, 2)
    assert len({json.dumps(shared.result(run, 1)) for run in others}) == 1


def test_a_worker_that_is_killed_meanwhile_costs_no_second_child_run(desk, team):
    team("--name", "one"), team("--name", "two")
    text = quote(gate="gate")
    first = desk.run(text, {"article": "tea"})
    ((note),) = desk.noted("priced")
    others = [desk.run(text, {"article": "tea"}) for _ in range(3)]
    until_waits(desk, *others)
    os.kill(note["pid"], signal.SIGKILL)
    # the step of the child run goes on elsewhere; the run, and who holds the key, are what they were
    desk.noted("priced", count=2)
    desk.open()
    made = until(desk, first)
    assert [until(desk, run, "cached") for run in others] == [made] * 3
    assert children(desk, first, *others) == 1
    assert made["run"] == note["id"]


def test_items_of_a_fan_out_share_what_the_first_of_them_has_made(shared):
    run = shared.run(EACH + quote().partition("---\n")[2])
    shared.until_run(run, "completed")
    assert (children(shared, run), priced(shared, "rice", "oats")) == (2, 2)
    results = shared.result(run, 1)
    assert [result["article"] for result in results] == ["rice", "rice", "oats", "rice"]
    assert results[0] == results[1] == results[3]


def test_a_run_may_go_past_the_cache_and_a_key_may_stand_for_the_inputs(shared):
    keyed = quote(cache="{scope: global, ttl: 1h, key: 'of ${{ inputs.article }}'}", result="1")
    until(shared, shared.run(keyed, {"article": "sage"}))
    path = shared.home / "quote.yaml"
    path.write_text(keyed)
    with Client(shared.url) as client:
        fresh = str(client.submit(str(path), {"article": "sage"}, cache=False).id)
        until(shared, fresh)
    assert (children(shared, fresh), priced(shared, "sage")) == (1, 2)
    # the key stands for the revision, too
    assert (
        until(shared, shared.run(keyed.replace("result: 1", "result: 2"), {"article": "sage"}), "cached") == 1
    )


def test_a_sub_workflow_that_asks_for_what_it_makes_does_not_wait_for_itself(shared):
    for name, text in (("loop", LOOP), ("turn", TURN)):
        path = shared.home / f"{name}.yaml"
        path.write_text(text)
        shared.register(path)
    run = shared.run(TURN, {"depth": 2})
    shared.until_run(run, "completed")
    assert priced(shared, "loop 2", "loop 1", "loop 0") == 3
    assert shared.log().count("in_itself") == 2


def test_what_a_hook_keeps_elsewhere_is_served_from_there(database, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIB_LOG_LEVEL", "error")
    calls = []

    @handler("t.long.v1")
    def long(article: str) -> dict:
        calls.append(article)
        return {"text": article * 500}

    path = tmp_path / "quote.yaml"
    path.write_text(quote("t.long.v1"))
    blob = {"use": "blob", "url": str(tmp_path / "blobs"), "threshold": 100}
    with Client(database, hooks=[blob]) as client, Worker(client, drain_timeout=10):
        runs = [client.submit(str(path), {"article": "x"}).wait(40) for _ in range(2)]
    assert [run.steps["price"].reason for run in runs] == [None, "cached"]
    assert [run.steps["price"].result for run in runs] == [{"text": "x" * 500}] * 2
    assert calls == ["x"]


@pytest.fixture(scope="module")
def servers():
    """Servers of stores, by kind."""
    started = {}
    opened = []

    def start(kind):
        if kind not in started:
            opened.append(serving(MariaServer if kind == "mysql" else RedisServer))
            started[kind] = next(opened[-1])
        return started[kind]

    yield start
    for each in opened:
        next(each, None)


@pytest.mark.parametrize("kind", ["redis", "mysql", "sqlite", "memory"])
def test_every_store_keeps_results_of_child_runs(desk, team, servers, kind):
    url = {"sqlite": f"sqlite:///{desk.home / 'cache.db'}", "memory": "memory"}.get(kind) or servers(kind).url
    team(env={"TRIB_CACHE": url})
    text = quote(gate="gate")
    first = desk.run(text, {"article": "tea"})
    desk.noted("priced")
    other = desk.run(text, {"article": "tea"})
    until_waits(desk, other)
    desk.open()
    made = until(desk, first)
    assert until(desk, other, "cached") == made
    assert (children(desk, first, other), priced(desk, "tea")) == (1, 1)
    assert entries(desk, "shop.price.v1") == []
