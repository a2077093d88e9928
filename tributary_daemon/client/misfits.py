"""Workflows against what workers have registered: warnings, or a refusal when that is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tributary_daemon.client import registered
from tributary_daemon.client.local import Local
from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.spec.recheck import recheck

if TYPE_CHECKING:
    from collections.abc import Collection

    from tributary_daemon.errors import Problem
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.store.db import Operation


def found_misfits(spec: WorkflowSpec, elsewhere: Collection[str] = ()) -> Operation[tuple[Problem, ...]]:
    """Return what does not go with the handlers that workers have registered.

    What this process has itself was looked at when the workflow was loaded.

    Args:
        spec: the workflow.
        elsewhere: ids of steps whose payload does not stand in its source.
    """
    if all(step.name in REGISTRY for step in spec.steps):
        return ()
    rows = yield from registered.handlers()
    return recheck(spec, Local(rows=rows), elsewhere=elsewhere)


def refuse(problems: tuple[Problem, ...]) -> None:
    """Refuse a workflow that has problems.

    Raises:
        InvalidWorkflow: it has.
    """
    if problems:
        raise InvalidWorkflow(problems)


def as_warnings(problems: tuple[Problem, ...]) -> list[str]:
    """Return problems as sentences that refuse nothing: workers may be newer tomorrow."""
    return [replace(problem, severity="warning").render() for problem in problems]
