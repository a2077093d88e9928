"""Outcomes on their way into the table, and the parameters of the statements that write them."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.store.arrays import numbers, plain, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.model.outcome import Part

Token = tuple[str, int, int]
"""run_id, ordinal and seq at claim: the fence of an attempt."""

_KEY: Final = itemgetter(0, 1, 2)


class Ended(NamedTuple):
    """One outcome on its way into the table. Sorts as its row is locked: by key.

    Attributes:
        run_id: of the step, with ``ordinal`` and ``seq`` the fence of the attempt.
        ordinal: of the step.
        seq: of the step at its claim.
        tid: where the claim has left its row; empty when that is not known.
        outcome: a word that finish_steps knows.
        result: JSON text of a completed attempt.
        error: JSON text of the error record.
        delay: seconds until it is available again.
        elapsed: seconds from the claim's reply to the handler's start; None when it never started.
        in_run: the step belongs to a run, which has to be locked.
        part: what a workflow function adds to its history before it; None for all others.
    """

    run_id: str
    ordinal: int
    seq: int
    tid: str
    outcome: str
    result: str | None = None
    error: str | None = None
    delay: float | None = None
    elapsed: float | None = None
    in_run: bool = False
    part: Part | None = None


class Finish(NamedTuple):
    """Parameters of a finish; ``tids`` alone where all have completed, and ``outcomes`` where not."""

    shard: int
    process: int
    tids: str | None
    run_ids: str
    ordinals: str
    seqs: str
    outcomes: str | None
    results: str
    errors: str | None
    delays: str | None
    elapsed: str
    has_runs: bool
    queues: str
    names: str
    free: int


def finish_params(
    shard: int, process_id: int, ended: Iterable[Ended], served: tuple[str, str, int]
) -> Finish:
    """Return the parameters of a finish, in the order of the locks.

    Args:
        shard: of all of it.
        process_id: whose attempts they were.
        ended: outcomes.
        served: queues and names that the caller claims next, and how many rows: not worth a wake-up.
    """
    run_ids, ordinals, seqs, tids, outcomes, results, errors, delays, elapsed, in_run, _ = zip(
        *sorted(ended, key=_KEY), strict=True
    )
    usual = outcomes.count("completed") == len(outcomes) and "" not in tids
    return Finish(
        shard,
        process_id,
        quoted(tids) if usual else None,
        plain(run_ids),
        numbers(ordinals),
        numbers(seqs),
        None if usual else plain(outcomes),
        quoted(results),
        None if usual else quoted(errors),
        None if usual else numbers(delays),
        numbers(elapsed),
        any(in_run),
        *served,
    )


def exchange_params(finish: Finish, claim: tuple[Any, ...], in_all: int) -> tuple[Any, ...]:
    """Return the parameters of both in one, of a finish of what has all completed."""
    _, _, queues, priorities, tenants, lows, _, most = claim
    return (
        *(finish.shard, finish.process, finish.tids, finish.run_ids, finish.ordinals, finish.seqs),
        *(finish.results, finish.elapsed, finish.queues, finish.names, finish.free),
        *(queues, priorities, tenants, lows, max(most, in_all)),
    )
