"""Workflow functions as workflows: a plan of one step, which asks for all others while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec

if TYPE_CHECKING:
    from tributary_daemon.handlers.registry import Handler

MAIN: Final = "main"
"""Id of the step that is the function."""


def spec_of(handler: Handler) -> WorkflowSpec:
    """Return the workflow that a workflow function is.

    Args:
        handler: of a function that is ``durable``.
    """
    step = StepSpec(id=MAIN, ordinal=1, name=handler.name, action="function", options=dict(handler.options))
    return WorkflowSpec(
        name=handler.name,
        steps=(step,),
        description=handler.description,
        timeout=handler.run_timeout,
        function=True,
    )
