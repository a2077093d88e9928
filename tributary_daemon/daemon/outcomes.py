"""From an attempt's outcome to what is written down."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, assert_never

from tributary_daemon.model.outcome import Completed, Discarded, Failed, Outcome, Released, Skipped, Snoozed
from tributary_daemon.store.leases import Ended

if TYPE_CHECKING:
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import ErrorRecord


def ended(held: Held, outcome: Outcome) -> Ended:
    """Return the outcome of a held lease as the finish takes it."""
    token, elapsed, in_run = held.token, held.elapsed, held.in_run
    match outcome:
        case Completed(result):
            return Ended(token, "completed", result, None, None, elapsed, in_run)
        case Failed(error, delay):
            return Ended(token, "retry", None, _text(error), delay, elapsed, in_run)
        case Discarded(error, abort_run):
            word = "aborted" if abort_run and in_run else "discarded"
            return Ended(token, word, None, _text(error), None, elapsed, in_run)
        case Snoozed(delay):
            return Ended(token, "snoozed", None, None, delay, elapsed, in_run)
        case Released():
            return Ended(token, "released", None, None, None, elapsed, in_run)
        case Skipped(trace):
            return Ended(token, "skipped", json.dumps(trace), None, None, elapsed, in_run)
        case _:
            assert_never(outcome)


def _text(error: ErrorRecord) -> str:
    return json.dumps(error.to_json())
