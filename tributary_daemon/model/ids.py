"""Ids: UUID version 7 whose last 12 bits are the slot that leads to the shard (design: storage.md item 2)."""

from __future__ import annotations

import secrets
import time
from uuid import UUID

SLOTS = 4096


def new_id(slot: int | None = None) -> UUID:
    """Return a new time-ordered id; ``slot`` (0..4095) is random unless the work must live elsewhere."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    low = secrets.randbits(62)
    if slot is not None:
        low = (low & ~(SLOTS - 1)) | slot
    return UUID(int=(milliseconds & (1 << 48) - 1) << 80 | 7 << 76 | fraction << 64 | 2 << 62 | low)


def slot_of(identifier: UUID) -> int:
    """Return the slot of an id, 0..4095."""
    return identifier.int & (SLOTS - 1)


def short(identifier: str) -> str:
    """Return the last 8 characters, as tables show ids."""
    return identifier[-8:]
