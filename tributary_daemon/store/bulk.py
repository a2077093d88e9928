"""One thing done to many: a batch of runs, intents or dead letters of one shard per transaction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.store.db import Operation, Query, query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Aim(NamedTuple):
    """What is acted on: a run or intent, or one step of a run. Sorts as its rows are locked.

    ``ordinal`` is that of a dead letter: those of the items of one step have its step id.
    """

    work_id: str
    step: str | None = None
    ordinal: int | None = None


class Done(NamedTuple):
    """What became of one: its new state, or the SQLSTATE and message of the refusal."""

    state: str | None
    code: str | None
    message: str | None


def act(shard: int, action: str, aims: Sequence[Aim], given: Mapping[str, Any]) -> Operation[list[Done]]:
    """Do one thing to each, all in one transaction; what is refused undoes nothing of the others.

    Args:
        shard: where they all live.
        action: cancel, retry, requeue, drop or change.
        aims: in the order of their ids.
        given: arguments of the action, as SQL's steer_many has them.
    """
    rows = yield Query(
        query("steer_many"),
        {
            "shard": shard,
            # "drop" names step ids, as the release before has it
            "action": "drop_at" if action == "drop" else action,
            "ids": [aim.work_id for aim in aims],
            "steps": [str(aim.ordinal) if action == "drop" else aim.step for aim in aims],
            "given": json.dumps(given),
        },
    )
    return [Done(*row[1:]) for row in sorted(rows, key=lambda row: row[0])]


def erring(ids: Sequence[str], text: str) -> Operation[set[str]]:
    """Return which of these have failed with this text in an error, whatever its case."""
    rows = yield Query(query("erring_ids"), {"ids": list(ids), "text": text})
    return {str(row[0]) for row in rows}
