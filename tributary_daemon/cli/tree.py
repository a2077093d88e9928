"""The steps of a run as a tree: pure arithmetic on the status document.

A graph is not a tree. Each step hangs below its immediate dominator, the nearest step that every path to
it leads through: a fork-join shows the join beside its branches, under the fork, where it happens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BRANCHES = {True: ("├─ ", "│  ", "└─ ", "   "), False: ("|- ", "|  ", "`- ", "   ")}
MAX_INDENT = 12


class Place(NamedTuple):
    """Where a step stands.

    Attributes:
        step_id: id of the step.
        indent: the drawn branches in front of it.
        parent: the step it hangs below, None at the top.
    """

    step_id: str
    indent: str
    parent: str | None


def places(steps: Mapping[str, Mapping[str, Any]], *, unicode: bool = True) -> list[Place]:
    """Return the steps in the order in which they are drawn.

    Args:
        steps: ``steps`` of a status document; only ``needs`` is read.
        unicode: draw with box characters, else with ASCII.
    """
    order = _sorted(steps)
    parents = _dominators(order, steps)
    children: dict[str | None, list[str]] = {}
    for step_id in order:
        children.setdefault(parents[step_id], []).append(step_id)
    fork, bar, last, blank = _BRANCHES[unicode]
    drawn: list[Place] = []
    # (step, branches in front of it, what stands in front of its children, depth); chains may be long
    stack = [(step_id, "", "", 0) for step_id in reversed(children.get(None, []))]
    while stack:
        step_id, indent, below, depth = stack.pop()
        drawn.append(Place(step_id, indent, parents[step_id]))
        own = children.get(step_id, [])
        for position in range(len(own) - 1, -1, -1):
            child = own[position]
            if depth >= MAX_INDENT:
                stack.append((child, indent, below, depth))
                continue
            ends = position == len(own) - 1
            front, under = (last, blank) if ends else (fork, bar)
            stack.append((child, below + front, below + under, depth + 1))
    return drawn


def _sorted(steps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the ids so that needs come first, otherwise in the order of the file."""
    unmet = {step_id: len(_needs(step, steps)) for step_id, step in steps.items()}
    wanted_by: dict[str, list[str]] = {step_id: [] for step_id in steps}
    for step_id, step in steps.items():
        for need in _needs(step, steps):
            wanted_by[need].append(step_id)
    ready = [step_id for step_id, count in unmet.items() if count == 0]
    order: list[str] = []
    for step_id in ready:
        order.append(step_id)
        for other in wanted_by[step_id]:
            unmet[other] -= 1
            if unmet[other] == 0:
                ready.append(other)
    return order


def _needs(step: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [need for need in dict.fromkeys(step.get("needs") or ()) if need in steps]


def _dominators(order: Sequence[str], steps: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    parents: dict[str, str | None] = {}
    depth: dict[str | None, int] = {None: 0}
    for step_id in order:
        meeting: str | None = None
        for position, need in enumerate(_needs(steps[step_id], steps)):
            meeting = need if position == 0 else _meet(meeting, need, parents, depth)
            if meeting is None:
                break
        parents[step_id] = meeting
        depth[step_id] = depth[meeting] + 1
    return parents


def _meet(
    one: str | None, other: str | None, parents: Mapping[str, str | None], depth: Mapping[str | None, int]
) -> str | None:
    while one != other:
        if one is not None and depth[one] >= depth[other]:
            one = parents[one]
        elif other is not None:
            other = parents[other]
    return one
