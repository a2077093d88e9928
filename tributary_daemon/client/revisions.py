"""Workflows as the store keeps them, with those that came with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tributary_daemon.model.control import APPROVE_NAME, WAIT_NAME, WORKFLOW_NAME
from tributary_daemon.store import submit

if TYPE_CHECKING:
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.store.db import Operation

# no worker offers these by name: every daemon has them
_OWN: Final = frozenset({WORKFLOW_NAME, WAIT_NAME, APPROVE_NAME})


def revision(spec: WorkflowSpec) -> submit.Revision:
    """Return a workflow as the store keeps it."""
    return submit.Revision(spec.name, spec.revision_hash(), spec.source, json.dumps(spec.plan()))


def keep_children(spec: WorkflowSpec) -> Operation[None]:
    """Keep the workflows that came with this one, innermost first: its runs start them by their hash."""
    for child in spec.children.values():
        yield from keep_children(child)
        yield from submit.keep(revision(child))


def handler_names(spec: WorkflowSpec) -> list[str]:
    """Return the handlers that a workflow and those that came with it call, each once."""
    found = dict.fromkeys(step.name for step in spec.steps if step.name not in _OWN)
    found |= dict.fromkeys(names_beside(spec))
    for child in spec.children.values():
        found |= dict.fromkeys(handler_names(child))
    return list(found)


def names_beside(spec: WorkflowSpec) -> list[str]:
    """Return the handlers that gather the items of a workflow's steps, and that undo steps.

    Rows of these are made when they are needed: the database does not know of them before.
    """
    calls = [call for step in spec.steps for call in (step.aggregate, step.undo) if call is not None]
    return list(dict.fromkeys(call["name"] for call in calls))
