"""The directory of a session: in memory, where there is enough of it.

A database for a test is three hundred files. Copying them takes a disk's file system 0.3 s of CPU time, and
memory 0.03 s; a session does that two thousand times.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tributary_daemon.daemon import embedded

PREFIX = "trib-tests-"
_DISK = Path("/tmp")
_MEMORY = Path("/dev/shm")
# more than a session ever holds; what else runs on the machine is to have as much again
_ROOM = 4 * 1024**3


def make(chosen: str | None) -> Path:
    """Make the directory of this session.

    Args:
        chosen: where to make it; None for memory, or the disk if memory is short.
    """
    # short, because of sockets; the number in the name lets a later session clean up after a killed one
    root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=chosen or _fastest()))
    root.chmod(0o755)
    return root


def sweep() -> None:
    """Remove what killed sessions left behind."""
    for leftover in (*_DISK.glob(f"{PREFIX}*"), *_MEMORY.glob(f"{PREFIX}*")):
        pid = leftover.name.removeprefix(PREFIX).partition("-")[0]
        if leftover.owner() == Path("/proc/self").owner() and not Path(f"/proc/{pid}").exists():
            remove(leftover)


def remove(root: Path) -> None:
    """Stop the embedded servers in a directory and remove it."""
    for home in root.glob("*/postgres"):
        embedded.stop(home.parent)
    shutil.rmtree(root, ignore_errors=True)


def _fastest() -> Path:
    # a container's is often of 64 MB
    roomy = os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free >= _ROOM
    return _MEMORY if roomy and _available() >= 2 * _ROOM else _DISK


def _available() -> int:
    """Return how much memory is to be had, as far as the kernel tells (Linux does), else 0."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
