"""What an expression may read, by the key it stands in."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

STATUS_FUNCTIONS: Final = ("success", "failure", "always", "cancelled")
_ITEM_CONTEXTS: Final = {"for_each": ("item", "index"), "matrix": ("matrix", "index")}
PER_ITEM: Final = frozenset(("item", "index", "matrix"))

_ALL: Final = frozenset(("inputs", "steps", "run", "env"))
_BEFORE_STEPS: Final = frozenset(("inputs", "run"))


# told apart by identity: there is one of each, and comparing them is on the path of every expression
@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A key whose value may hold expressions.

    Attributes:
        key: its name, for messages.
        contexts: what may be read wherever the key stands.
        edges: a reference to a step makes the step wait for it.
        per_item: evaluated once per item, in a step that fans out.
        status: status functions may be called.
        own: the step itself may be read: it has ended.
    """

    key: str
    contexts: frozenset[str] = _ALL
    edges: bool = True
    per_item: bool = True
    status: bool = False
    own: bool = False


_WITH: Final = _ALL | {"secrets"}
OF_A_STEP: Final[dict[str, Place]] = {
    "with": Place("with", _WITH),
    "env": Place("env", _WITH),
    "given": Place("given", _WITH),
    "if": Place("if", status=True),
    "for_each": Place("for_each", per_item=False),
    "matrix": Place("matrix", per_item=False),
    "aggregate": Place("aggregate", _WITH, per_item=False, own=True),
    "undo": Place("undo", _WITH, edges=False, own=True),
    **{
        key: Place(key)
        for key in (
            "key",
            "dir",
            "cache",
            "concurrency",
            "wait",
            "approve",
            "queue",
            "priority",
            "max_attempts",
            "timeout",
            "run_after",
        )
    },
}
"""Keys of a step."""
RESULT: Final = Place("result", edges=False, per_item=False)
WORKFLOW_ENV: Final = Place("env", _BEFORE_STEPS | {"secrets"}, edges=False, per_item=False)
WORKFLOW_CONCURRENCY: Final = Place("concurrency", _BEFORE_STEPS, edges=False, per_item=False)
PRECONDITIONS: Final = Place("preconditions", _BEFORE_STEPS, edges=False, per_item=False)


@functools.cache
def contexts(place: Place, fan: str | None) -> frozenset[str]:
    """Return what an expression in ``place`` may read.

    Args:
        place: where it stands.
        fan: ``for_each`` or ``matrix`` of its step, None when it runs once.
    """
    if fan is None or not place.per_item:
        return place.contexts
    return place.contexts | frozenset(_ITEM_CONTEXTS[fan])


def why_not(context: str, place: Place, fan: str | None) -> tuple[str, str]:
    """Return the message and the hint for a context that ``place`` cannot read."""
    message = f"`{place.key}` cannot read `{context}`"
    if context == "secrets":
        return message, "secrets stand in `env` and `with` only, so that they are never stored"
    if context in PER_ITEM:
        if not place.per_item and fan is not None:
            return message, f"`{place.key}` belongs to the whole step, `{context}` to one of its items"
        if fan is None:
            return (
                f"`{context}` is known only in a step with for_each or matrix",
                "for_each: ${{ … }} gives item and index, matrix gives matrix.NAME and index",
            )
        hint = (
            "this step has for_each: read item and index"
            if fan == "for_each"
            else "this step has a matrix: read matrix.NAME and index"
        )
        return f"`{context}` is not known here", hint
    if context == "steps":
        return message, "it is evaluated before any step runs; it can read inputs and run"
    return message, f"it can read {', '.join(sorted(contexts(place, fan)))}"
