"""Commands beside a real worker: what ends well, what fails, what is interrupted."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest

CHAIN = """\
name: shop.chain.v1
inputs: {amount: {type: integer}}
steps:
  first: {task: trib.noop.v1, with: {amount: "${{ inputs.amount }}"}}
  second: {task: trib.noop.v1, with: {got: "${{ steps.first.result.amount }}"}}
"""
FAILING = """\
name: shop.failing.v1
steps:
  good: {task: trib.noop.v1}
  bad: {task: trib.fail.v1, with: {message: "out of stock"}, max_attempts: 1, needs: good}
  after: {task: trib.noop.v1, needs: bad}
"""
SLEEPING = """\
name: shop.sleeping.v1
steps:
  nap: {task: trib.sleep.v1, with: {seconds: 60}}
"""


PRINTING = """\
import os
from tributary_daemon import handler

@handler("shop.print.v1")
def printing() -> int:
    print("a word from the handler", flush=True)
    os.system("echo a word from its child")
    return 1
"""


def _running(trib):
    """Return a probe: the ids of what runs."""

    def probe():
        return trib("list", "--state", "running", "-o", "name").stdout.strip()

    return probe


def _workers(trib):
    """Return a probe: the documents of the workers."""

    def probe():
        return json.loads(trib("workers", "-o", "json").stdout)

    return probe


def test_wait_watch_and_status_of_work_that_completes(trib, worker, tmp_path):
    worker(wait=False)
    (tmp_path / "chain.yaml").write_text(CHAIN)
    done = trib("submit", "chain.yaml", "-i", "amount=3", "--wait", "-o", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["state"], document["created"]) == ("completed", True)
    assert document["result"] == {"second": {"got": 3}}
    assert list(document["steps"]) == ["first", "second"]
    watched = trib("submit", "chain.yaml", "-i", "amount=4", "--watch")
    assert watched.returncode == 0
    assert re.search(r"completed +second", watched.stdout)
    assert watched.stdout.endswith('result  {"second": {"got": 4}}\n')
    lines = trib("watch", "@latest", "-o", "jsonl").stdout.splitlines()
    assert json.loads(lines[-1])["state"] == "completed"
    assert trib("status", "@latest", "--exit-status").returncode == 0


def test_work_that_fails_exits_1_and_says_what_to_do(trib, worker, tmp_path):
    worker(wait=False)
    (tmp_path / "failing.yaml").write_text(FAILING)
    done = trib("submit", "failing.yaml", "--watch")
    assert done.returncode == 1, done.stderr
    assert "out of stock" in done.stdout
    assert "trib retry" in done.stdout
    document = json.loads(trib("status", "@latest", "-o", "json").stdout)
    assert document["state"] == "failed"
    assert document["error"]["message"] == "out of stock"
    assert document["steps"]["after"]["state"] == "skipped"
    letters = json.loads(trib("dlq", "list", "-o", "json").stdout)
    assert [letter["ref"] for letter in letters] == [f"{document['id']}/bad"]
    shown = trib("dlq", "show", letters[0]["ref"])
    assert "out of stock" in shown.stdout
    assert "bad" in trib("why", "@latest", "after").stdout
    assert trib("dlq", "requeue", letters[0]["ref"]).returncode == 0
    assert trib("watch", document["id"]).returncode == 1
    assert trib("dlq", "drop", letters[0]["ref"]).returncode == 0
    assert trib("dlq", "list").stdout == "no dead letters\n"


def test_an_intent_that_is_discarded_exits_1(trib, worker):
    worker(wait=False)
    done = trib("submit", "trib.fail.v1", "--payload", '{"message": "no"}', "--max-attempts", "1", "--wait")
    assert done.returncode == 1, done.stderr
    assert "no" in done.stdout


def test_cancelling_what_runs_ends_a_wait_with_6(trib, worker, trib_env, tmp_path, eventually):
    worker(wait=False)
    waiting = subprocess.Popen(
        [sys.executable, "-m", "tributary_daemon", "submit", "trib.sleep.v1", "-i", "seconds=60", "--wait"],
        env=trib_env,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(_running(trib), 20, "it runs")
        assert trib("cancel", "@latest").returncode == 0
        waiting.communicate(timeout=20)
    finally:
        waiting.kill()
    assert waiting.returncode == 6


def test_workers_and_handlers_are_listed(trib, worker, eventually):
    running = worker("--name", "w1", "--queues", "default,heavy:4", "--processes", "1", wait=False)
    rows = eventually(_workers(trib), 30, "it is listed")
    assert [row["name"] for row in rows] == ["w1"]
    assert rows[0]["pid"] == running.pid
    assert all(process["pid"] for process in rows[0]["processes"])
    assert re.search(r"^w1 ", trib("workers").stdout, re.MULTILINE)
    eventually(lambda: _workers(trib)()[0]["processes"], 20, "its process is registered")
    assert "trib.noop.v1" in trib("handlers").stdout
    assert "ok    workers" in trib("doctor").stdout
    (line,) = [row for row in _doctor(trib) if row["check"] == "fleet connections"]
    assert line["level"] == "ok"
    assert "1 worker alive: 5, up to 15 with step.connection()" in line["message"]
    (line,) = [
        row
        for row in _doctor(trib, TRIB_STEP_CONNECTIONS="5000", TRIB_PROCESSES="2")
        if row["check"] == "connections"
    ]
    assert line["level"] == "warn"
    assert "a worker with 2 processes takes 8, up to 10008" in line["message"]
    assert "TRIB_STEP_CONNECTIONS" in line["hint"]


def _doctor(trib, **env):
    return json.loads(trib("doctor", "-o", "json", env=env).stdout)


def test_a_worker_that_has_drained_exits_0(trib, worker, eventually):
    running = worker(wait=False)
    eventually(_workers(trib), 30, "it is listed")
    assert running.stop() == 0


def test_run_shows_the_result_and_exits_by_it(trib, tmp_path):
    (tmp_path / "chain.yaml").write_text(CHAIN)
    (tmp_path / "failing.yaml").write_text(FAILING)
    done = trib("run", "chain.yaml", "-i", "amount=3", "-o", "json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["result"] == {"second": {"got": 3}}
    assert document["created"] is True
    assert trib("run", "failing.yaml", "--processes", "1").returncode == 1
    assert json.loads(trib("workers", "-o", "json").stdout) == []


def test_run_refuses_what_it_cannot_do(trib):
    done = trib("run", "shop.unknown.v1")
    assert done.returncode == 3
    assert "shop.unknown.v1" in done.stderr


def test_ctrl_c_of_run_cancels_and_exits_130(trib, trib_env, tmp_path, eventually):
    (tmp_path / "sleeping.yaml").write_text(SLEEPING)
    process = subprocess.Popen(
        [sys.executable, "-m", "tributary_daemon", "run", "sleeping.yaml", "--processes", "1"],
        env=trib_env,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        eventually(_running(trib), 30, "it runs")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert trib("status", "@latest", "--exit-status").returncode == 6


def test_what_handlers_print_stands_aside_of_the_data(trib, tmp_path):
    (tmp_path / "printing.py").write_text(PRINTING)
    done = trib("run", "shop.print.v1", "--import", "./printing.py", "--processes", "1", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["result"] == 1
    # print writes its line feed apart, and a line of the progress may come between
    assert "a word from the handler" in done.stderr
    assert "a word from its child" in done.stderr


def test_what_handlers_print_stands_above_the_live_tree(trib_env, tmp_path):
    (tmp_path / "printing.py").write_text(PRINTING)
    screen, terminal = pty.openpty()
    command = ["run", "shop.print.v1", "--import", "./printing.py", "--processes", "1"]
    with subprocess.Popen(
        [sys.executable, "-m", "tributary_daemon", *command],
        stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, cwd=tmp_path,
        env={**trib_env, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
    ) as process:  # fmt: skip
        os.close(terminal)
        drawn = _until_closed(screen)
        assert process.wait(60) == 0, drawn
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).replace("\r", "")
    # each on lines of its own, and the tree is drawn below them
    assert "a word from the handler\n" in words
    assert "a word from its child\n" in words
    assert re.search(r"shop\.print\.v1 \w+  completed", words.rpartition("a word from its child")[2])
    assert re.search(r"result  1\n$", words)


def _until_closed(screen):
    """Return all that a child writes to its terminal, up to its end."""
    drawn = b""
    while True:
        try:
            part = os.read(screen, 65536)
        except OSError:
            # the last process that had the terminal is gone
            part = b""
        if not part:
            os.close(screen)
            return drawn.decode()
        drawn += part


def test_run_refuses_what_only_other_workers_have(trib, worker, tmp_path):
    (tmp_path / "printing.py").write_text(PRINTING)
    worker("--import", "./printing.py")
    done = trib("run", "shop.print.v1")
    assert done.returncode == 3, done.stderr
    assert "no handler 'shop.print.v1' is loaded here" in done.stderr
    assert "--import" in done.stderr
    assert trib("list", "-o", "name").stdout == ""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def broken(:", "SyntaxError"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        (PRINTING + PRINTING.partition("\n\n")[2], "two handlers are named 'shop.print.v1'"),
        (PRINTING.replace("printing()", "printing(untyped)"), "parameter 'untyped'"),
    ],
    ids=["syntax", "import", "duplicate", "signature"],
)
def test_run_refuses_handlers_that_do_not_import(trib, tmp_path, source, said):
    (tmp_path / "broken.py").write_text(source)
    done = trib("run", "trib.noop.v1", "--import", "./broken.py")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert trib("list", "-o", "name").stdout == ""


SLOW = """\
import os, sys, time
from tributary_daemon.cli.aside import Aside
seen = []
def above(line):
    time.sleep(0.001)
    seen.append(line)
with Aside(drawn=True) as aside:
    aside.show(above)
    os.system("seq 200; printf 'half a line'")
    aside.caught_up()
    print(len(seen), seen[0], seen[-2], seen[-1])
    os.system("echo; echo more")
    aside.caught_up()
    print(seen[201:])
"""


def test_what_children_have_written_is_waited_for():
    done = subprocess.run(
        [sys.executable, "-c", SLOW], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "201 1 200 half a line\n['', 'more']\n"
