"""What has ended with attempts of runs: read once they have, to make spans of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from tributary_daemon.store.db import Query, query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tributary_daemon.store.db import Operation


class Noted(NamedTuple):
    """An attempt of a run whose outcome is about to be written, or is: its fence, and where its row lives."""

    shard: int
    run_id: str
    ordinal: int
    seq: int


class Ended(NamedTuple):
    """A row of what has ended.

    Attributes:
        what: ``open``: a noted attempt whose outcome is not written yet; only its fence is told then.
        shard: where it lives.
        run_id: of the run.
        ordinal: of the step; 0 for a run.
        seq: of the last attempt of the step.
        name: the handler's, or the workflow's.
        step_id: of the step.
        item_key: of an item of a fan-out.
        state: in which it ended.
        reason: why.
        attempts: of the step, since the last explicit retry.
        attempt_base: attempts before that.
        queue: of the step.
        tenant: whose it is.
        began_at: the step: when its first attempt started; the run: when it could begin.
        ended_at: when it ended.
        traceparent: of the run.
        correlation_id: of the run.
        business_id: of the run.
        parent_run_id: the run that has started this one.
        parent_ordinal: the step that did.
        parent_base: the `attempt_base` of that step.
        depth: 0 for what the attempt belongs to, 1 for its parent, and so on.
    """

    what: Literal["open", "step", "run"]
    shard: int
    run_id: str
    ordinal: int
    seq: int
    name: str
    step_id: str | None
    item_key: str | None
    state: str
    reason: str | None
    attempts: int
    attempt_base: int
    queue: str
    tenant: str
    began_at: datetime | None
    ended_at: datetime
    traceparent: str | None
    correlation_id: str | None
    business_id: str | None
    parent_run_id: str | None
    parent_ordinal: int | None
    parent_base: int | None
    depth: int


def ended(shard: int, noted: Sequence[Noted]) -> Operation[list[Ended]]:
    """Read what has ended together with these attempts of one shard; children come before their parents."""
    rows = yield Query(
        query("ended_spans"),
        {
            "shard": shard,
            "run_ids": [one.run_id for one in noted],
            "ordinals": [one.ordinal for one in noted],
            "seqs": [one.seq for one in noted],
        },
    )
    return [Ended(*row) for row in rows]
