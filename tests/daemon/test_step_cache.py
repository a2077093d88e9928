"""Results that are used again: one execution for all that ask, whatever becomes of who makes it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tributary_daemon.app import Client

PRICE = """\
name: shop.price.v1
inputs: {{article: {{type: string}}}}
steps:
  price:
    task: {task}
    with: {{article: "${{{{ inputs.article }}}}"{more}}}
    cache: {cache}
"""


SHELL = """\
steps:
  say:
    run: |
      echo x >> SAID
      echo n=1 >> "$TRIB_OUTPUT"
    cache: {scope: global}
"""


def price(task="t.price.v1", cache="{scope: global}", gate=None):
    """Return a workflow with one step that is cached."""
    return PRICE.format(task=task, cache=cache, more="" if gate is None else f", gate: {gate}")


@pytest.fixture
def counter(desk, crew, tmp_path):
    """Return a function that starts a worker with cached handlers."""
    shutil.copy(Path(__file__).with_name("cached_handlers.py"), tmp_path / "cached_handlers.py")

    def start(*args, env=None, **more):
        # a busy machine is no outage
        patient = {"TRIB_CACHE_TIMEOUT": "40s", **(env or {})}
        return crew("--import", "./cached_handlers.py", *args, env=patient, **more)

    return start


def until(desk, run, reason=None):
    """Wait for the end of a run; return the result of its step, and check where it came from."""
    desk.until_run(run, "completed")
    assert desk.row(run, 1)[2] == reason
    return desk.result(run, 1)


def stop(worker):
    """Drain a worker."""
    worker.process.terminate()
    worker.process.wait(20)


def entries(desk):
    """Return what is in the relation, by handler."""
    return desk.sql.execute(
        "select step_name, state, scope, version, expires_at is null from tributary.step_cache order by 1, 2"
    ).fetchall()


def test_a_global_result_is_made_once_and_told_as_such(desk, counter):
    counter()
    first = desk.run(price(), {"article": "tea"})
    made = until(desk, first)
    again = desk.run(price(), {"article": "tea"})
    assert until(desk, again, "cached") == made == {"article": "tea", "run": first, "exact": 0.1}
    other = desk.run(price(), {"article": "jam"})
    assert until(desk, other)["run"] == other
    assert [note["article"] for note in desk.notes("priced")] == ["tea", "jam"]
    ((name, state, scope, version, for_ever), _) = entries(desk)
    assert (name, state, scope, for_ever) == ("t.price.v1", "filled", "global", True)
    assert version.startswith("source:")
    with Client(desk.url) as client:
        document = client.get(again)
        assert document.steps["price"].reason == "cached"
        assert [reason.code for reason in client.why(again, "price").reasons] == ["cached"]
        told = [event.type for event in client.events(again).items if event.step == "price"]
        assert told == ["step_cached", "step_completed"]


def test_who_asks_meanwhile_is_served_by_the_one_execution(desk, counter):
    counter(processes=2)
    text = price(gate="gate")
    first = desk.run(text, {"article": "tea"})
    desk.noted("priced", first)
    others = [desk.run(text, {"article": "tea"}) for _ in range(3)]
    for run in others:
        desk.wait(lambda run=run: desk.row(run, 1)[2] == "cache_wait", 20, "it waits")
    with Client(desk.url) as client:
        assert client.why(others[0], "price").reasons[0].code == "cache_wait"
    desk.open()
    until(desk, first)
    results = [until(desk, run, "cached") for run in others]
    assert [result["run"] for result in results] == [first] * 3
    assert len(desk.notes("priced")) == 1
    # whoever waited has used no attempt for that
    assert {desk.row(run, 1)[1] for run in others} == {1}


def test_who_is_killed_is_followed_by_exactly_one_execution(desk, counter):
    one, two = counter("--name", "one"), counter("--name", "two")
    text = price(gate="gate")
    runs = [desk.run(text, {"article": "tea"})]
    ((note),) = desk.noted("priced", runs[0])
    runs += [desk.run(text, {"article": "tea"}) for _ in range(4)]
    for run in runs[1:]:
        desk.wait(lambda run=run: desk.row(run, 1)[2] == "cache_wait", 20, "it waits")
    os.kill(note["pid"], signal.SIGKILL)
    desk.noted("priced", count=2)
    desk.open()
    for run in runs:
        desk.until_run(run, "completed")
    assert len(desk.notes("priced")) == 2
    assert len({json.dumps(desk.result(run, 1)) for run in runs}) == 1
    assert sorted(str(desk.row(run, 1)[2]) for run in runs) == ["None", *["cached"] * 4]
    assert one.process.poll() is None
    assert two.process.poll() is None


def test_errors_are_not_kept(desk, counter):
    counter()
    text = price("t.flaky_price.v1")
    for count in (1, 2):
        desk.until_run(desk.run(text, {"article": "tea"}), "failed")
        assert len(desk.notes("priced")) == count
    assert entries(desk) == []
    desk.open("cheap")
    until(desk, desk.run(text, {"article": "tea"}))
    until(desk, desk.run(text, {"article": "tea"}), "cached")
    assert len(desk.notes("priced")) == 3


def test_other_code_or_another_version_makes_other_results(desk, counter, tmp_path):
    worker = counter()
    until(desk, desk.run(price(), {"article": "tea"}))
    stop(worker)
    module = tmp_path / "cached_handlers.py"
    module.write_text(module.read_text().replace('"exact": 0.1', '"exact": 0.2'))
    worker = counter()
    assert until(desk, desk.run(price(), {"article": "tea"}))["exact"] == 0.2
    stop(worker)
    worker = counter(env={"PRICE_VERSION": "2"})
    until(desk, desk.run(price(), {"article": "tea"}))
    until(desk, desk.run(price(), {"article": "tea"}), "cached")
    assert len(desk.notes("priced")) == 3
    assert {row[3] for row in entries(desk)} >= {"2"}


def test_a_key_of_its_own_stands_for_version_and_input(desk, counter):
    counter()
    text = price(cache='{scope: global, key: "day-${{ run.labels.day }}"}')
    labels = {"day": "mon"}
    with Client(desk.url) as client:
        path = desk.home / "keyed.yaml"
        path.write_text(text)
        first = client.submit(str(path), {"article": "tea"}, labels=labels)
        first.wait(timeout=20)
        second = client.submit(str(path), {"article": "jam"}, labels=labels)
        assert second.wait(timeout=20).steps["price"].result["article"] == "tea"
        third = client.submit(str(path), {"article": "jam"}, labels={"day": "tue"})
        assert third.wait(timeout=20).steps["price"].result["article"] == "jam"
        path.write_text(text.replace("day-${{ run.labels.day }}", "${{ run.labels.no ?? '' }}"))
        empty = client.submit(str(path), {"article": "x"})
        desk.until_run(str(empty.id), "failed")
        # all results would share it
        assert "the key of a cache is empty" in client.get(str(empty.id)).error.message


def test_scope_run_serves_the_items_of_one_run_and_no_other(desk, counter):
    counter()
    text = """\
name: shop.prices.v1
steps:
  prices:
    for_each: [tea, jam, tea, tea]
    max_parallel: 2
    task: t.price.v1
    with: {article: "${{ item }}"}
    cache: {scope: run}
"""
    for count in (2, 4):
        run = desk.run(text)
        desk.until_run(run, "completed")
        assert len(desk.notes("priced")) == count
    assert {row[2] for row in entries(desk)} == {"run"}
    assert not any(row[4] for row in entries(desk))


def test_a_run_may_go_past_the_cache(desk, counter):
    counter()
    until(desk, desk.run(price(), {"article": "tea"}))
    path = desk.home / "price.yaml"
    path.write_text(price())
    with Client(desk.url) as client:
        fresh = client.submit(str(path), {"article": "tea"}, cache=False)
        fresh.wait(timeout=20)
        assert desk.result(str(fresh.id), 1)["run"] == str(fresh.id)
    # what it made is nobody else's
    assert until(desk, desk.run(price(), {"article": "tea"}), "cached")["run"] != str(fresh.id)
    assert len(desk.notes("priced")) == 2


def test_async_and_isolated_handlers_and_shell_steps_are_cached_too(desk, counter):
    counter("--enable-shell")
    shell = SHELL.replace("SAID", str(desk.home / "said"))
    for text in (price("t.async_price.v1"), price("t.alone_price.v1"), shell):
        inputs = {"article": "tea"} if "inputs" in text else {}
        result = until(desk, desk.run(text, inputs))
        assert until(desk, desk.run(text, inputs), "cached") == result
    assert len(desk.notes("priced")) == 2
    assert desk.one("select count(*) from effects")[0] == 1
    assert (desk.home / "said").read_text() == "x\n"


def test_what_has_expired_is_made_anew_and_removed(desk, counter):
    counter()
    text = price(cache="{scope: global, ttl: 1h}")
    until(desk, desk.run(text, {"article": "tea"}))
    until(desk, desk.run(text, {"article": "tea"}), "cached")
    desk.sql.execute("update tributary.step_cache set expires_at = now() - interval '1s'")
    until(desk, desk.run(text, {"article": "tea"}))
    until(desk, desk.run(text, {"article": "tea"}), "cached")
    assert len(desk.notes("priced")) == 2
