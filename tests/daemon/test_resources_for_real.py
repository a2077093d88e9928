"""Resources in real workers: opened once in each process, closed when it drains or is recycled."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Annotated

import pytest

from tributary_daemon import Client, Use, Worker, events, handler, resource
from tributary_daemon.daemon import isolation
from tributary_daemon.testing import override

HANDLERS = Path(__file__).with_name("resource_handlers.py")


@pytest.fixture
def equipped(worker, tmp_path):
    """Return a function that starts a worker with the handlers of this module."""
    shutil.copy(HANDLERS, tmp_path / "resource_handlers.py")
    return lambda *args: worker("--import", "./resource_handlers.py", *args)


def test_once_in_each_process_and_closed_in_the_reverse_order_by_a_drain(desk, equipped):
    worker = equipped("--processes", "2", "--concurrency", "4")
    ids = [desk.submit(name, {"gate": "gate"}) for name in ("res.charge.v1", "res.call.v1") for _ in range(8)]
    scratch, failing = desk.submit("res.scratch.v1"), desk.submit("res.scratch.v1", {"fail": True})
    late = desk.submit("res.late.v1")
    # both processes are full before any of them may go on
    desk.wait(lambda: len(desk.notes("charged") + desk.notes("called")) >= 8, 40, "both work")
    desk.open()
    for run in [*ids, scratch, late]:
        desk.until(run, "completed", 40)
    desk.until(failing, "discarded")
    assert desk.result(late) == "late"
    (error,) = desk.errors(late)[:1]
    assert error[3].endswith("late did not open: ConnectionRefusedError: not yet")
    assert desk.errors(failing)[-1][3] == "bad"
    for run in (scratch, failing):
        assert [n["what"] for n in desk.notes(run_id=run)] == ["scratch opened", "scratch closed"]
    assert desk.notes("bank closed") == []
    assert worker.stop() == 0
    for pid in {note["pid"] for note in desk.notes()}:
        mine = [
            n["what"] for n in desk.notes() if n["pid"] == pid and n["what"].endswith(("opened", "closed"))
        ]
        mine = [what for what in mine if not what.startswith("scratch")]
        opened = [what.split()[0] for what in mine if what.endswith("opened")]
        assert opened[:1] in ([], ["config"])
        assert len(set(opened)) == len(opened), "each once"
        closed = [f"{name} closed" for name in reversed(opened)]
        assert mine == [*(f"{name} opened" for name in opened), *closed]
    assert len(desk.notes("config opened")) == 2


def test_isolated_attempts_have_their_own_and_keep_their_outcome(desk, equipped):
    equipped("--processes", "1")
    ids = [desk.submit(name) for name in ("res.alone.v1", "res.aalone.v1")]
    deadly = desk.submit("res.deadly.v1")
    for run in [*ids, deadly]:
        desk.until(run, "completed", 60)
    pids = [desk.result(run)["pid"] for run in ids]
    assert len(set(pids)) == 2
    for pid in pids:
        mine = Counter(note["what"] for note in desk.notes() if note["pid"] == pid)
        assert set(mine.values()) == {1}
        assert mine["config opened"] == mine["config closed"] == 1
    assert len(desk.notes("deadly closes")) == 1
    assert desk.result(deadly) == 1
    assert desk.row(deadly)[3] == 0, "that is no crash of the attempt"


def test_a_recycled_process_closes_and_a_killed_one_does_not_and_an_orphan_does(desk, equipped):
    worker = equipped("--processes", "1", "--recycle-steps", "4")
    first = desk.submit("res.charge.v1")
    desk.until(first, "completed")
    old = desk.result(first)["pid"]

    def another():
        run = desk.submit("res.charge.v1")
        desk.until(run, "completed")
        return desk.result(run)["pid"] != old and desk.result(run)["pid"]

    pid = desk.wait(another, 60, "another process works")
    closed = desk.noted("config closed", timeout=30)
    assert [note["pid"] for note in closed] == [old]
    held = desk.submit("res.charge.v1", {"gate": "gate"})
    (charged,) = desk.noted("charged", held)
    os.kill(charged["pid"], signal.SIGKILL)
    desk.open()
    desk.until(held, "completed", 60)
    assert charged["pid"] not in [note["pid"] for note in desk.notes("bank closed")]
    assert pid != old
    last = desk.submit("res.charge.v1")
    desk.until(last, "completed", 60)
    worker.process.kill()
    orphan = desk.result(last)["pid"]
    desk.wait(lambda: orphan in [n["pid"] for n in desk.notes("config closed")], 30, "the orphan closes")


def test_one_that_does_not_close_ends_with_the_time_of_the_drain(desk, equipped):
    worker = equipped("--processes", "1", "--drain-timeout", "1s")
    run, charged = desk.submit("res.stuck.v1"), desk.submit("res.charge.v1")
    for each in (run, charged):
        desk.until(each, "completed")
    assert worker.stop() == 0
    assert len(desk.notes("stuck closes")) == 1
    assert desk.one("select count(*) from tributary.workers")[0] == 0


def test_trib_run_closes_at_its_end(desk, trib, tmp_path):
    shutil.copy(HANDLERS, tmp_path / "resource_handlers.py")
    (tmp_path / "flow.yaml").write_text(
        "name: res.flow.v1\nsteps: {a: {task: res.charge.v1}, b: {task: res.call.v1}}\n"
    )
    said = trib("run", "flow.yaml", "--import", "./resource_handlers.py", "--processes", "1")
    assert said.returncode == 0, said.stderr
    whats = [note["what"] for note in desk.notes() if note["what"].endswith("closed")]
    assert sorted(whats) == ["bank closed", "config closed", "session closed"]
    assert whats[-1] == "config closed"


def test_an_isolated_one_that_does_not_close_keeps_its_outcome(database, desk, monkeypatch, tmp_path):
    shutil.copy(HANDLERS, tmp_path / "resource_handlers.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(isolation, "_TO_CLOSE", 0.2)
    told = []
    detach = events.attach(told.append)
    try:
        with Client(database) as client, Worker(client, imports=["./resource_handlers.py"]):
            assert client.submit("res.stuck_alone.v1").wait(timeout=40).result == 1
    finally:
        detach()
    assert len(desk.notes("stuck closes")) == 1
    late = [event for event in told if isinstance(event, events.ResourceNotClosed)]
    assert [(event.resource, event.error) for event in late] == [
        ("of res.stuck_alone.v1", "not done after 0.2s")
    ]


def test_a_worker_in_the_callers_process_closes_when_it_stops(database, eventually):
    notes = []

    @resource
    def bank():
        notes.append("opened")
        yield "bank"
        notes.append("closed")

    @resource
    async def session(bank: Annotated[str, Use(bank)]):
        yield f"session of {bank}"
        notes.append("session closed")

    @handler("res.here.v1")
    def here(bank: Annotated[str, Use(bank)]) -> str:
        return bank

    @handler("res.ahere.v1")
    async def ahere(session: Annotated[str, Use(session)]) -> str:
        return session

    with Client(database) as client:
        with Worker(client):
            runs = [client.submit(name) for name in ("res.here.v1", "res.ahere.v1", "res.here.v1")]
            assert [run.wait(timeout=30).result for run in runs] == ["bank", "session of bank", "bank"]
            with override(bank, "fake"):
                fakes = [client.submit(name) for name in ("res.here.v1", "res.ahere.v1")]
                assert [run.wait(timeout=30).result for run in fakes] == ["fake", "session of fake"]
            assert notes == ["opened"]
        assert notes == ["opened", "session closed", "session closed", "closed"]
