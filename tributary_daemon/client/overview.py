"""Pages of dead letters, handlers and queues, put together from the rows of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.client import cursors
from tributary_daemon.client.documents import ErrorDocument, Page, rfc3339
from tributary_daemon.client.reading import resolve_id
from tributary_daemon.client.records import (
    DeadLetterDocument,
    HandlerDocument,
    QueueDocument,
    QueueSample,
)
from tributary_daemon.errors import AmbiguousId, InvalidInput, NotFound
from tributary_daemon.store import control, dead_letters, fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.store.db import Operation


def letters(limit: int, after: str | None, tenant: str | None) -> Operation[Page[DeadLetterDocument]]:
    """Read a page of dead letters, newest first.

    Raises:
        InvalidInput: ``after`` is no cursor of such a page.
    """
    cursor = None
    if after is not None:
        at, run_id, ordinal = cursors.parts(after, 3)
        cursor = dead_letters.After(cursors.moment(at, after), run_id, cursors.whole(ordinal, after))
    rows = yield from dead_letters.page(limit, cursor, tenant)
    last = rows[-1] if len(rows) == limit else None
    return Page(
        items=tuple(_letter(row) for row in rows),
        after=None if last is None else f"{rfc3339(last.created_at)}/{last.run_id}/{last.ordinal}",
    )


def letter(reference: str) -> Operation[DeadLetterDocument]:
    """Read one dead letter by its address.

    Raises:
        NotFound: there is none.
        AmbiguousId: the run has several and the step is not named.
    """
    return _letter((yield from _addressed(reference)))


def requeue(reference: str | Sequence[str]) -> Operation[str]:
    """Put a dead letter, or several of one run, back to work; return the new state.

    Raises:
        NotFound: there is none.
        InvalidInput: they are not of one run.
        AmbiguousId: as `letter`.
    """
    rows: list[dead_letters.DeadLetterRow] = []
    for each in [reference] if isinstance(reference, str) else reference:
        row = yield from _addressed(each)
        rows.append(row)
    if len({row.run_id for row in rows}) != 1:
        raise InvalidInput("dead letters of several runs do not go back together", hint="requeue each run's")
    return (yield from control.requeue(str(rows[0].run_id), [row.step for row in rows if row.step]))


def drop(reference: str) -> Operation[None]:
    """Forget a dead letter.

    Raises:
        NotFound: there is none.
        AmbiguousId: as `letter`.
    """
    row = yield from _addressed(reference)
    if not (yield from dead_letters.drop(str(row.run_id), row.ordinal)):
        raise _no_letter(reference)


def _addressed(reference: str) -> Operation[dead_letters.DeadLetterRow]:
    head, slash, step = reference.partition("/")
    full = yield from resolve_id(head)
    rows = yield from dead_letters.of(full, step.partition("[")[0] if slash else None)
    # a fan-out has one of its own beside those of its items
    found = [row for row in rows if row.step == step] if slash else rows
    found = found or [row for row in rows if row.step_id == step]
    if not found:
        raise _no_letter(reference)
    if len(found) > 1:
        listed = "\n".join(f"  {full}/{row.step}  {row.name}  {row.reason}" for row in found)
        hint = "name the step: RUN/STEP, or RUN/STEP[KEY] for an item of a fan-out"
        raise AmbiguousId(f"run {full} has several dead letters:\n{listed}", hint=hint)
    return found[0]


def _no_letter(reference: str) -> NotFound:
    return NotFound(f"there is no dead letter {reference}", hint="`trib dlq list` shows them")


def _letter(row: dead_letters.DeadLetterRow) -> DeadLetterDocument:
    return DeadLetterDocument(
        ref=str(row.run_id) if row.step is None else f"{row.run_id}/{row.step}",
        id=str(row.run_id),
        step=row.step_id,
        kind=row.kind,
        name=row.name,
        queue=row.queue,
        attempt=row.attempt,
        reason=row.reason,
        error=ErrorDocument.from_json(row.error),
        created_at=row.created_at,
        payload=row.payload,
    )


def handlers() -> Operation[tuple[HandlerDocument, ...]]:
    """Read the registry by name."""
    rows = yield from fleet.handlers()
    return tuple(
        HandlerDocument(
            name=row.name,
            runtime=row.runtime,
            is_enabled=row.is_enabled,
            description=row.description,
            options=row.options,
            input_schema=row.input_schema,
            output_schema=row.output_schema,
            offered_at=row.offered_at,
        )
        for row in rows
    )


def queues() -> Operation[tuple[QueueDocument, ...]]:
    """Read the queues by name."""
    rows = yield from fleet.queues()
    return tuple(
        QueueDocument(
            name=row.name,
            paused=row.paused,
            paused_at=row.paused_at,
            available=row.available,
            running=row.running,
            workers=row.workers,
            concurrency=row.concurrency,
            rate=row.rate,
            opens_in=row.opens_in,
            sample=_sample(row),
        )
        for row in rows
    )


def _sample(row: fleet.QueueRow) -> QueueSample | None:
    if row.sampled_at is None:
        return None
    return QueueSample(
        at=row.sampled_at,
        age=round(max(0.0, row.sample_age or 0.0), 3),
        ready=row.ready or 0,
        oldest_age=None if row.oldest_age is None else round(max(0.0, row.oldest_age), 3),
        scheduled=row.scheduled or 0,
        running=row.held or 0,
        waiting=row.waiting or 0,
        ready_rate=row.ready_rate,
        more=tuple(row.more or ()),
    )
