"""Documents of runs and intents, put together from the rows of the store."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from tributary_daemon.client.correlating import check_sought
from tributary_daemon.client.documents import (
    AttemptDocument,
    Document,
    ErrorDocument,
    IntentDocument,
    Page,
    RunDocument,
    StepDocument,
    Summary,
    rfc3339,
)
from tributary_daemon.client.items import ItemDocument
from tributary_daemon.errors import AmbiguousId, InvalidInput, NotFound, NotPossible
from tributary_daemon.model import control
from tributary_daemon.model.control import Flag, hook_of
from tributary_daemon.model.states import RunState, StepState
from tributary_daemon.store import intents, lists, runs, sight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tributary_daemon.store.db import Operation

_FULL: Final = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_PART: Final = re.compile(r"[0-9a-f]{1,32}")
_SHORTEST: Final = 6
_CANDIDATES: Final = 10
_LARGEST_PAGE: Final = 10_000
STATES: Final = tuple(dict.fromkeys([*RunState, *StepState]))


def get(work_id: str) -> Operation[Document]:
    """Read a run or an intent by its full id.

    Raises:
        NotFound: there is neither.
    """
    # the run before its steps: a run seen as ended must not be shown with steps that still run
    run = yield from runs.run(work_id)
    if run is not None:
        steps = yield from runs.steps(work_id)
        edges = yield from runs.edges(work_id)
        told = any(step.reason == "condition" for step in steps)
        traces = (yield from runs.traces(work_id)) if told else {}
        return _run_document(run, steps, edges, traces)
    intent = yield from intents.intent(work_id)
    if intent is None:
        raise missing(work_id)
    return _intent_document(intent, (yield from intents.attempts(work_id)))


def items(work_id: str, step_id: str) -> Operation[list[ItemDocument]]:
    """Read the items of a fan-out in their order; none before they exist.

    Raises:
        NotFound: there is no such run, or it has no such step.
        NotPossible: the step does not fan out.
    """
    rows = yield from runs.items(work_id, step_id)
    if not rows:
        found = yield from runs.plan(work_id)
        if found is None:
            raise missing(work_id)
        steps = {step["id"]: step for step in found.plan["steps"]}
        if step_id not in steps:
            raise NotFound(f"run {work_id} has no step {step_id!r}", hint=f"its steps: {', '.join(steps)}")
        if "for_each" not in steps[step_id] and "matrix" not in steps[step_id]:
            fans = [name for name, step in steps.items() if "for_each" in step or "matrix" in step]
            raise NotPossible(
                f"step {step_id!r} has no items",
                hint=f"steps that fan out: {', '.join(fans)}" if fans else "no step of this run fans out",
            )
    return [
        ItemDocument(
            key=row.key,
            index=row.payload["index"],
            item=row.payload.get("item", row.payload.get("matrix")),
            state=_shown(row.state, row.reason),
            reason=row.reason,
            attempt=row.attempt,
            result=row.result,
            error=ErrorDocument.from_json(row.error),
            started_at=row.started_at,
            finished_at=row.finished_at,
            child=row.child,
        )
        for row in rows
    ]


def _shown(state: str, reason: str | None) -> str:
    """Return the state of a step as shown: one whose items or child run are at work is running."""
    return "running" if state == "waiting" and reason in ("items", "child") else state


def awaited(wait: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what a step waits for, with its times as documents have them."""
    if wait is None:
        return None
    times = {key: rfc3339(datetime.fromisoformat(wait[key])) for key in ("since", "until") if wait[key]}
    return {**wait, "until": None, **times}


def missing(work_id: str) -> NotFound:
    """Return the error for an id that nothing has."""
    return NotFound(f"no run or intent has the id {work_id}", hint="`trib list` shows the newest ones")


def _run_document(
    run: runs.RunRow,
    steps: Sequence[runs.StepRow],
    edges: Sequence[tuple[int, int]],
    traces: Mapping[int, dict[str, Any]],
) -> RunDocument:
    ids = {step.ordinal: step.step_id for step in steps}
    needs: dict[int, list[str]] = {}
    for parent, child in edges:
        # the closing step is not shown, and has no needs of its own
        if parent in ids and child in ids:
            if run.is_function and child == 1:
                # the function has asked for it, and waits for it
                parent, child = child, parent  # noqa: PLW2901 - turned around
            needs.setdefault(child, []).append(ids[parent])
    taken_back = {
        control.undone(step.step_id)[0]
        for step in steps
        if control.is_undo(step.flags) and step.state == "completed"
    }
    documents = {
        step.step_id: _step_document(
            step, needs.get(step.ordinal, []), traces.get(step.ordinal), undone=step.step_id in taken_back
        )
        for step in steps
    }
    result = run.result
    if run.state == "completed" and not run.has_result:
        needed = {parent for parent, _ in edges}
        result = {
            step.step_id: step.result
            for step in steps
            if step.ordinal not in needed and not step.flags & Flag.HOOK
        }
        if run.is_function:
            result = steps[0].result
    return RunDocument(
        id=str(run.run_id),
        name=run.name,
        state=run.state,
        reason=run.reason,
        inputs=run.inputs,
        result=result,
        error=_run_error(run, documents),
        warnings=run.warnings,
        labels=run.labels,
        priority=run.priority,
        revision=str(run.revision_id),
        idempotency_key=run.idempotency_key,
        tenant=run.tenant_id,
        created_at=run.created_at,
        run_at=run.run_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        ending=run.ending,
        parent=run.parent_id,
        deadline=run.deadline,
        correlation_id=run.correlation_id,
        business_id=run.business_id,
        traceparent=run.traceparent,
        steps=documents,
    )


def _run_error(run: runs.RunRow, steps: dict[str, StepDocument]) -> ErrorDocument | None:
    """Return the stored error of a run, else that of the first step that failed it."""
    if run.error:
        return ErrorDocument.from_json(run.error)
    if run.state != "failed":
        return None
    bad = [
        step
        for step in steps.values()
        if step.state == "discarded" and not step.optional and step.hook is None
    ]
    if run.is_function:
        # what its steps have come to is its own business
        bad = [step for step in bad if not step.needs]
    if not bad:
        return ErrorDocument(type="RunFailed", message=run.reason or "the run failed", reason=run.reason)
    first = min(bad, key=lambda step: (step.finished_at is None, step.finished_at))
    error = first.error
    if error is None:
        return ErrorDocument(
            type="StepFailed",
            message=f"step {first.id} was discarded",
            attempt=first.attempt,
            reason=first.reason,
            step=first.id,
        )
    return ErrorDocument(
        type=error.type,
        message=error.message,
        attempt=error.attempt,
        reason=error.reason,
        exit_code=error.exit_code,
        step=first.id,
        traceback=error.traceback,
    )


def _step_document(
    row: runs.StepRow, needs: list[str], trace: dict[str, Any] | None, *, undone: bool
) -> StepDocument:
    return StepDocument(
        id=row.step_id,
        name=row.name,
        state=_shown(row.state, row.reason),
        # a workflow function that waits has given its attempt's number back, and has begun all the same
        attempt=row.attempt or int(row.started_at is not None and row.state == "waiting"),
        max_attempts=row.max_attempts,
        result=row.result,
        error=ErrorDocument.from_json(row.error),
        reason=row.reason,
        queue=row.queue,
        priority=row.priority,
        needs=tuple(needs),
        optional=bool(row.flags & Flag.OPTIONAL),
        run_at=row.run_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        progress=row.progress,
        worker=row.worker,
        hook=hook_of(row.flags),
        items=row.items,
        child=row.child,
        condition=trace if row.reason == "condition" else None,
        wait=awaited(row.wait),
        undone=undone,
    )


def _intent_document(row: intents.IntentRow, bad: Sequence[intents.AttemptRow]) -> IntentDocument:
    attempts = [
        AttemptDocument(
            attempt=item.attempt,
            outcome=item.outcome,
            error=ErrorDocument.from_json(item.error),
            started_at=item.started_at,
            finished_at=item.finished_at,
            worker=item.worker,
        )
        for item in bad
    ]
    if row.state in {"running", "completed"}:
        # what goes well leaves no row: the intent's own timestamps are its last attempt
        attempts.append(
            AttemptDocument(
                attempt=row.attempt,
                outcome=row.state,
                error=None,
                started_at=row.started_at,
                finished_at=row.finished_at,
                worker=row.worker,
            )
        )
    return IntentDocument(
        id=str(row.intent_id),
        name=row.name,
        state=row.state,
        reason=row.reason,
        payload=row.payload,
        result=row.result,
        error=None if row.state == "completed" or not bad else ErrorDocument.from_json(bad[-1].error),
        warnings=0,
        labels={},
        priority=row.priority,
        queue=row.queue,
        tenant=row.tenant_id,
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        created_at=row.created_at,
        run_at=row.run_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=tuple(attempts),
        progress=row.progress,
        worker=row.worker,
        correlation_id=row.correlation_id,
        business_id=row.business_id,
        traceparent=row.traceparent,
    )


def page(wanted: lists.Filter) -> Operation[Page[Summary]]:
    """Read one page of runs and intents, newest first.

    Raises:
        InvalidInput: an unknown state or kind, a limit outside 1..10,000, or a cursor that is no id.
    """
    if wanted.state is not None and wanted.state not in STATES:
        raise InvalidInput(f"unknown state {wanted.state!r}", hint=f"states: {', '.join(STATES)}")
    if wanted.kind not in {None, "run", "intent"}:
        raise InvalidInput(f"unknown kind {wanted.kind!r}", hint="kinds: run, intent")
    if not 1 <= wanted.limit <= _LARGEST_PAGE:
        raise InvalidInput(
            f"limit {wanted.limit} is out of range", hint=f"1 to {_LARGEST_PAGE:,}; page with the cursor"
        )
    if wanted.after is not None and not _FULL.fullmatch(wanted.after.lower()):
        raise InvalidInput(f"{wanted.after!r} is no cursor", hint="use the `after` of the page before")
    if wanted.sought is not None:
        check_sought(wanted.sought)
    rows, after = yield from lists.page(wanted)
    return Page(items=tuple(_summary(row) for row in rows), after=after)


def _summary(row: lists.ListRow) -> Summary:
    fields: dict[str, Any] = row._asdict()
    return Summary(id=str(fields.pop("work_id")), **fields)


def resolve_id(text: str) -> Operation[str]:
    """Return the full id that ``text`` means: itself, ``@latest``, or a unique head or tail.

    A full id is looked up only for a client of one tenant, to whom the work of others is not there.

    Raises:
        NotFound: nothing among the newest 100,000 of each kind fits, or it is another tenant's.
        AmbiguousId: several fit, and the message lists them; or it is too short to tell.
        InvalidInput: it is no text.
    """
    if not isinstance(cast("object", text), str):
        raise InvalidInput(
            f"an id is text, not a {type(text).__name__}",
            hint="a receipt has it as receipt.id, and waits itself: receipt.wait(); of a UUID it is str(...)",
        )
    wanted = text.strip().lower()
    if _FULL.fullmatch(wanted):
        digits = wanted.replace("-", "")
        full = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        if not (yield from sight.sees(full)):
            raise missing(full)
        return full
    if wanted == "@latest":
        newest = yield from lists.latest()
        if newest is None:
            raise NotFound("there is no run or intent yet", hint="`trib submit FILE` makes the first one")
        return str(newest.work_id)
    digits = wanted.replace("-", "")
    if not _PART.fullmatch(digits):
        raise NotFound(f"{text!r} is not an id", hint="ids are hexadecimal; @latest is the newest one")
    if len(digits) < _SHORTEST:
        raise AmbiguousId(f"{text!r} is too short for an id", hint=f"give at least {_SHORTEST} characters")
    found = yield from lists.matching(digits, _CANDIDATES + 1)
    if not found:
        raise NotFound(f"no run or intent has an id like {text!r}", hint="`trib list` shows the newest ones")
    if len(found) > 1:
        listed = "\n".join(
            f"  {row.work_id}  {row.kind}  {row.name}  {row.state}" for row in found[:_CANDIDATES]
        )
        more = "\n  …" if len(found) > _CANDIDATES else ""
        raise AmbiguousId(f"{text!r} fits several:\n{listed}{more}", hint="give more characters of the id")
    return str(found[0].work_id)
