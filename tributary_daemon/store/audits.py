"""What the hook ``audit`` has taken note of: written row by row, removed when its time is over."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tributary_daemon.store.db import Operation, Query, query
from tributary_daemon.store.pruning import Paced

Action = Literal["submitting", "submitted", "known", "completed", "failed", "put_off", "cancelled"]


class Note(NamedTuple):
    """One line of an audit; hashes are SHA-256, payload and result JSON text.

    Attributes:
        run_id: of the run or the intent.
        tenant: empty for none.
        action: what was done.
        name: of the handler or workflow.
        step: id in its workflow.
        attempt: number of the attempt.
        place: who says so.
        payload_hash: of the payload or the inputs.
        result_hash: of the result.
        payload: if it is to be kept.
        result: if it is to be kept.
        error: class and message.
    """

    run_id: str
    tenant: str
    action: Action
    name: str
    step: str | None
    attempt: int | None
    place: str
    payload_hash: bytes | None = None
    result_hash: bytes | None = None
    payload: str | None = None
    result: str | None = None
    error: str | None = None


def record(note: Note, keep: float | None) -> Operation[None]:
    """Store a line; ``keep``: for so many seconds, None for ever."""
    yield Query(query("record_audit"), {**note._asdict(), "keep": keep})


def prune(shard: int, limit: int) -> Operation[int]:
    """Remove lines whose time is over; return how many went."""
    rows = yield Query(query("prune_audit"), {"shard": shard, "limit": limit})
    return int(rows[0][0])


@dataclass(slots=True)
class AuditSweep(Paced):
    """One pass over the lines whose time is over.

    Attributes:
        shards: number of shards.
        ended: whether all was passed.
    """

    shards: int
    ended: bool = False
    _shard: int = 0

    def batch(self) -> Operation[None]:
        """Do the next batch; one that broke off is simply done again."""
        began, limit = time.monotonic(), round(self._limit)
        went = yield from prune(self._shard, limit)
        if went < limit:
            self._shard += 1
        self.ended = self._shard >= self.shards
        self._took(began, went)
