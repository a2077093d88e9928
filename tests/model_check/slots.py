"""What the functions of a schedule do to its row and its slots. Each is one transaction."""

from __future__ import annotations

from typing import NamedTuple


class Slot(NamedTuple):
    """What became of a slot: fired, queued, skipped, missed, or nothing yet; and its work."""

    fate: str | None = None
    works: bool = False  # work of it has not ended
    count: int = 0  # how often work was recorded for it


class Schedule(NamedTuple):
    """A row of ``schedules`` and those of ``schedule_fires``; slots are numbered from 0."""

    overlap: str
    slots: tuple[Slot, ...]
    version: int = 1
    following: int | None = None  # the next slot, unknown until a leader has computed it
    queued: int = 0
    active: bool = True

    @property
    def busy(self) -> bool:
        """Whether a slot finds earlier work that has not ended, or slots that wait."""
        return self.queued > 0 or self.works

    @property
    def works(self) -> bool:
        """Whether work of a slot has not ended."""
        return any(slot.works for slot in self.slots)

    def put(self, number: int, slot: Slot) -> Schedule:
        """Return the schedule with this slot."""
        return self._replace(slots=(*self.slots[:number], slot, *self.slots[number + 1 :]))


class SlotRules:
    """The transition relation of a schedule."""

    def stands(self, row: Schedule, version: int, slot: int | None) -> bool:
        """Return whether what a leader has read still holds: the fence."""
        return row.active and row.version == version and row.following == slot

    def fire(
        self, row: Schedule, version: int, slot: int, following: int, *, late: bool, now: int
    ) -> tuple[Schedule, str | None]:
        """Fire a slot, or record why not, and move on to the next one."""
        if not self.stands(row, version, slot) or slot > now:
            return row, None
        if row.overlap == "allow" or not row.busy:
            row, outcome = self.start(row, slot), "fired"
        else:
            outcome = "queued" if row.overlap == "queue" or late else "skipped"
            if row.slots[slot].fate is None:
                row = row.put(slot, Slot(outcome))._replace(queued=row.queued + (outcome == "queued"))
        return row._replace(following=following), outcome

    def start(self, row: Schedule, slot: int) -> Schedule:
        """Record the work of a slot; its key gives the work that exists already."""
        if row.slots[slot].count:
            return row
        return self.record(row, slot)

    def record(self, row: Schedule, slot: int) -> Schedule:
        """Record work."""
        return row.put(slot, Slot("fired", works=True, count=row.slots[slot].count + 1))

    def fire_queued(self, row: Schedule, version: int) -> tuple[Schedule, int | None]:
        """Fire the first slot that waits, if nothing stands before it."""
        if not row.active or row.version != version or not row.queued:
            return row, None
        if row.overlap != "allow" and row.works:
            return row, None
        first = next(number for number, slot in enumerate(row.slots) if slot.fate == "queued")
        return self.start(row, first)._replace(queued=row.queued - 1), first

    def plan(
        self, row: Schedule, version: int, slot: int | None, following: int, *, missed: bool = False
    ) -> tuple[Schedule, bool]:
        """Set the next slot; those before it, from the one that stood there on, are recorded as missed."""
        if not self.stands(row, version, slot):
            return row, False
        if missed:
            for number in range(slot or 0, following):
                if row.slots[number].fate is None:
                    row = row.put(number, Slot("missed"))
        return row._replace(following=following), True

    def change(self, row: Schedule) -> Schedule:
        """Give it another expression."""
        return row._replace(version=row.version + 1, following=None)

    def pause(self, row: Schedule) -> tuple[Schedule, str]:
        """Let nothing start; return the state it was in."""
        if not row.active:
            return row, "paused"
        return row._replace(active=False, version=row.version + 1), "active"

    def resume(self, row: Schedule) -> tuple[Schedule, str]:
        """Go on from now; return the state it was in."""
        if row.active:
            return row, "active"
        return row._replace(active=True, version=row.version + 1, following=None), "paused"

    def end(self, row: Schedule, slot: int) -> Schedule:
        """End the work of a slot."""
        return row.put(slot, row.slots[slot]._replace(works=False))
