"""A run together with the revision that it goes on with: what a drawing of it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tributary_daemon.client.operations import document
from tributary_daemon.spec.workflow import WorkflowSpec
from tributary_daemon.store import runs

if TYPE_CHECKING:
    from tributary_daemon.client.documents import Document
    from tributary_daemon.store.db import Operation


class Shape(NamedTuple):
    """Work and its graph.

    Attributes:
        document: the status document.
        spec: the workflow as it was submitted; None for an intent.
    """

    document: Document
    spec: WorkflowSpec | None


def shape(text: str) -> Operation[Shape]:
    """Read a run with its revision, or an intent, by its id, part of it, or ``@latest``.

    Raises:
        NotFound: there is neither.
    """
    found = yield from document(text)
    kept = (yield from runs.plan(found.id)) if found.kind == "run" else None
    return Shape(found, None if kept is None else WorkflowSpec.from_plan(kept.plan))
