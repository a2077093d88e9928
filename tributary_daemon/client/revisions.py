"""Workflows as the store keeps them, with those that came with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tributary_daemon.model.control import WORKFLOW_NAME
from tributary_daemon.store import submit

if TYPE_CHECKING:
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.store.db import Operation

# no worker offers these by name: every daemon has them, or will
_OWN: Final = frozenset({WORKFLOW_NAME, "trib.wait.v1", "trib.approve.v1"})


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
    found |= dict.fromkeys(step.aggregate["name"] for step in spec.steps if step.aggregate is not None)
    for child in spec.children.values():
        found |= dict.fromkeys(handler_names(child))
    return list(found)
