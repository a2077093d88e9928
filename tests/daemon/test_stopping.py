"""Ways to stop a worker: Ctrl-C in a terminal, as PID 1, one after the other under load; systemd is told."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

COMMAND = [
    sys.executable, "-m", "tributary_daemon", "worker", "--processes", "1",
    "--import", "./handlers_for_tests.py", "--import", "./rough_handlers.py",
]  # fmt: skip


@pytest.fixture
def put_handlers(rough):
    """Copy the handlers to where the commands of this module run."""


@pytest.mark.usefixtures("put_handlers")
def test_ctrl_c_in_a_terminal_drains_and_a_second_one_ends_at_once(desk, trib_env):
    ids = [desk.submit("t.hold.v1", {"gate": gate}) for gate in ("gate", "never")]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *COMMAND], env=trib_env, cwd=desk.home,
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = []
    reader = threading.Thread(target=_read, args=(ours, said), daemon=True)
    reader.start()
    try:
        desk.noted("began", count=2)
        # the terminal sends SIGINT to the whole foreground group, handlers' processes included
        os.write(ours, b"\x03")
        desk.wait(lambda: "draining" in "".join(said), 20, "it drains")
        desk.open()
        desk.until(ids[0], "completed")
        completed = time.monotonic()
        desk.wait(lambda: time.monotonic() - completed > 0.2, 5, "a second signal, not the echo of the first")
        assert process.poll() is None, "it waits for the other one"
        os.write(ours, b"\x03")
        assert process.wait(20) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
        print("".join(said))
    assert desk.row(ids[0])[:2] == ("completed", 1)
    assert desk.row(ids[1])[:2] == ("available", 0)
    assert "Traceback" not in "".join(said)


def _read(fd, into):
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:
            return
        if not data:
            return
        into.append(data.decode(errors="replace"))


def _namespaces():
    tool = shutil.which("unshare")
    if tool is None:
        return False
    probe = [tool, "--pid", "--fork", "--mount-proc", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.usefixtures("put_handlers")
@pytest.mark.skipif(not _namespaces(), reason="needs the right to make a PID namespace")
def test_as_pid_1_it_reaps_orphans_and_drains_on_sigterm(desk, trib_env):
    with (desk.home / "pid1.log").open("wb") as log:
        process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *COMMAND],
            env=trib_env, cwd=desk.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        desk.until(desk.submit("r.good.v1"), "completed", timeout=90)
        (init,) = _children(process.pid)
        # its parent ends at once: the sleeper becomes a child of PID 1, which nobody waits for
        run = desk.submit("r.orphan.v1", {"seconds": 0.2})
        desk.until(run, "completed")
        desk.wait(lambda: not _zombies(init), 20, "it is reaped")
        # a child of its own is still its own to ask
        crash = desk.submit("r.end.v1", {"how": "exit"})
        desk.until(crash, "discarded", timeout=40)
        assert "exit code 7" in desk.errors(crash)[0][3]
        hold = desk.submit("t.hold.v1", {"gate": "gate"})
        desk.noted("began", hold)
        os.kill(init, signal.SIGTERM)
        desk.wait(lambda: "worker draining" in (desk.home / "pid1.log").read_text(), 20, "it drains")
        desk.open()
        assert process.wait(20) == 0
        assert desk.row(hold)[:2] == ("completed", 1)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        print((desk.home / "pid1.log").read_text())


def _children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _zombies(pid):
    stats = []
    for child in _children(pid):
        try:
            stats.append(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0])
        except FileNotFoundError:
            continue
    return stats.count("Z")


def test_a_rolling_restart_under_load_loses_and_doubles_nothing(desk, rough):
    stop = threading.Event()
    ids = []

    def produce():
        import psycopg  # noqa: PLC0415 - a connection of its own, in its own thread

        with psycopg.connect(desk.url, autocommit=True) as sql:
            while not stop.is_set():
                rows = sql.execute(
                    "select tributary.submit_intent('t.note.v1') from generate_series(1, 20)"
                ).fetchall()
                ids.extend(str(row[0]) for row in rows)
                stop.wait(0.02)

    old = [rough("--name", f"old{n}") for n in range(2)]
    producer = threading.Thread(target=produce)
    producer.start()
    try:
        for n, worker in enumerate(old):
            rough("--name", f"new{n}")
            done = len(desk.notes("ran"))
            desk.wait(lambda done=done: len(desk.notes("ran")) > done + 100, 20, "work goes on")
            assert worker.stop() == 0
        done = len(desk.notes("ran"))
        desk.wait(lambda: len(desk.notes("ran")) > done + 100, 20, "the new ones work")
    finally:
        stop.set()
        producer.join()
    desk.wait(
        lambda: desk.one("select count(*) from tributary.steps where state <> 'completed'") == (0,),
        30, "all complete",
    )  # fmt: skip
    ran = [note["id"] for note in desk.notes("ran")]
    assert sorted(ran) == sorted(ids), "each ran exactly once"
    assert desk.one("select max(attempt) from tributary.steps") == (1,)


@pytest.fixture
def manager(tmp_path):
    """A service manager's socket, and what it was told."""
    path = str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(path)
        end.settimeout(0.2)
        said, ended = [], threading.Event()

        def listen():
            while not ended.is_set():
                try:
                    said.append(end.recv(4096).decode())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield path, said
        ended.set()
        thread.join()


def test_the_service_manager_is_told(desk, rough, manager):
    path, said = manager
    worker = rough("--queues", "default,media", env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "600000"})
    desk.wait(lambda: "READY=1" in said, 10, "it is ready")
    hold = desk.submit("t.hold.v1", {"gate": "gate"})
    desk.noted("began", hold)
    wanted = re.compile(r"STATUS=running on default,media: 1 of 1 processes claim; 1 attempts run")
    desk.wait(lambda: any(wanted.match(line) for line in said), 10, f"it says what it does: {said}")
    beats = said.count("WATCHDOG=1")
    desk.wait(lambda: said.count("WATCHDOG=1") >= beats + 5, 10, "it feeds the watchdog")
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        beats = said.count("WATCHDOG=1")
        quiet = threading.Event()
        quiet.wait(1.0)
        assert said.count("WATCHDOG=1") <= beats + 1, "no progress, no sign"
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    worker.process.send_signal(signal.SIGTERM)
    desk.wait(lambda: "STOPPING=1" in said, 10, "it says that it stops")
    desk.wait(lambda: any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in said), 10, "it asks for time")
    desk.open()
    assert worker.process.wait(20) == 0


def test_the_watchdog_of_somebody_else_is_not_fed(desk, rough, manager):
    path, said = manager
    rough(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"})
    desk.wait(lambda: "READY=1" in said, 10, "it is ready")
    desk.until(desk.submit("r.good.v1", {"ms": 500}), "completed")
    assert "WATCHDOG=1" not in said
