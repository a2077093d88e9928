"""Names: what a worker offers, what it claims, what waits for somebody who offers it."""

from __future__ import annotations

import sys

import pytest

from tributary_daemon import Worker
from tributary_daemon.app import Client


def test_a_name_nobody_offered_waits_and_moves_to_its_own_queue_when_it_is_offered(desk, crew):
    run = desk.submit("t.media.v1")
    own = desk.submit("t.media.v1", max_attempts=2)
    assert desk.row(run)[::2] == ("waiting", "no_handler")
    crew("--queues", "default,media")
    desk.until(run, "completed")
    columns = "select queue, priority, max_attempts from tributary.steps where run_id = %s"
    assert desk.one(columns, run) == ("media", 7, 9)
    desk.until(own, "completed")
    assert desk.one(columns, own) == ("media", 7, 2)


def test_only_names_that_fit_the_patterns_are_claimed(desk, crew):
    crew("--names", "billing.%")
    other, mine = desk.submit("t.note.v1"), desk.submit("billing.charge.v1")
    desk.until(mine, "completed")
    assert desk.state(other) in {"available", "waiting"}
    assert desk.one("select names from tributary.workers")[0] == ["billing.charge.v1"]
    crew("--name", "all")
    desk.until(other, "completed")


@pytest.fixture
def in_process(desk, monkeypatch):
    monkeypatch.chdir(desk.home)
    monkeypatch.setenv("TRIB_DATABASE_URL", desk.url)
    with Client(desk.url) as client:
        yield client
    assert not [
        thread for thread in sys.modules["threading"].enumerate() if thread.name.startswith("handler-")
    ]


def test_a_worker_in_the_callers_process(desk, in_process):
    with Worker(in_process, queues=["default", "heavy:1"], name="inside"):
        ids = [desk.submit("trib.noop.v1", {"n": n}) for n in range(50)]
        nap = desk.submit("trib.sleep.v1", {"seconds": 0.05})
        flow = desk.run("name: shop.inside.v1\nsteps:\n  a: {task: trib.noop.v1}\nresult: {ok: true}\n")
        for run in [*ids, nap]:
            desk.until(run, "completed")
        desk.until_run(flow, "completed")
    assert desk.one("select count(*) from tributary.workers") == (0,)
    assert desk.one("select count(*) from tributary.processes") == (0,)
    assert [desk.result(run) for run in ids] == [{"n": n} for n in range(50)]
