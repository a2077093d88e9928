"""Pruning of finished work, as a client asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations
from tributary_daemon.store import fleet, pruning

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from tributary_daemon.client.options import Settings
    from tributary_daemon.store.db import Operation

STATES: Final = ("completed", "failed", "cancelled", "discarded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a prune has removed, or with ``dry_run`` would remove, so far.

    Attributes:
        runs: with all their steps.
        intents: single ones.
        dry_run: nothing was removed.
    """

    runs: int
    intents: int
    dry_run: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as ``prune`` prints it."""
        return {"runs": self.runs, "intents": self.intents, "dry_run": self.dry_run}


def retention(
    settings: Settings,
    older_than: float | str | timedelta,
    states: Iterable[str],
    dead_letters_older_than: float | str | timedelta | None,
) -> pruning.Retention:
    """Check what a caller wants to be gone.

    Raises:
        InvalidInput: a duration is malformed, or nothing ends in such a state.
    """
    wanted = tuple(states)
    for state in wanted:
        if state not in STATES:
            raise InvalidInput(f"nothing ends as {state!r}", hint=f"states: {', '.join(STATES)}")
    return pruning.Retention(
        keep=durations.seconds(older_than),
        keep_letters=None if dead_letters_older_than is None else durations.seconds(dead_letters_older_than),
        states=wanted or None,
        tenant=settings.sees,
    )


def sweep(wanted: pruning.Retention, *, dry_run: bool) -> Operation[pruning.Sweep]:
    """Begin a sweep over all shards."""
    shards = (yield from fleet.clock()).shards
    return pruning.Sweep(wanted, shards, pruning.count if dry_run else pruning.prune)


def so_far(under_way: pruning.Sweep) -> Pruned:
    """Return what a sweep has done."""
    return Pruned(runs=under_way.runs, intents=under_way.intents, dry_run=under_way.act is pruning.count)
