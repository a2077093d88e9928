"""Who waits for the end of which work, and what of it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

_CHANNEL: Final = "tributary_ended_"


def channel(waiter: UUID) -> str:
    """Return the channel on which a waiter is told of ends: ids, separated by spaces."""
    return f"{_CHANNEL}{waiter.hex}"


def register(
    waiter: UUID, new: Sequence[str], done: Sequence[str], probe: str | None = None
) -> Operation[bool]:
    """Register for which work a client waits, and that it still does: good for a minute.

    Args:
        waiter: made up by the client.
        new: ids that it waits for from now on.
        done: ids that it waits for no more.
        probe: channel on which it wants a notification, to learn whether any come.

    Returns:
        Whether the client was unknown: then whatever it had registered before is gone.
    """
    rows = yield Query(
        query("await_ends"), {"waiter": waiter, "new": list(new), "done": list(done), "probe": probe}
    )
    return bool(rows[0][0])


def leave(waiter: UUID) -> Operation[None]:
    """Remove a client with all that it waited for."""
    yield Query(query("leave_waiters"), {"waiter": waiter})


def ended(ids: Sequence[str]) -> Operation[frozenset[str]]:
    """Return which of these runs and intents have ended, or are not there."""
    rows = yield Query(query("find_ended"), {"ids": list(ids)})
    return frozenset(row[0] for row in rows)
