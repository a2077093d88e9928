"""The PostgreSQL of a run of chaos: its own, on a small disk of its own where this machine allows a mount."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Self

from tributary_daemon.daemon import embedded
from tributary_daemon.errors import EmbeddedError

if TYPE_CHECKING:
    from pathlib import Path

_SETTINGS = {
    "max_connections": "60",
    "shared_buffers": "64MB",
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "log_checkpoints": "off",
}
_DISK_MEGABYTES = 900
_PATIENCE = 90.0


class Server:
    """Starts, breaks and mends the server.

    Args:
        folder: for its data; removed by the caller.

    Attributes:
        url: a superuser's.
        has_disk: whether its data lie on a disk of their own, which can be filled.
        without_disk: why not.
    """

    def __init__(self, folder: Path) -> None:
        self._home = folder
        self._ballast = folder / "ballast"
        self._lock = threading.Lock()
        self.has_disk = False
        self.without_disk = ""
        self.url = ""

    def __enter__(self) -> Self:
        self._home.mkdir()
        self._home.chmod(0o755)
        said = self._mount()
        self.has_disk, self.without_disk = not said, said
        self.url = embedded.ensure_running(self._home, settings=_SETTINGS)
        return self

    def __exit__(self, *_: object) -> None:
        self.free()
        embedded.stop(self._home)
        if self.has_disk:
            subprocess.run(["umount", "--lazy", str(self._home)], check=True)

    def _mount(self) -> str:
        if os.geteuid() != 0:
            return "mounting a small disk needs root"
        try:
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MEGABYTES}m,mode=0755", "tmpfs", self._home],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
        except OSError as error:
            return str(error)
        return "" if done.returncode == 0 else done.stderr.strip() or "mount failed"

    def crash(self) -> None:
        """Shut it down at once: what was not committed is gone, and it has to recover."""
        postmaster = embedded.status(self._home).pid
        if postmaster is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(postmaster, signal.SIGQUIT)
            embedded.stop(self._home)

    def mend(self) -> None:
        """Start it if it is down, and wait until it answers.

        Raises:
            EmbeddedError: it does not come back.
        """
        deadline = time.monotonic() + _PATIENCE
        with self._lock:
            while True:
                try:
                    embedded.ensure_running(self._home, settings=_SETTINGS)
                except EmbeddedError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.5)
                else:
                    return

    def fill(self) -> None:
        """Fill its disk to the last byte."""
        piece = bytes(1 << 20)
        with self._ballast.open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(piece)

    def free(self) -> None:
        """Take away what filled the disk."""
        self._ballast.unlink(missing_ok=True)
