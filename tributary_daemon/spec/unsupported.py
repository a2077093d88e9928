"""What the language has, files may hold and drawings show, but nothing executes yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.errors import InvalidWorkflow, Problem
from tributary_daemon.spec import codes

if TYPE_CHECKING:
    from tributary_daemon.spec.workflow import WorkflowSpec

_HINT: Final = "a sub-workflow is not kept as a whole: give cache to the steps inside it"


def refuse_unsupported(spec: WorkflowSpec) -> None:
    """Refuse to run a workflow that needs what cannot be executed yet.

    Raises:
        InvalidWorkflow: names every such step, those of its sub-workflows included.
    """
    if problems := unsupported(spec):
        raise InvalidWorkflow(problems)


def unsupported(spec: WorkflowSpec) -> list[Problem]:
    """Return what of a workflow cannot be executed yet, sub-workflows included."""
    found: dict[Problem, None] = {}
    waiting = [(spec, "")]
    seen: set[int] = set()
    while waiting:
        each, of = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        for step in each.steps:
            if step.action == "workflow" and step.cache is not None:
                message = f"step {step.id!r}{of}: `cache` of a sub-workflow cannot be executed yet"
                found[Problem(codes.UNSUPPORTED, message, hint=_HINT)] = None
        waiting.extend((child, f" of {child.name}") for child in each.children.values())
    return list(found)
