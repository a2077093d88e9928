"""The workers of a run of chaos, started again when they end, as a service manager would."""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.journal import FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOT = Path(__file__).resolve().parents[1]
_CLOCK = "CHAOS_CLOCK"
_OFFSET = struct.Struct("q")
PROCESSES = 2
CONCURRENCY = 4
_LIFE = "--- started at"
_READY = "process started"
# shorter leases than shipped: more of them are lost in the same time
_SETTINGS = {"TRIB_LOG_FORMAT": "json", "TRIB_BEAT": "1s", "TRIB_LEASE": "5s"}
_DRAIN = 20
_PATIENCE = 60.0


class Worker:
    """One `trib worker`, through all its lives.

    Args:
        name: of it.
        url: its database.
        folder: for its log and its clock.
        environment: of its process, beside that of this one.

    Attributes:
        departures: how it ended although nobody had ended it.
    """

    def __init__(self, name: str, url: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._environment = {**environment, "TRIB_DATABASE_URL": url, **_SETTINGS}
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False
        self._lock = threading.RLock()
        self.departures: list[str] = []
        clock = folder / f"{name}.clock"
        clock.write_bytes(_OFFSET.pack(0))
        with clock.open("r+b") as file:
            self._offset = mmap.mmap(file.fileno(), _OFFSET.size)
        self._environment[_CLOCK] = str(clock)

    def start(self) -> None:
        """Start it, unless it lives."""
        with self._lock:
            self._wanted = True
            if self._process is not None and self._process.poll() is None:
                return
            command = [
                sys.executable, "-m", "tributary_daemon", "worker", "--name", self.name,
                "--processes", str(PROCESSES), "--concurrency", str(CONCURRENCY),
                "--queues", "default,narrow",
                "--drain-timeout", f"{_DRAIN}s", "--import", "chaos.handlers",
            ]  # fmt: skip
            with self._log.open("ab") as log:
                log.write(f"{_LIFE} {time.monotonic():.2f}\n".encode())
                log.flush()
                self._process = subprocess.Popen(
                    command,
                    cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                    start_new_session=True, env={**os.environ, **self._environment},
                )  # fmt: skip

    def keep(self) -> None:
        """Look after it: one that has ended by itself is noted and started again."""
        if not self._lock.acquire(blocking=False):
            return  # somebody ends or starts it
        try:
            if self._wanted and self._process is not None and self._process.poll() is not None:
                self._note(f"{self.name} ended by itself with {self._process.returncode}")
                self.start()
        finally:
            self._lock.release()

    def _note(self, departure: str) -> None:
        """Note an end that should not be; one that has not come up yet may end, and is started again."""
        if _READY in self._said():
            self.departures.append(departure)

    def _said(self) -> str:
        """Return what it has logged in this life."""
        return self._log.read_text(encoding="utf-8", errors="replace").rpartition(_LIFE)[2]

    def pids(self) -> list[int]:
        """Return its supervisor and, behind it, its processes."""
        if self._process is None or self._process.poll() is not None:
            return []
        return [self._process.pid, *_children(self._process.pid)]

    def kill(self, pids: list[int], number: signal.Signals) -> None:
        """Send a signal to some of its processes."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def down(self, pids: list[int], number: signal.Signals) -> None:
        """End it by a signal; it stays down until it is started again."""
        with self._lock:
            self._wanted = False
            self.kill(pids, number)
            if self._process is not None:
                self._process.wait()

    def drain(self) -> None:
        """Let it drain, and note it if it does not."""
        with self._lock:
            self._wanted = False
            if self._process is None:
                return
            self._process.send_signal(signal.SIGTERM)
            try:
                code = self._process.wait(_DRAIN + _PATIENCE)
            except subprocess.TimeoutExpired:
                self.departures.append(f"{self.name} does not drain")
                self.end()
            else:
                if code != 0:
                    self._note(f"{self.name} drained with {code}")

    def end(self) -> None:
        """Kill what is left of it."""
        with self._lock:
            self._wanted = False
            for pid in self.pids():
                self.kill([pid], signal.SIGKILL)
            if self._process is not None:
                self._process.wait()

    def set_clock(self, seconds: float) -> None:
        """Let its wall clock be wrong by so much, in all its processes, from this moment on."""
        self._offset[:] = _OFFSET.pack(int(seconds * 1e9))


def clock_library(folder: Path) -> Path | None:
    """Build what makes clocks wrong; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source = Path(__file__).with_name("clock_jump.c")
    built = folder / "clock_jump.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(built), str(source), "-ldl"], check=True,
    )  # fmt: skip
    return built


def environment(journal: Path, library: Path | None) -> dict[str, str]:
    """Return what the processes of all workers find in their environment."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {FOLDER: str(journal), "PYTHONPATH": path, **({"LD_PRELOAD": str(library)} if library else {})}


def _children(pid: int) -> list[int]:
    try:
        said = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        found = [int(child) for child in said.split()]
        # not the tracker of shared resources, which runs nothing of ours
        return [
            child for child in found if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
    except OSError:
        return []
