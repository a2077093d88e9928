"""Status documents for tests of what is shown; the command line within the test's process."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from subprocess import CompletedProcess

import pytest

from tributary_daemon.cli.main import main

START = "2026-11-21T04:00:00.000000Z"
END = "2026-11-21T04:00:01.200000Z"


@pytest.fixture
def a_step():
    """Return a function that makes the document of a step."""

    def make(*needs, state="completed", **fields):
        ended = state in {"completed", "discarded"}
        begun = ended or state == "running"
        return {
            "state": state,
            "name": "shop.step.v1",
            "attempt": int(begun),
            "max_attempts": 3,
            "result": None,
            "error": None,
            "reason": None,
            "queue": "default",
            "needs": list(needs),
            "optional": False,
            "run_at": None,
            "started_at": START if begun else None,
            "finished_at": END if ended else None,
            **fields,
        }

    return make


@pytest.fixture
def a_run():
    """Return a function that makes the document of a run."""

    def make(steps, state="running", **fields):
        return {
            "id": "0198a000-0000-7000-8000-00000abcdef0",
            "kind": "run",
            "name": "shop.order.v1",
            "state": state,
            "reason": None,
            "inputs": {"amount": 3},
            "result": None,
            "error": None,
            "warnings": 0,
            "labels": {"env": "prod"},
            "priority": 0,
            "created_at": START,
            "started_at": START,
            "finished_at": END if state in {"completed", "failed", "cancelled"} else None,
            "steps": steps,
            **fields,
        }

    return make


@pytest.fixture
def an_error():
    """Return a function that makes the document of an error."""

    def make(message="no stock", **fields):
        return {
            "type": "ValueError",
            "message": message,
            "attempt": 3,
            "reason": None,
            "exit_code": None,
            **fields,
        }

    return make


@dataclass
class Said:
    """What a command line within this process led to."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Return a function that runs a command line here, without a database: ``cli("version") -> Said``."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Said(code, out, err)

    return run


@pytest.fixture
def answered(trib_env):
    """Return a function that runs ``trib`` on a terminal, types an answer and returns what is shown."""

    def run(answer, *arguments):
        screen, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "tributary_daemon", *arguments],
            env={**trib_env, "TERM": "dumb"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            close_fds=True,
        )
        os.close(terminal)
        os.write(screen, f"{answer}\n".encode())
        shown = b""
        try:
            while part := os.read(screen, 4096):
                shown += part
        except OSError:
            pass  # the other side of the terminal is closed: it has ended
        os.close(screen)
        assert process.wait(20) == 0
        return shown.decode().replace("\r\n", "\n")

    return run


@pytest.fixture
def here(trib_env, monkeypatch, capsys):
    """Return a function that does what `trib` does, in this process, as a child takes a second to start."""
    for name in ("TRIB_DATABASE_URL", "TRIB_HOME", "TRIB_EMBEDDED"):
        monkeypatch.setenv(name, trib_env[name])
    # nobody types here, wherever the tests run
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def run(*arguments):
        words = [str(argument) for argument in arguments]
        return CompletedProcess(words, main(words), *capsys.readouterr())

    return run
