"""A running ``trib worker``, as the fixture of that name returns it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .nursery import Forked, Nursery


@dataclass
class WorkerProcess:
    """A running ``trib worker``."""

    process: subprocess.Popen | Forked
    log_path: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """Return what it has written to stderr and stdout so far."""
        return self.log_path.read_text(errors="replace")

    def stop(self, how: int = signal.SIGTERM, timeout: float = 30) -> int:
        """Send a signal, wait for the end, return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout)

    def kill(self) -> None:
        """Kill the supervisor and its children at once."""
        kill_group(self.process.pid)
        self.process.wait(10)


def kill_group(pid: int) -> None:
    """Kill a process group, if it is still there."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def own_env(url: str, home: Path) -> dict[str, str]:
    """Return the environment of a worker that several tests share: its database, and a home."""
    return {
        **os.environ,
        "TRIB_DATABASE_URL": url,
        "TRIB_HOME": str(home),
        "HOME": str(home),
        "PYTHONUNBUFFERED": "1",
    }


def launch(
    nursery: Nursery, words: Sequence[str], env: dict[str, str], cwd: Path, log_path: Path
) -> subprocess.Popen | Forked:
    """Start ``trib`` in a session of its own, its output in a file; forked where its environment allows."""
    with log_path.open("wb") as log, Path(os.devnull).open("rb") as nothing:
        if nursery.fits(env):
            return nursery.start(words, env=env, cwd=cwd, streams=(nothing, log, log), session=True)
        return subprocess.Popen(
            [sys.executable, "-m", "tributary_daemon", *words],
            env=env,
            cwd=cwd,
            stdin=nothing,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
