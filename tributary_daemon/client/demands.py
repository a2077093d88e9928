"""Preconditions of a workflow, at the time of a submit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tributary_daemon import codec
from tributary_daemon.client.documents import rfc3339
from tributary_daemon.engine.preconditions import new_run, require
from tributary_daemon.store import fleet

if TYPE_CHECKING:
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.submit import Terms


def demand(spec: WorkflowSpec, inputs: str, terms: Terms) -> Operation[None]:
    """Evaluate what a workflow demands of a run; a workflow that demands nothing costs nothing.

    Args:
        spec: the workflow.
        inputs: JSON text, checked and with defaults.
        terms: of the submit.

    Raises:
        PreconditionFailed: names all that does not hold.
    """
    if not spec.preconditions:
        return
    now = (yield from fleet.clock()).now
    at = terms.run_at
    if at is None and terms.delay is not None:
        at = now + timedelta(seconds=terms.delay)
    labels = {**spec.labels, **terms.labels}
    run = new_run(spec.name, labels, str(rfc3339(now)), None if at is None else rfc3339(at))
    require(spec.preconditions, inputs=codec.loads(inputs), run=run)
