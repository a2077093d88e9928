"""Pruning of finished work, as a client asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations
from tributary_daemon.store import fleet, keeping, pruning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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
        kept: of the runs, how many went by the ``keep`` of their workflow, by its name.
    """

    runs: int
    intents: int
    dry_run: bool = False
    kept: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``prune`` prints it."""
        return {
            "runs": self.runs,
            "intents": self.intents,
            "dry_run": self.dry_run,
            "kept": dict(self.kept),
        }


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


@dataclass(slots=True)
class Under:
    """A prune under way: first what workflows say of their own runs, then what is old."""

    kept: keeping.KeepSweep | None
    old: pruning.Sweep | None
    dry_run: bool

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return (self.kept is None or self.kept.ended) and (self.old is None or self.old.ended)

    @property
    def pause(self) -> float:
        """Seconds to wait before the next batch."""
        return self._current.pause

    @property
    def _current(self) -> keeping.KeepSweep | pruning.Sweep:
        found = self.kept if self.old is None or (self.kept is not None and not self.kept.ended) else self.old
        assert found is not None
        return found

    def batch(self) -> Operation[None]:
        """Do the next batch."""
        yield from self._current.batch()

    def so_far(self) -> Pruned:
        """Return what was done."""
        sweeps = [sweep for sweep in (self.kept, self.old) if sweep is not None]
        return Pruned(
            runs=sum(sweep.runs for sweep in sweeps),
            intents=sum(sweep.intents for sweep in sweeps),
            dry_run=self.dry_run,
            kept=dict(self.kept.by_name) if self.kept is not None else {},
        )


def begin(
    settings: Settings,
    older_than: float | str | timedelta | None,
    states: Iterable[str],
    dead_letters_older_than: float | str | timedelta | None,
    *,
    dry_run: bool,
) -> Operation[Under]:
    """Begin to prune. Whoever names states or is of one tenant means no run of a workflow's ``keep``.

    Raises:
        InvalidInput: a duration or state is malformed, or nothing says what may go.
    """
    states = tuple(states)
    letters = None if dead_letters_older_than is None else durations.seconds(dead_letters_older_than)
    by_keep = not states and settings.sees is None
    if older_than is None and not by_keep:
        raise InvalidInput("say how old what goes must be", hint="give older_than (--older-than 30d)")
    wanted = None if older_than is None else retention(settings, older_than, states, dead_letters_older_than)
    shards = (yield from fleet.clock()).shards
    kept = keeping.KeepSweep(shards, keep_letters=letters, act=not dry_run) if by_keep else None
    old = (
        None if wanted is None else pruning.Sweep(wanted, shards, pruning.count if dry_run else pruning.prune)
    )
    return Under(kept, old, dry_run)


def keeping_names() -> Operation[tuple[str, ...]]:
    """Return the names of the workflows with a ``keep``."""
    return tuple(keep.name for keep in (yield from keeping.keeps()))
