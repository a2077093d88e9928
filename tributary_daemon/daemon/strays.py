"""What an init process owes: as PID 1 of a container, orphans become its children and have to be reaped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def reap(own: Collection[int]) -> int:
    """Reap dead children that nobody waits for; return how many. Nothing happens unless this is PID 1.

    Args:
        own: pids whose exit code somebody is going to ask for; they are left alone.
    """
    if os.getpid() != 1:
        return 0
    reaped = 0
    while (pid := _dead()) is not None and pid not in own:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return reaped
        reaped += 1
    return reaped


def _dead() -> int | None:
    """Return a child that has ended, without reaping it."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None
