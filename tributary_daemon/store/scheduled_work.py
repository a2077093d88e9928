"""What a schedule's run is made of, checked as completely as a submit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tributary_daemon import codec
from tributary_daemon.errors import InvalidInput, NotFound
from tributary_daemon.sealing.box import Hidden
from tributary_daemon.sealing.envelope import NOWHERE, Field, Origin
from tributary_daemon.spec.inputs import check_inputs
from tributary_daemon.spec.workflow import WorkflowSpec
from tributary_daemon.store import submit
from tributary_daemon.store.schedules import Work

if TYPE_CHECKING:
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.schedules import DueRow, ScheduleRow


def work_of(kind: str, target: str, payload: Any) -> Operation[Work]:
    """Return what a run is made of: the revision registered now, and its inputs after all checks.

    Raises:
        NotFound: no such workflow is registered.
        InvalidInput: its inputs are refused.
    """
    if kind == "intent":
        return Work()
    if isinstance(payload, Hidden):
        raise payload.error
    found = yield from submit.registered(target)
    if found is None:
        raise NotFound(
            f"no workflow named '{target}' is registered",
            hint="register its file: trib register FILE; a workflow function is registered by the first "
            "worker that offers it",
        )
    spec = WorkflowSpec.from_plan(found.plan)
    if not isinstance(payload, dict):
        raise InvalidInput("inputs must be an object of names and values", hint='e.g. {"email": "a@b.org"}')
    # what a function takes is known where its code is
    inputs = codec.dumps(payload if spec.function else check_inputs(spec.inputs, payload), what="inputs")
    demands = spec if spec.preconditions or spec.concurrency is not None else None
    return Work(found.revision_id, inputs, demands=demands)


def seal_work(work: Work, row: DueRow | ScheduleRow, keys: Ring | None) -> Work:
    """Return the work of a schedule as it is stored: its inputs sealed, as those of the schedule are."""
    if keys is None or work.inputs is None:
        return work
    return work._replace(inputs=keys.seal(work.inputs, origin_of(row.tenant_id, row.name)))


def origin_of(tenant: str, name: str) -> Origin:
    """Return the place for which the inputs of a schedule are sealed."""
    return Origin(tenant, NOWHERE, name, Field.SCHEDULE)
