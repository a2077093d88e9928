"""Steps that the engine runs itself, without a handler: they decide what happens to others."""

from __future__ import annotations

from typing import Final

CLOSING_NAME: Final = "trib.close.v1"
"""Ends a run: evaluates its ``result``."""
FAN_NAME: Final = "trib.fan.v1"
"""A step with ``for_each`` or ``matrix``: makes its items, and gathers their results."""
WORKFLOW_NAME: Final = "trib.workflow.v1"
"""A step with ``workflow``: starts a child run."""
OPTIONS_NAME: Final = "trib.options.v1"
"""A step, or an item, with expressions in its options: decides these, and is what it is from then on."""
WAIT_NAME: Final = "trib.wait.v1"
"""A step with ``wait``: for a time, or a signal to its run."""
APPROVE_NAME: Final = "trib.approve.v1"
"""A step with ``approve``: for an answer of people."""
CONTROL_NAMES: Final = frozenset(
    {CLOSING_NAME, FAN_NAME, WORKFLOW_NAME, OPTIONS_NAME, WAIT_NAME, APPROVE_NAME}
)
CONTROL_QUEUE: Final = "~closing"
"""Served by every daemon beside its own queues."""
PRIVATE: Final = "@"
"""Begins the name of the queue of one ``trib run``: what waits there ends with that command."""


class Flag:
    """Bits of ``steps.flags``; what they mean stands in the comment of that column."""

    OPTIONAL: Final = 1
    DECIDES: Final = 4
    DYNAMIC: Final = 8
    CONDITION: Final = 32
    ITEM: Final = 256
    HOOK: Final = 512 | 1024 | 2048 | 4096
    EXPANDED: Final = 8192
    AGGREGATED: Final = 16384


def is_asked(flags: int) -> bool:
    """Return whether a workflow function has asked for a step."""
    return flags & (Flag.EXPANDED | Flag.AGGREGATED) == Flag.AGGREGATED


UNDO: Final = "undo"
"""The phase of a run in which it undoes what it has done, and the hook of the steps that do it."""
_UNDO_BITS: Final = 512 | 1024
UNDO_PREFIX: Final = "undo:"
"""Begins the id of a step that undoes another one; a colon is in no id of a file."""
_HOOKS: Final = {
    512: "on_success", 1024: "on_failure", 2048: "on_cancel", 4096: "finally", _UNDO_BITS: UNDO
}  # fmt: skip


def hook_of(flags: int) -> str | None:
    """Return the hook that a step belongs to; None for a step of the run itself."""
    return _HOOKS.get(flags & Flag.HOOK)


def is_undo(flags: int) -> bool:
    """Return whether a step undoes another one."""
    return flags & Flag.HOOK == _UNDO_BITS


def undone(step_id: str) -> tuple[str, str | None]:
    """Return id and item key of what a step undoes: ``undo:STEP`` or ``undo:STEP[KEY]``."""
    name, bracket, key = step_id.removeprefix(UNDO_PREFIX).partition("[")
    return name, key[:-1] if bracket else None
