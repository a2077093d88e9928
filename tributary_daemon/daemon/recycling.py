"""When a process has done enough: after so many steps, so much time, or with so much memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tributary_daemon.daemon.member import Member

_JITTER: Final = 0.1
_URGENT: Final = 1.5
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Recycling:
    """Limits after which a process is replaced; None for none.

    Attributes:
        steps: finished attempts.
        age: seconds.
        memory: bytes of resident memory.
    """

    steps: int | None = None
    age: float | None = None
    memory: int | None = None

    def reason(self, member: Member, now: float) -> str | None:
        """Return why a member is to be replaced, in words; None while it is not.

        Steps and age are stretched by up to a tenth, differently for each process: they do not all go at
        once.
        """
        stretch = 1 + _JITTER * Random(member.pid).random()  # noqa: S311 - see above
        if self.steps is not None and member.board.counts[0] >= self.steps * stretch:
            return f"{member.board.counts[0]} steps finished"
        if self.age is not None and now - member.started_at >= self.age * stretch:
            return f"{now - member.started_at:.0f} s old"
        # a limit below what a process starts with must not replace it before it has done anything
        if self._holds_too_much(member, 1.0) and member.board.counts[0]:
            used = resident(member.pid) or 0
            return f"{used / 2**20:.0f} MiB of memory"
        return None

    def is_urgent(self, member: Member) -> bool:
        """Whether a member holds so much memory that it must not take more work until it is replaced."""
        return self._holds_too_much(member, _URGENT)

    def _holds_too_much(self, member: Member, factor: float) -> bool:
        # the memory of a program with a worker inside is not the worker's
        if self.memory is None or member.pid == os.getpid():
            return False
        return (resident(member.pid) or 0) >= factor * self.memory


def resident(pid: int) -> int | None:
    """Return the bytes of resident memory of a process; None where that cannot be told."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        # it has just ended, or this system has no /proc
        return None
