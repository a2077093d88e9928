"""What the processes of a worker say of themselves, made ready for its beat."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.daemon.recycling import resident
from tributary_daemon.store.membership import Vitals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.daemon.clock import DatabaseClock
    from tributary_daemon.daemon.member import Member

MOST_CURRENT: Final = 20
_EVERY: Final = 2.0
_RSS_STEP: Final = 1 << 20


class VitalSigns:
    """Tells the beat what is new, at most every two seconds: what did not change is not written."""

    def __init__(self) -> None:
        self._told: dict[int, Vitals] = {}
        self._due = 0.0

    def forget(self) -> None:
        """Tell everything anew: what the last beat said may be lost."""
        self._told.clear()

    def of(self, members: Iterable[Member], clock: DatabaseClock) -> list[Vitals]:
        """Return what the next beat says of these members, in their order.

        Args:
            members: that have a row.
            clock: dates what runs by the database's time.
        """
        members = list(members)
        now = time.monotonic()
        if now < self._due:
            return [self._told_or_new(member, clock) for member in members]
        self._due = now + _EVERY
        known = {member.process_id for member in members}
        for gone in [process_id for process_id in self._told if process_id not in known]:
            del self._told[gone]
        return [self._news(member, clock) for member in members]

    def _told_or_new(self, member: Member, clock: DatabaseClock) -> Vitals:
        return Vitals(member.process_id) if member.process_id in self._told else self._news(member, clock)

    def _news(self, member: Member, clock: DatabaseClock) -> Vitals:
        before = self._told.get(member.process_id, Vitals(member.process_id))
        slots, rss, current = member.setup.slots, resident(member.pid), _current(member, clock)
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


def _current(member: Member, clock: DatabaseClock) -> list[dict[str, Any]]:
    """Return what runs in a member, from its board."""
    return [
        {"id": entry.token[0], "ordinal": entry.token[1], "name": entry.name, "since": since.isoformat()}
        for entry in member.board.running()[:MOST_CURRENT]
        if (since := clock.time_of(entry.started_at)) is not None
    ]


def _same(new: Any, old: Any) -> bool:
    """Whether the same attempts run: a start that was dated anew differs by microseconds."""

    def keys(items: Any) -> Any:
        return None if items is None else [(item["id"], item["ordinal"]) for item in items]

    return new is None or keys(new) == keys(old)
