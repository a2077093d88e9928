"""Hooks in real workers: from ``trib.toml`` into each process, and given to a worker inside a program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tributary_daemon import Client, Hook, Worker, handler
from tributary_daemon.errors import ConfigError

HANDLERS = Path(__file__).with_name("hook_handlers.py")


@pytest.fixture
def hooked(worker, tmp_path):
    """Return a function that starts a worker with the handlers of this module and these hooks."""
    shutil.copy(HANDLERS, tmp_path / "hook_handlers.py")

    def start(toml, *args, **more):
        (tmp_path / "trib.toml").write_text(toml)
        return worker("--import", "./hook_handlers.py", *args, **more)

    return start


NOTING = '[[hooks]]\nuse = "./hook_handlers.py:Noting"\nmark = "!"\nnames = ["hook.%"]\n'


def test_hooks_of_trib_toml_lie_around_every_kind_of_handler(desk, hooked):
    worker = hooked(NOTING, "--processes", "1")
    plain, asynchronous, alone, bad = (
        desk.submit(f"hook.{kind}.v1", {"n": 1}) for kind in ("plain", "async", "alone", "bad")
    )
    for run in (plain, asynchronous, alone):
        desk.until(run, "completed", 40)
    desk.until(bad, "discarded", 40)
    assert (desk.result(plain), desk.result(asynchronous)) == ("plain 1!", "async 1!")
    assert desk.result(alone).startswith("alone 1 ")
    assert desk.result(alone).endswith("!")
    # async methods run in the loop of async handlers, whatever the handler is
    for run in (plain, asynchronous):
        assert [note["what"] for note in desk.notes(run_id=run)] == ["before in handler-loop", "after result"]
    assert [note["what"] for note in desk.notes(run_id=bad)] == ["before in handler-loop", "after error"] * 2
    assert desk.errors(bad)[-1][3] == "bad"
    assert worker.stop() == 0
    pid = desk.notes(run_id=plain)[0]["pid"]
    mine = [note["what"] for note in desk.notes() if note["pid"] == pid and note["id"] is None]
    assert mine == ["open worker", "close"]
    desk.noted("open worker", count=2)


def test_the_cli_submits_through_them_and_run_works_with_them(trib, tmp_path):
    shutil.copy(HANDLERS, tmp_path / "hook_handlers.py")
    (tmp_path / "trib.toml").write_text(NOTING)
    ran = trib(
        "run",
        "hook.plain.v1",
        "-i",
        "n=1",
        "--import",
        "./hook_handlers.py",
        "-o",
        "json",
        "--processes",
        "1",
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["result"] == "plain 2!"
    submitted = trib("submit", "hook.plain.v1", "-i", "n=1", "-o", "json")
    shown = trib("status", json.loads(submitted.stdout)["id"], "-o", "json")
    assert json.loads(shown.stdout)["payload"] == {"n": 2}


def test_a_handler_that_a_hook_cannot_go_around_is_not_offered(desk, hooked, trib):
    hooked('[[hooks]]\nuse = "./hook_handlers.py:Plain"\n', "--processes", "1")
    run = desk.submit("hook.plain.v1", {"n": 1})
    desk.until(run, "completed", 40)
    shown = trib("workers", "-o", "json").stdout
    assert "cannot wait for hook.async.v1" in shown


def test_a_mistake_in_trib_toml_ends_the_worker_at_once(trib, tmp_path):
    (tmp_path / "trib.toml").write_text('[[hooks]]\nuse = "validaton"\n')
    for command in (("worker",), ("submit", "a.b.v1")):
        ended = trib(*command)
        assert ended.returncode == 2, ended.stderr
        assert "did you mean 'validation'?" in ended.stderr


SHIPPED = """
[[hooks]]
use = "audit"
payloads = "full"
[[hooks]]
use = "blob"
url = "blobs"
threshold = 100
[[hooks]]
use = "circuit_breaker"
failures = 1
wait = "1h"
refresh = 0
names = ["hook.bad.%"]
[[hooks]]
use = "rate_limit"
names = ["hook.plain.%"]
rate = "1/h"
"""


def test_the_shipped_ones_work_together_in_several_processes(desk, hooked, database, connection):
    hooked(SHIPPED, "--processes", "2")
    text = "x" * 500
    alone, asynchronous = desk.submit("hook.long.v1", {"text": text}), desk.submit("hook.async.v1", {"n": 1})
    bad = [desk.submit("hook.bad.v1", {"n": 1})]
    plain = [desk.submit("hook.plain.v1", {"n": 1}) for _ in range(2)]
    for run in (alone, asynchronous):
        desk.until(run, "completed", 40)
    desk.wait(lambda: sum(desk.state(run) == "completed" for run in plain) == 1, 40, "one of two passes")
    late = next(run for run in plain if desk.state(run) != "completed")
    desk.until(late, "scheduled", 40)

    def opened():
        return connection.execute("select state from tributary.circuit_breakers").fetchall() == [("open",)]

    desk.wait(opened, 40, "the breaker opens")
    bad += [desk.submit("hook.bad.v1", {"n": 1}) for _ in range(3)]
    desk.wait(lambda: all(desk.state(run) == "scheduled" for run in bad), 40, "the others are put off")
    assert desk.result(alone).keys() == {"$blob"}
    with Client(database, hooks=[{"use": "blob", "url": str(desk.home / "blobs")}]) as client:
        assert client.get(alone).result == text * 2

    def audited():
        rows = connection.execute(
            "select action, count(*) from tributary.audit_log group by action"
        ).fetchall()
        # what was rated, the second attempt of the first, and three that found the breaker open
        return dict(rows) == {"completed": 3, "failed": 1, "put_off": 5}

    desk.wait(audited, 40, "each end is a row")


def test_a_timeout_holds_over_a_hook_that_hangs(desk, hooked):
    hooked('[[hooks]]\nuse = "./hook_handlers.py:Hanging"\nnames = ["hook.slow.%"]\n', "--processes", "1")
    run = desk.submit("hook.slow.v1")
    desk.until(run, "discarded", 40)
    assert desk.errors(run)[-1][3] == "timed out after 300ms"
    assert [note["what"] for note in desk.notes(run_id=run)] == ["hangs"]


def test_a_worker_in_a_program_takes_those_of_its_client_or_its_own(database, monkeypatch):
    monkeypatch.setenv("TRIB_LOG_LEVEL", "error")
    seen = []

    class Seeing(Hook):
        def __init__(self, name):
            self.name = name

        def before_work(self, step, payload):
            seen.append(self.name)

    @handler("hook.here.v1")
    def here() -> str:
        return "done"

    with Client(database, hooks=[Seeing("client")]) as client:
        with Worker(client, drain_timeout=10):
            assert client.submit("hook.here.v1").wait(20).result == "done"
        with Worker(client, drain_timeout=10, hooks=[Seeing("worker")]):
            assert client.submit("hook.here.v1").wait(20).result == "done"
        with Worker(client, drain_timeout=10, hooks=[]):
            assert client.submit("hook.here.v1").wait(20).result == "done"
        assert client.run("hook.here.v1", timeout=20) == "done"
        with pytest.raises(ConfigError, match="hook 1 is of type str"):
            Worker(client, hooks=["validation"])
    assert seen == ["client", "worker", "client"]
