"""What a workflow demands of a run at the time of its submit: preconditions, its concurrency group."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from tributary_daemon import codec
from tributary_daemon.client.documents import rfc3339
from tributary_daemon.engine.preconditions import demanded, new_run
from tributary_daemon.spec.expressions import is_dynamic
from tributary_daemon.store import fleet

if TYPE_CHECKING:
    from tributary_daemon.spec.workflow import WorkflowSpec
    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.submit import Terms


def demand(spec: WorkflowSpec, inputs: str, terms: Terms) -> Operation[Terms]:
    """Evaluate what a workflow demands of a run; a workflow that demands nothing costs nothing.

    Args:
        spec: the workflow.
        inputs: JSON text, checked and with defaults.
        terms: of the submit.

    Returns:
        the terms, with the name of the run's concurrency group where an expression gives it.

    Raises:
        PreconditionFailed: names all that does not hold.
        InvalidInput: its concurrency group cannot be told.
    """
    named = spec.concurrency is not None and is_dynamic(spec.concurrency["group"])
    if not spec.preconditions and not named:
        return terms
    now = (yield from fleet.clock()).now
    at = terms.run_at
    if at is None and terms.delay is not None:
        at = now + timedelta(seconds=terms.delay)
    labels = {**spec.labels, **terms.labels}
    run = new_run(spec.name, labels, str(rfc3339(now)), None if at is None else rfc3339(at))
    group = demanded(spec, inputs=codec.loads(inputs), run=run)
    if group is None:
        return terms
    return replace(terms, special={**terms.special, "group": group})
