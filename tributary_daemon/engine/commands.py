"""What workflow functions ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput, StepFailed, WaitOver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.handlers.pending import Pending
    from tributary_daemon.model.history import Ending

IN_PLACE: Final = frozenset({"in_place", "transaction"})
"""Kinds that are done by the process that runs the function, without a step."""
_MADE: Final = {"run": "run", "child": "child"}


@dataclass(slots=True, eq=False)
class Command:
    """Something that a workflow function has asked for.

    Attributes:
        number: in the order of asking, from 1.
        kind: ``run``, ``child``, ``sleep``, ``signal``, ``approval``, ``in_place``, ``transaction``.
        name: of the handler, the workflow, the signal …
        id: of its step in the run.
        ordinal: of its step; None for what is done in place.
        pending: what the function awaits.
        payload: of the step; in place JSON text; of a transaction its function and arguments; None where a
            replay needs none.
        options: of the step.
        terms: of a wait, as ``begin_wait`` takes them.
        ended: whether the function has taken note of its end.
    """

    number: int
    kind: str
    name: str
    id: str
    ordinal: int | None
    pending: Pending[Any]
    payload: Any = None
    options: Mapping[str, Any] | None = None
    terms: Mapping[str, Any] | None = None
    ended: bool = False

    def ask(self) -> dict[str, Any]:
        """Return it as ``suspend_steps`` takes it."""
        kind = _MADE.get(self.kind, "wait")
        made = {"ordinal": self.ordinal, "id": self.id, "kind": kind, "name": self.name}
        if kind == "wait":
            # a step that waits finds its terms in its payload, should it have to begin once more
            return {**made, "payload": self.terms, "terms": self.terms}
        return {**made, "payload": self.payload, "options": dict(self.options or {})}


def failure(command: Command, ending: Ending) -> StepFailed:
    """Return what a function gets that awaits something which ended badly."""
    error = ending.error or {}
    reason = error.get("reason")
    kind = WaitOver if reason == "timeout" and command.kind in ("signal", "approval") else StepFailed
    return kind(
        command.id,
        str(error.get("type") or "Cancelled"),
        str(error.get("message") or f"it was {ending.state}"),
        str(reason) if reason is not None else ("cancelled" if ending.state == "cancelled" else None),
    )


def without_last_failure(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events without what failed last, if it led to nothing but the end: a retry tries it again."""
    cut = len(events)
    for index in range(cut - 1, -1, -1):
        event = events[index]
        if event["type"] not in ("ended", "did"):
            break
        if event.get("state", "completed") != "completed" or "error" in event:
            cut = index
    return events[:cut]


class Ids:
    """The ids of the steps of a run: each names one."""

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)
        # per name, how often it was asked for: a thousand of one name are not counted from the beginning
        self._counts: dict[str, int] = {}

    def take(self, found: str) -> None:
        """Note an id that a history has."""
        self._taken.add(found)

    def refuse(self, given: str | None) -> None:
        """Refuse an id that is taken: in a replay as it was when it happened.

        Raises:
            InvalidInput: it is.
        """
        if given is not None and given in self._taken:
            raise InvalidInput(f"two steps have the id {given!r}", hint="an id names one step of a run")

    def give(self, given: str | None, name: str) -> str:
        """Return an id that no other step has, made of a handler's name unless one is given."""
        if given is not None:
            self._taken.add(given)
            return given
        parts = name.split(".")
        versioned = len(parts) > 1 and parts[-1][:1] == "v" and parts[-1][1:].isdigit()
        base = parts[-2] if versioned else name
        count = self._counts.get(base, 0) + 1
        while (found := base if count == 1 else f"{base}-{count}") in self._taken:
            count += 1
        self._counts[base] = count
        self._taken.add(found)
        return found
