"""What the processes of a worker say of themselves, made ready for its beat."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.store.membership import Vitals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from tributary_daemon.daemon.member import Member

MOST_CURRENT: Final = 20
_EVERY: Final = 2.0
_RSS_STEP: Final = 1 << 20
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class VitalSigns:
    """Tells the beat what is new, at most every two seconds: what did not change is not written.

    What runs is known from signs of life that say so: ``current``, a list of [run id, ordinal, name, start],
    the start in monotonic seconds. A process that never says is shown with what it has claimed.
    """

    def __init__(self) -> None:
        self._current: dict[int, list[tuple[str, int, str, float]]] = {}
        self._told: dict[int, Vitals] = {}
        self._due = 0.0
        self._now: tuple[datetime, float] | None = None

    def hear(self, process_id: int, message: Mapping[str, Any]) -> None:
        """Take note of a sign of life."""
        if process_id and (current := message.get("current")) is not None:
            self._current[process_id] = [tuple(item) for item in current[:MOST_CURRENT]]

    def answered(self, now: datetime) -> None:
        """Take the database's time: what runs is dated by its clock, not by this machine's."""
        self._now = (now, time.monotonic())

    def of(self, members: Iterable[Member]) -> list[Vitals]:
        """Return what the next beat says of these members, in their order."""
        members = list(members)
        now = time.monotonic()
        if now < self._due:
            return [self._told_or_new(member) for member in members]
        self._due = now + _EVERY
        known = {member.process_id for member in members}
        for gone in [process_id for process_id in self._told if process_id not in known]:
            del self._told[gone]
            self._current.pop(gone, None)
        return [self._news(member) for member in members]

    def _told_or_new(self, member: Member) -> Vitals:
        return Vitals(member.process_id) if member.process_id in self._told else self._news(member)

    def _news(self, member: Member) -> Vitals:
        before = self._told.get(member.process_id, Vitals(member.process_id))
        slots, rss, current = member.setup.slots, resident(member.pid), self._dated(member.process_id)
        moved = rss is not None and (before.rss is None or abs(rss - before.rss) >= _RSS_STEP)
        self._told[member.process_id] = Vitals(
            member.process_id,
            slots,
            rss if moved else before.rss,
            before.current if current is None else current,
        )
        return Vitals(
            member.process_id,
            None if slots == before.slots else slots,
            rss if moved else None,
            None if _same(current, before.current) else current,
        )

    def _dated(self, process_id: int) -> list[dict[str, Any]] | None:
        current = self._current.get(process_id)
        if current is None or self._now is None:
            return None
        at, monotonic = self._now
        return [
            {
                "id": run_id,
                "ordinal": ordinal,
                "name": name,
                "since": (at - timedelta(seconds=monotonic - start)).isoformat(),
            }
            for run_id, ordinal, name, start in current
        ]


def _same(new: Any, old: Any) -> bool:
    """Whether the same attempts run: a start that was dated anew differs by microseconds."""

    def keys(items: Any) -> Any:
        return None if items is None else [(item["id"], item["ordinal"]) for item in items]

    return new is None or keys(new) == keys(old)


def resident(pid: int) -> int | None:
    """Return the resident memory of a process in bytes; None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        # it has just ended
        return None
