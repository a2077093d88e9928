"""A running ``trib worker``, as the fixture of that name returns it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from .nursery import Forked


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
