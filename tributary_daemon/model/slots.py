"""When slots of a schedule are due: each a little later than it says, by its own share of the jitter."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

GRACE = timedelta(seconds=60)
"""A slot that is late by no more than this is fired, whatever the schedule's catch-up: a change of leader
loses nothing."""


def due_at(name: str, slot: datetime, jitter: float) -> datetime:
    """Return when a slot of a schedule is due, in UTC: equal wherever it is asked, other for every slot.

    Args:
        name: of the schedule.
        slot: aware.
        jitter: seconds by which it is late at most.
    """
    # spans are added in UTC: elsewhere they would be added to what a wall shows
    slot = slot.astimezone(UTC)
    if not jitter:
        return slot
    text = f"{name}\n{slot.isoformat()}"
    share = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
    return slot + timedelta(seconds=jitter * share)
