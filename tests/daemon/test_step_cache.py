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


def priced(desk, *articles):
    """Return how often these articles were priced."""
    return sum(note["article"] in articles for note in desk.notes("priced"))


def entries(desk, name="t.price.v1"):
    """Return what is in the relation of a handler."""
    return desk.sql.execute(
        "select state, scope, version, expires_at is null from tributary.step_cache where step_name = %s",
        (name,),
    ).fetchall()


def test_a_global_result_is_made_once_and_told_as_such(shared):
    first = shared.run(price(), {"article": "tea"})
    made = until(shared, first)
    again = shared.run(price(), {"article": "tea"})
    assert until(shared, again, "cached") == made == {"article": "tea", "run": first, "exact": 0.1}
    other = shared.run(price(), {"article": "jam"})
    assert until(shared, other)["run"] == other
    assert priced(shared, "tea") == priced(shared, "jam") == 1
    state, scope, version, for_ever = entries(shared)[0]
    assert (state, scope, for_ever) == ("filled", "global", True)
    assert version.startswith("source:")
    with Client(shared.url) as client:
        document = client.get(again)
        assert document.steps["price"].reason == "cached"
        assert [reason.code for reason in client.why(again, "price").reasons] == ["cached"]
        told = [event.type for event in client.events(again).items if event.step == "price"]
        assert sorted(told) == ["step_cached", "step_completed"]


def test_who_asks_meanwhile_is_served_by_the_one_execution(shared):
    text = price(gate="ripe")
    first = shared.run(text, {"article": "pear"})
    shared.noted("priced", first)
    others = [shared.run(text, {"article": "pear"}) for _ in range(3)]
    for run in others:
        shared.wait(lambda run=run: shared.row(run, 1)[2] == "cache_wait", 20, "it waits")
    with Client(shared.url) as client:
        assert client.why(others[0], "price").reasons[0].code in {"cache_wait", "ready", "running"}
    shared.open("ripe")
    until(shared, first)
    results = [until(shared, run, "cached") for run in others]
    assert [result["run"] for result in results] == [first] * 3
    assert priced(shared, "pear") == 1
    # whoever waited has used no attempt for that
    assert {shared.row(run, 1)[1] for run in others} == {1}


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
    assert priced(desk, "tea") == 2
    assert len({json.dumps(desk.result(run, 1)) for run in runs}) == 1
    assert sorted(str(desk.row(run, 1)[2]) for run in runs) == ["None", *["cached"] * 4]
    assert one.process.poll() is None
    assert two.process.poll() is None


def test_errors_are_not_kept(shared):
    text = price("t.flaky_price.v1")
    for count in (1, 2):
        shared.until_run(shared.run(text, {"article": "fig"}), "failed")
        assert priced(shared, "fig") == count
    assert entries(shared, "t.flaky_price.v1") == []
    shared.open("cheap")
    until(shared, shared.run(text, {"article": "fig"}))
    until(shared, shared.run(text, {"article": "fig"}), "cached")
    assert priced(shared, "fig") == 3


def test_other_code_or_another_version_makes_other_results(desk, counter, tmp_path):
    desk.sql.execute(
        "insert into tributary.step_cache"
        " (shard, key, step_name, scope, state, value, created_at, expires_at)"
        " values (0, 'old', 't.old.v1', 'global', 'filled', '1', now(), now())"
    )
    worker = counter()
    until(desk, desk.run(price(), {"article": "tea"}))
    # the leader has removed what had expired
    desk.wait(lambda: entries(desk, "t.old.v1") == [], 20, "it is removed")
    stop(worker)
    module = tmp_path / "cached_handlers.py"
    module.write_text(module.read_text().replace('"exact": 0.1', '"exact": 0.2'))
    # bytecode counts as current while second and size are the same, and a worker starts within a second
    os.utime(module, (0, 0))
    worker = counter()
    assert until(desk, desk.run(price(), {"article": "tea"}))["exact"] == 0.2
    stop(worker)
    counter(env={"PRICE_VERSION": "2"})
    until(desk, desk.run(price(), {"article": "tea"}))
    until(desk, desk.run(price(), {"article": "tea"}), "cached")
    assert priced(desk, "tea") == 3
    assert {row[2] for row in entries(desk)} >= {"2"}


def test_a_key_of_its_own_stands_for_version_and_input(shared):
    text = price(cache='{scope: global, key: "day-${{ run.labels.day }}"}')
    path = shared.home / "keyed.yaml"
    path.write_text(text)
    with Client(shared.url) as client:

        def bought(article, day):
            run = client.submit(str(path), {"article": article}, labels={"day": day})
            return run.wait(timeout=20).steps["price"].result["article"]

        assert bought("rye", "mon") == "rye"
        assert bought("oat", "mon") == "rye"
        assert bought("oat", "tue") == "oat"
        path.write_text(text.replace("day-${{ run.labels.day }}", "${{ run.labels.no ?? '' }}"))
        empty = client.submit(str(path), {"article": "rye"})
        shared.until_run(str(empty.id), "failed")
        # all results would share it
        assert "the key of a cache is empty" in client.get(str(empty.id)).error.message


def test_scope_run_serves_the_items_of_one_run_and_no_other(shared):
    text = """\
name: shop.prices.v1
steps:
  prices:
    for_each: [egg, ham, egg, egg]
    max_parallel: 2
    task: t.price.v1
    with: {article: "${{ item }}"}
    cache: {scope: run}
"""
    for count in (2, 4):
        shared.until_run(shared.run(text), "completed")
        assert priced(shared, "egg", "ham") == count
    own = [row for row in entries(shared) if row[1] == "run"]
    assert len(own) == 4
    assert not any(row[3] for row in own)


def test_a_run_may_go_past_the_cache(shared):
    until(shared, shared.run(price(), {"article": "nut"}))
    path = shared.home / "price.yaml"
    path.write_text(price())
    with Client(shared.url) as client:
        fresh = client.submit(str(path), {"article": "nut"}, cache=False)
        fresh.wait(timeout=20)
        assert shared.result(str(fresh.id), 1)["run"] == str(fresh.id)
    # what it made is nobody else's
    assert until(shared, shared.run(price(), {"article": "nut"}), "cached")["run"] != str(fresh.id)
    assert priced(shared, "nut") == 2


def test_async_and_isolated_handlers_and_shell_steps_are_cached_too(shared):
    before = shared.one("select count(*) from effects")[0]
    shell = SHELL.replace("SAID", str(shared.home / "said"))
    for text in (price("t.async_price.v1"), price("t.alone_price.v1"), shell):
        inputs = {"article": "soy"} if "inputs" in text else {}
        result = until(shared, shared.run(text, inputs))
        assert until(shared, shared.run(text, inputs), "cached") == result
    assert priced(shared, "soy") == 2
    assert shared.one("select count(*) from effects")[0] == before + 1
    assert (shared.home / "said").read_text() == "x\n"


def test_what_has_expired_is_made_anew(shared):
    text = price(cache="{scope: global, ttl: 1h}")
    until(shared, shared.run(text, {"article": "kale"}))
    until(shared, shared.run(text, {"article": "kale"}), "cached")
    shared.sql.execute(
        "update tributary.step_cache set expires_at = now() - interval '1s'"
        " where scope = 'global' and expires_at is not null"
    )
    until(shared, shared.run(text, {"article": "kale"}))
    until(shared, shared.run(text, {"article": "kale"}), "cached")
    assert priced(shared, "kale") == 2
