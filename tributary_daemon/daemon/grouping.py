"""Steps with a concurrency group ask for its slot before they start, and give it back once they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon import codec
from tributary_daemon.engine.failures import unfit
from tributary_daemon.engine.grouping import group_of
from tributary_daemon.engine.inputs import contexts
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.control import WORKFLOW_NAME, Flag, is_undo
from tributary_daemon.model.outcome import Discarded, ErrorRecord
from tributary_daemon.spec.expressions import ExpressionError
from tributary_daemon.store import groups
from tributary_daemon.store.contexts import AGGREGATE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.store.db import Connection
    from tributary_daemon.store.finishes import Ended


def is_grouped(held: Held) -> bool:
    """Return whether a claimed step has to ask for a slot; its surroundings are loaded."""
    return (
        held.facts is not None
        and "concurrency" in held.facts.step
        # a sub-workflow has given its slot back when its child run ended
        and (not held.control or (held.name == WORKFLOW_NAME and not held.flags & Flag.EXPANDED))
        and held.payload != AGGREGATE
        # what undoes a step is none of the work that its group keeps apart
        and not is_undo(held.flags)
    )


def ask(connection: Connection, process_id: int, held: Held) -> str | Outcome:
    """Ask for the slot of a step.

    Returns:
        ``held``: it may start; ``queued``: its lease is gone, it waits; ``lost``: its token no longer stands;
        or its outcome, where the group refuses it or cannot be told.
    """
    assert held.facts is not None
    item = codec.loads(held.payload) if held.flags & Flag.ITEM else None
    try:
        group = group_of(held.facts.step["concurrency"], contexts(held.facts, item))
    except ExpressionError as error:
        return Discarded(unfit(error, held, "expression"))
    except InvalidInput as error:
        return Discarded(unfit(error, held, "invalid_payload"))
    answer = groups.enter(connection, held.shard, process_id, held.token, group)
    if answer == "rejected":
        message = f"the concurrency group {group.name!r} is full, and the step says on_limit: reject"
        return Discarded(ErrorRecord("GroupFull", message, held.attempt, "group_limit"))
    held.grouped = answer == "held"
    return answer


def leave(connection: Connection, shard: int, outcomes: Iterable[tuple[Held, Ended]]) -> None:
    """Give back the slots of those that have ended; who has started a child run keeps it until that ends."""
    grouped = [held for held, item in outcomes if held.grouped and item.outcome != "started"]
    if grouped:
        groups.leave(connection, shard, [(held.run_id, held.ordinal) for held in grouped])
