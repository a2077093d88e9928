"""From an attempt's outcome to what is written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, assert_never

from tributary_daemon.daemon.seals import seal_ended, seal_result
from tributary_daemon.model.outcome import (
    Cached,
    CacheWait,
    Completed,
    Continued,
    Crashed,
    Decided,
    Discarded,
    Expanded,
    Failed,
    Outcome,
    Parked,
    Recorded,
    Released,
    Skipped,
    Snoozed,
    Started,
    Suspended,
    Waits,
)
from tributary_daemon.store.finishes import Ended

if TYPE_CHECKING:
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import ErrorRecord
    from tributary_daemon.sealing.ring import Ring

RETURNED: Final = "returned"
"""Reason of a `Released` that gives back what certainly never started."""


def ended(held: Held, outcome: Outcome, keys: Ring | None = None) -> Ended:
    """Return the outcome of a held lease as the finish takes it: sealed where there are keys."""
    if isinstance(outcome, Completed):
        # as nearly all end
        result = outcome.result if keys is None else seal_result(held, outcome.result, keys)
        return Ended(
            held.run_id, held.ordinal, held.seq, held.tid,
            "completed", result, None, None, held.elapsed, held.in_run,
        )  # fmt: skip
    item = _ended(held, outcome)
    return item if keys is None else seal_ended(held, item, keys)


def _ended(held: Held, outcome: Outcome) -> Ended:
    key, elapsed, in_run = (held.run_id, held.ordinal, held.seq, held.tid), held.elapsed, held.in_run
    match outcome:
        case Completed(result):
            return Ended(*key, "completed", result, None, None, elapsed, in_run)
        case Cached(result):
            return Ended(*key, "cached", result, None, None, elapsed, in_run)
        case CacheWait(delay):
            return Ended(*key, "cache_wait", None, None, delay, elapsed, in_run)
        case Failed(error, delay):
            return Ended(*key, "retry", None, _text(error), delay, elapsed, in_run)
        case Discarded(error, abort_run):
            word = "aborted" if abort_run and in_run else "discarded"
            return Ended(*key, word, None, _text(error), None, elapsed, in_run)
        case Snoozed(delay, error):
            told = None if error is None else _text(error)
            return Ended(*key, "snoozed", None, told, delay, elapsed, in_run)
        case Released(reason):
            word = "returned" if reason == RETURNED else "released"
            return Ended(*key, word, None, None, None, elapsed, in_run)
        case Crashed(error):
            return Ended(*key, "crashed_alone", None, _text(error), None, elapsed, in_run)
        case Skipped(trace):
            return Ended(*key, "skipped", json.dumps(trace), None, None, elapsed, in_run)
        case Expanded(fan):
            return Ended(*key, "expanded", fan, None, None, elapsed, in_run)
        case Started(child):
            return Ended(*key, "started", child, None, None, elapsed, in_run)
        case Decided(options):
            return Ended(*key, "decided", options, None, None, elapsed, in_run)
        case Waits(terms):
            return Ended(*key, "waits", terms, None, None, elapsed, in_run)
        case Suspended(terms):
            return Ended(*key, "suspended", terms, None, None, elapsed, in_run)
        case Continued(terms):
            return Ended(*key, "continued", terms, None, None, elapsed, in_run)
        case Parked(error):
            return Ended(*key, "parked", None, _text(error), None, elapsed, in_run)
        case Recorded(inner, part):
            return _ended(held, inner)._replace(part=part)
        case _:
            assert_never(outcome)


def _text(error: ErrorRecord) -> str:
    return json.dumps(error.to_json())
