"""Real workers: what they are told they do, what they show is true, and their health tells it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import urllib.error
import urllib.request

import pytest

from tests.daemon.proxies import Gate
from tributary_daemon.app import AsyncClient, Client
from tributary_daemon.errors import InvalidInput, NotFound, NotPossible


@pytest.fixture
def client(database):
    with Client(database) as opened:
        yield opened


@pytest.fixture
def healthy(crew):
    """Return a function that starts a worker with an endpoint, and one that asks it."""

    def start(*args, **more):
        running = crew("--health", "127.0.0.1:0", *args, **more)
        address = re.search(r'"address": "([^"]+)"', running.log())[1]

        def ask(path="/readyz"):
            try:
                with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, json.load(error)

        running.ask = ask
        running.address = address
        return running

    return start


def beats(desk, client, count):
    """Wait for so many beats of the only worker."""
    for _ in range(count):
        beat_at = client.workers()[0].beat_at
        desk.wait(lambda since=beat_at: client.workers()[0].beat_at > since, 10, "it beats")


def reasons(worker):
    status, document = worker.ask()
    return "" if status == 200 else "; ".join(document["reasons"])


def test_a_paused_worker_claims_nothing_until_it_is_resumed(desk, healthy, client):
    worker = healthy("--name", "calm")
    desk.until(desk.submit("t.note.v1"), "completed")
    # what woke it is over
    beats(desk, client, 2)
    (told,) = client.command_worker("calm", "pause")
    desk.wait(lambda: client.workers()[0].state == "paused", 10, "it is paused")
    assert client.workers()[0].id == told
    waiting = desk.submit("t.note.v1")
    desk.wait(lambda: "paused" in reasons(worker), 10, "its health says so")
    assert worker.ask("/healthz")[0] == 200
    beats(desk, client, 2)
    assert desk.row(waiting)[:2] == ("available", 0)
    client.command_worker("calm", "resume")
    desk.until(waiting, "completed")
    desk.wait(lambda: reasons(worker) == "", 10, "it is ready again")


def test_a_drain_from_elsewhere_ends_a_worker_and_a_stop_escalates_it(desk, healthy, client):
    worker = healthy("--name", "old")
    run = desk.submit("t.hold.v1", {"gate": "gate"})
    desk.noted("began", run)
    client.command_worker("old", "drain")
    desk.wait(lambda: client.workers()[0].state == "draining", 10, "it drains")
    desk.wait(lambda: "drains" in reasons(worker), 10, "its health says so")
    assert worker.ask("/healthz")[0] == 200
    late = desk.submit("t.note.v1")
    with pytest.raises(NotPossible, match="cannot be undone"):
        client.command_worker("old", "resume")
    client.command_worker("old", "stop")
    assert worker.process.wait(10) == 0
    assert desk.row(run)[:2] == ("available", 0)
    assert desk.row(late)[:2] == ("available", 0)
    assert client.workers() == ()
    with pytest.raises(NotFound, match="there is no worker 'old'"):
        client.command_worker("old", "drain")


def test_a_drain_finishes_what_runs(desk, healthy, client):
    worker = healthy("--name", "old")
    run = desk.submit("t.hold.v1", {"gate": "gate"})
    desk.noted("began", run)
    client.command_worker("old", "drain")
    desk.wait(lambda: "worker draining" in worker.log(), 10, "it drains")
    desk.open()
    assert worker.process.wait(20) == 0
    assert desk.row(run)[:2] == ("completed", 1)


def test_a_worker_shows_its_processes_and_what_they_run(desk, crew, client):
    worker = crew("--name", "busy", "--concurrency", "3", processes=2)
    ids = [desk.submit("t.hold.v1", {"gate": "gate"}) for _ in range(4)]
    desk.noted("began", count=4)
    desk.wait(
        lambda: len(client.workers()[0].processes) == 2
        and all(process.rss and process.slots for process in client.workers()[0].processes)
        and sum(len(process.current) for process in client.workers()[0].processes) == len(ids),
        20, "both have said what they are and what they run",
    )  # fmt: skip
    (shown,) = client.workers()
    assert (shown.pid, shown.wanted, shown.state) == (worker.pid, 2, "running")
    assert [process.slots for process in shown.processes] == [3, 3]
    assert {process.pid for process in shown.processes} == {note["pid"] for note in desk.notes("began")} | {
        process.pid for process in shown.processes if not process.running
    }
    assert all(process.rss > 1 << 20 for process in shown.processes)
    current = [item for process in shown.processes for item in process.current]
    assert {item.id for item in current} == set(ids)
    assert {item.name for item in current} == {"t.hold.v1"}
    desk.open()


def test_the_database_away_lives_and_is_not_ready_and_comes_back(desk, healthy, database):
    with Gate(database) as gate:
        worker = healthy("--name", "far", env={"TRIB_DATABASE_URL": gate.url})
        assert reasons(worker) == ""
        gate.shut()
        desk.wait(lambda: "the database has not answered" in reasons(worker), 20, "it says so")
        status, document = worker.ask("/healthz")
        assert (status, document["status"]) == (200, "live")
        assert not document["database"]["reachable"]
        gate.open()
        desk.wait(lambda: reasons(worker) == "", 30, "it is ready again")
    assert worker.process.poll() is None


def test_a_child_that_was_killed_is_missed_and_replaced(desk, healthy):
    worker = healthy("--name", "one")
    (before,) = worker.ask()[1]["processes"]["claiming"]
    os.kill(before, signal.SIGKILL)
    desk.wait(
        lambda: worker.ask()[0] == 200 and before not in worker.ask()[1]["processes"]["claiming"],
        20, "another one claims",
    )  # fmt: skip


def test_a_child_that_stands_still_is_told_before_it_is_killed(desk, healthy):
    worker = healthy("--name", "stiff", env={"TRIB_SILENCE_LIMIT": "6s"})
    (pid,) = worker.ask()[1]["processes"]["claiming"]
    os.kill(pid, signal.SIGSTOP)
    desk.wait(lambda: f"process {pid} has been silent" in reasons(worker), 20, "it says so")
    assert worker.ask("/healthz")[0] == 200
    desk.wait(lambda: reasons(worker) == "", 30, "another one claims")
    assert "process stuck" in worker.log()


def test_children_that_die_as_they_start_are_told(desk, healthy):
    worker = healthy("--name", "storm")

    def kill_again():
        for process in worker.ask()[1]["processes"].values():
            for pid in process if isinstance(process, list) else ():
                if isinstance(pid, int):
                    # the report may be a moment old
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        return "times in a row" in reasons(worker)

    desk.wait(kill_again, 30, "it says that they die")
    assert worker.ask("/healthz")[0] == 200
    desk.wait(lambda: reasons(worker) == "", 60, "it comes to rest")


def test_a_worker_that_was_fenced_stays_paused(desk, healthy, client):
    worker = healthy("--name", "fenced")
    (former,) = client.command_worker("fenced", "pause")
    desk.wait(lambda: client.workers()[0].state == "paused", 10, "it is paused")
    desk.sql.execute("delete from tributary.processes")
    desk.sql.execute("delete from tributary.workers")
    desk.wait(lambda: client.workers() and client.workers()[0].state == "paused", 20, "it is back, paused")
    assert client.workers()[0].id != former
    assert client.workers()[0].command == "pause"
    assert "worker fenced" in worker.log()


def test_a_silent_worker_is_shown_as_gone_and_is_not_told(desk, crew, client, frozen):
    worker = crew("--name", "mute")
    with frozen(worker.pid):
        desk.sql.execute("update tributary.workers set beat_at = beat_at - interval '11 seconds'")
        (shown,) = client.workers()
        assert (shown.state, shown.alive) == ("gone", False)
        assert shown.beat_age > 11
        with pytest.raises(NotFound, match="is gone"):
            client.command_worker("mute", "pause")
    desk.wait(lambda: client.workers()[0].alive, 20, "it beats again")


async def told(url, name, command):
    async with AsyncClient(url) as client:
        return await client.command_worker(name, command), await client.fleet()


def test_asyncio_tells_workers_too(desk, crew, database, client):
    crew("--name", "either")
    ids, facts = asyncio.run(told(database, "either", "pause"))
    assert [worker.id for worker in client.workers()] == list(ids)
    assert facts.to_json()["unoffered"] == []
    with pytest.raises(InvalidInput, match="'sleep' is no command"):
        client.command_worker("either", "sleep")


def test_a_taken_port_is_refused_at_the_start(healthy, crew, trib):
    first = healthy()
    done = trib("worker", "--health", first.address)
    assert done.returncode == 2
    assert f"cannot listen on {first.address}" in done.stderr
    assert "hint: perhaps another worker" in done.stderr
