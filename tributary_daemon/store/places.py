"""Which sealed values may stand where: SQL copies some, so a place takes more than what was made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from tributary_daemon.sealing.envelope import NOWHERE, Field, Origin

if TYPE_CHECKING:
    from tributary_daemon.sealing.box import Admits, Path

Roots = Mapping[str, str]
"""Run -> its root; those of the runs that were asked for."""
Rule = Callable[[Origin, "Path", Roots], bool]

_COME: Final = (Field.SIGNAL, Field.ANSWER)


def label(step_id: str | None, item_key: str | None) -> str:
    """Return how results name a step: ``STEP``, ``STEP[KEY]`` of an item, nothing for an intent."""
    return (step_id or "") if item_key is None else f"{step_id}[{item_key}]"


def admits(rule: Rule, roots: Roots | None = None, tenant: str | None = None) -> Admits:
    """Return a rule as it is asked for each value: for those of one tenant, if that is known."""
    known = roots or {}
    return lambda origin, path: (tenant is None or origin.tenant == tenant) and rule(origin, path, known)


def exact(run: str, step: str, *fields: Field) -> Rule:
    """Take what was sealed for just this place."""
    return lambda origin, _path, _roots: origin.run == run and origin.step == step and origin.field in fields


def whose(tenant: str, rule: Rule) -> Rule:
    """Take what a rule takes, of one tenant."""
    return lambda origin, path, roots: origin.tenant == tenant and rule(origin, path, roots)


def of_run(run: str, *fields: Field) -> Rule:
    """Take what belongs to a run, of whichever step."""
    return lambda origin, _path, _roots: origin.run == run and (not fields or origin.field in fields)


def error(run: str, ordinal: str | None = None) -> Rule:
    """Take the error of a step, or of a run; that of a child run is told by its parent's step."""

    def rule(origin: Origin, _path: Path, roots: Roots) -> bool:
        if origin.run != run:
            return origin.field in (Field.ERROR, Field.ANSWER) and _akin(run, origin.run, roots)
        # the reason of who rejects is part of the error
        return origin.field is Field.ANSWER or (
            origin.field is Field.ERROR and ordinal in (None, origin.step)
        )

    return rule


def payload(
    run: str, ordinal: int, name: str = "", *, parent: str | None = None, inputs: bool = False
) -> Rule:
    """Take what a step was given.

    Args:
        run: of the step.
        ordinal: of the step; 0 for an intent's payload and a run's inputs.
        name: of an item, or of what undoes a step.
        parent: the run whose step has started this one.
        inputs: a workflow function, which is given the inputs of its run.
    """
    whole = ordinal == 0 or inputs

    def rule(origin: Origin, _path: Path, _roots: Roots) -> bool:
        match origin.field:
            case Field.PAYLOAD:
                return origin.run == run and (origin.step == str(ordinal) or (inputs and origin.step == "0"))
            case Field.ITEM:
                # what undoes an item is given what the item was
                return origin.run == run and name in (origin.step, f"undo:{origin.step}")
            case Field.UNDO:
                return origin.run == run and f"undo:{origin.step}" == name
            case Field.CHILD:
                return whole and parent is not None and origin.run == parent
            case Field.SCHEDULE:
                return whole and origin.run == NOWHERE
        return False

    return rule


def result(run: str, step: str) -> Rule:
    """Take the result of a step: its own, the signal or answer that ended it, or what a child run came to."""

    def rule(origin: Origin, _path: Path, roots: Roots) -> bool:
        if origin.run != run:
            return _came_up(run, origin, roots)
        return origin.step == step if origin.field is Field.RESULT else origin.field in _COME

    return rule


def run_result(run: str) -> Rule:
    """Take the result of a run: evaluated at its end, of its function, or results of steps by their ids."""

    def rule(origin: Origin, path: Path, roots: Roots) -> bool:
        if origin.run != run:
            return _came_up(run, origin, roots)
        if origin.field is not Field.RESULT:
            return origin.field in _COME
        return origin.step == path[0] if path else origin.step in ("", "main")

    return rule


def schedule(name: str) -> Rule:
    """Take the inputs of a schedule."""
    return exact(NOWHERE, name, Field.SCHEDULE)


def _came_up(run: str, origin: Origin, roots: Roots) -> bool:
    return origin.field in (Field.RESULT, *_COME) and _akin(run, origin.run, roots)


def _akin(one: str, other: str, roots: Roots) -> bool:
    root = roots.get(one)
    return root is not None and roots.get(other) == root
