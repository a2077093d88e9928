"""A database server of a test's own with a worker on it, both to be looked at from outside."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import psycopg

from tests.daemon.conftest import HANDLERS, Desk
from tests.servers import free_port


class Watched:
    """A ``trib worker`` of one process: its log as documents, its health, its end.

    Args:
        url: of the database.
        home: where it runs.
        name: of the worker.
        environment: what else it gets.
    """

    def __init__(self, url, home, name, **environment):
        self.name, self.home = name, home
        self.port = free_port()
        self._log = home / f"{name}.log"
        shutil.copy(HANDLERS, home / "handlers_for_tests.py")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "tributary_daemon", "worker", "--processes", "1", "--name", name,
                    "--import", "./handlers_for_tests.py", "--health", f"127.0.0.1:{self.port}",
                ],
                env={**os.environ, "TRIB_DATABASE_URL": url, "TRIB_HOME": str(home), "HOME": str(home),
                     "TRIB_EMBEDDED": "0", **environment},
                cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def log(self):
        return self._log.read_text(errors="replace")

    def said(self, event, since=0):
        """Return what it has said of one kind, from a line on."""
        lines = self.log().splitlines()[since:]
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [line for line in found if line["event"] == event]

    def lines(self):
        return len(self.log().splitlines())

    def ready(self):
        """Return (status, document) of its readiness; (0, {}) when nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except OSError:
            return 0, {}
        finally:
            connection.close()

    def reasons(self):
        return "; ".join(self.ready()[1].get("reasons", []))

    def kill(self):
        """Kill it with its processes."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def watched(url, home, name, eventually, *, ready=True, **environment):
    """Give a worker that is ready, and drain it at the end."""
    worker = Watched(url, home, name, **environment)
    try:
        if ready:
            eventually(lambda: worker.ready()[0] == 200, 60, lambda: f"it is ready:\n{worker.log()}")
        yield worker
        if worker.process.poll() is None:
            worker.process.terminate()
            assert worker.process.wait(60) == 0, worker.log()
    finally:
        worker.kill()
        print(f"--- log of {name}\n{worker.log()}")


@contextmanager
def desk_of(url, home, eventually):
    """Give a view of a database, and of what handlers noted in a directory."""
    with psycopg.connect(url, autocommit=True, application_name="test") as sql:
        yield Desk(url, home, sql, eventually)


@contextmanager
def small_disk(path, size):
    """Mount a file system of a few megabytes; gives False where that is not permitted."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path], check=False, capture_output=True
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", path], check=True)
