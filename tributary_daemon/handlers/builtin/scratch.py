"""Scratch directories of shell steps: removed afterwards, also those of a worker that was killed.

Whoever uses one holds a lock on it, which ends with its process, however that ends. So what is not locked is
nobody's any more; numbers of processes may be in use again, or belong to another container.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX: Final = "trib-step-"
_UNLOCKED: Final = ".trib-new-"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a directory that only this user can enter, and remove it with all that is in it."""
    made = Path(tempfile.mkdtemp(prefix=_UNLOCKED))
    # under a name that nobody sweeps until it is locked
    path = made.with_name(PREFIX + made.name.removeprefix(_UNLOCKED))
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made.rename(path)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def sweep() -> int:
    """Remove the directories that killed processes of this user have left; return how many."""
    removed = 0
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            removed += _remove(path)
    return removed


def _remove(path: Path) -> bool:
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(lock).st_uid != os.geteuid():
            return False
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    finally:
        os.close(lock)
