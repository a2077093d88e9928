"""Adding, triggering, backfilling schedules: what they start is checked as completely as a submit."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from tributary_daemon import codec
from tributary_daemon.client import options, schedules, submitting, targets
from tributary_daemon.client.schedule_records import BackfilledSlot
from tributary_daemon.client.unknown import unknown
from tributary_daemon.engine.preconditions import demanded_of_slot
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import cron as crons
from tributary_daemon.model import durations
from tributary_daemon.store import schedules as stored
from tributary_daemon.store import submit
from tributary_daemon.store.scheduled_work import origin_of, seal_work, work_of
from tributary_daemon.store.sealed import ring
from tributary_daemon.store.submit_sealed import place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.schedule_records import ScheduleDocument
    from tributary_daemon.model.retry import Retry
    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.schedules import ScheduleRow, Work

Kind = Literal["run", "intent"]
OVERLAPS: Final = ("skip", "queue", "allow")
MOST: Final = 1_000
"""Slots of one backfill, unless more are asked for."""


class ScheduleOptions(TypedDict, total=False):
    """Options of a schedule; what is absent is left to the levels below.

    Attributes:
        kind: what the target is: ``run`` of a workflow, or ``intent``; found out unless given.
        timezone: IANA name; UTC by default.
        overlap: ``skip`` (the default), ``queue`` or ``allow``.
        catchup: so old a slot may be after an outage and still be fired; seconds, timedelta or ``"6h"``.
        jitter: by which a slot is late at most.
        paused: add it without starting anything.
        queue: as for a submit; so are the next five.
        priority: higher first.
        max_attempts: of an intent, executions in all.
        timeout: of each attempt of an intent.
        retry: of an intent: policy or its fields.
        labels: of a run.
    """

    kind: Kind | None
    timezone: str
    overlap: str
    catchup: float | str | timedelta | None
    jitter: float | str | timedelta | None
    paused: bool
    queue: str | None
    priority: int | None
    max_attempts: int | None
    timeout: float | str | timedelta | None
    retry: Retry | Mapping[str, Any] | None
    labels: Mapping[str, str] | None


def schedule(
    settings: Settings,
    name: str,
    cron: str,
    target: str | Callable[..., Any],
    *,
    payload: Any,
    given: ScheduleOptions,
) -> Operation[ScheduleDocument]:
    """Add a schedule, or change the one of that name; return it.

    Raises:
        InvalidInput: the times, the payload, the inputs or an option are refused.
        NotFound: ``kind`` is run, and no such workflow is registered.
        NotPossible: the name belongs to a workflow's own schedule, or to another tenant's.
    """
    zone = given.get("timezone") or "UTC"
    crons.parse(cron, zone)
    overlap = given.get("overlap") or "skip"
    if overlap not in OVERLAPS:
        raise InvalidInput(f"overlap cannot be {overlap!r}", hint=f"use {', '.join(OVERLAPS)}")
    terms = options.terms(
        settings,
        queue=given.get("queue"),
        priority=given.get("priority"),
        max_attempts=given.get("max_attempts"),
        timeout=given.get("timeout"),
        retry=given.get("retry"),
        labels=given.get("labels"),
    )
    what = targets.classify(target, payload)
    if isinstance(what, targets.SpecTarget) and what.spec.function:
        # it is under its name that workers register it
        what = targets.NameTarget(what.spec.name, what.inputs)
    if isinstance(what, targets.SpecTarget):
        raise InvalidInput(
            "a schedule starts a registered workflow or an intent, by name",
            hint="register the file; a `schedule` in it needs nothing else",
        )
    kind = given.get("kind")
    if kind is None:
        known = isinstance(what, targets.NameTarget) and (
            targets.function_here(what.name) is not None
            or (yield from submit.registered(what.name)) is not None
        )
        kind = "run" if known else "intent"
    text = codec.dumps(
        {} if what.payload is None else what.payload,
        what="inputs" if kind == "run" else "payload",
        max_bytes=settings.max_payload,
    )
    warnings: tuple[str, ...] = ()
    if kind == "run":
        if targets.function_here(what.name) is not None:
            submitting.check_payload(what.name, text)
        yield from work_of(kind, what.name, codec.loads(text))
    else:
        if terms.labels:
            raise InvalidInput(
                "intents have no labels", hint="put what you filter by into the name or payload"
            )
        submitting.check_payload(what.name, text)
        offered = yield from submit.known_names()
        if what.name not in offered:
            warnings = yield from unknown([what.name])
    if (keys := (yield from ring())) is not None:
        _, tenant = yield from place(settings.tenant, None)
        text = keys.seal(text, origin_of(tenant, name))
    wanted = stored.Wanted(
        name, settings.tenant, kind, what.name, cron, zone, text, terms.submit, terms.labels, overlap,
        _span(given.get("catchup")), _span(given.get("jitter")), given.get("paused") or False,
    )  # fmt: skip
    yield from stored.keep(wanted)
    return (yield from schedules.one(name, warnings=warnings))


def trigger(name: str) -> Operation[str]:
    """Start what a schedule is for, now; return the id of the work.

    Raises:
        NotFound: there is no such schedule or workflow.
        InvalidInput: the workflow refuses the inputs, or demands what does not hold.
    """
    row = yield from schedules.row_of(name)
    keys = yield from ring()
    # all that SQL leaves to a worker is checked here, as for a submit
    work = yield from work_of(row.kind, row.target, row.payload)
    return str((yield from stored.trigger(name, seal_work(_asked(work, row, row.now), row, keys))))


def backfill(
    name: str, first: datetime | str, last: datetime | str, *, dry_run: bool, limit: int
) -> Operation[tuple[BackfilledSlot, ...]]:
    """Fire the slots of the past from ``first`` to ``last``, both included; none is fired twice.

    Where runs must not overlap they wait for their turn, and the worker that leads starts them one by one.

    Args:
        name: of the schedule.
        first: a time with its zone, or text; without a zone it is meant in the schedule's own.
        last: the same.
        dry_run: only tell which they are.
        limit: refuse when there are more.

    Raises:
        NotFound: there is no such schedule or workflow.
        InvalidInput: a time, or too many slots, or the workflow refuses the inputs, or demands of one of them
            what does not hold; nothing is stored then.
    """
    row = yield from schedules.row_of(name)
    cron = crons.parse(row.cron, row.timezone)
    start, end = _moment(first, cron.zone, "from"), _moment(last, cron.zone, "to")
    if start > end:
        raise InvalidInput(
            f"the backfill ends before it starts: {start.isoformat()} to {end.isoformat()}", hint="swap them"
        )
    if start > row.now:
        raise InvalidInput("a backfill is for the past", hint="slots to come are fired by themselves")
    slots = list(itertools.islice(cron.between(start, min(end, row.now)), limit + 1))
    if len(slots) > limit:
        raise InvalidInput(
            f"more than {limit:,} slots lie between {start.isoformat()} and {end.isoformat()}",
            hint="narrow it, or raise the limit",
        )
    if dry_run:
        return tuple(BackfilledSlot(slot=slot, outcome="planned") for slot in slots)
    work = yield from work_of(row.kind, row.target, row.payload)
    keys = yield from ring()
    done: list[BackfilledSlot] = []
    for slot, asked in [(slot, _asked(work, row, slot)) for slot in slots]:
        fired = yield from stored.backfill(name, slot, seal_work(asked, row, keys))
        work_id = None if fired.run_id is None else str(fired.run_id)
        done.append(BackfilledSlot(slot=slot, outcome=fired.outcome, id=work_id))
    return tuple(done)


def _asked(work: Work, row: ScheduleRow, slot: datetime) -> Work:
    group = demanded_of_slot(
        work.demands, inputs=work.inputs, schedule=row.name, labels=row.labels, slot=slot
    )
    return work._replace(group=group)


def _span(value: float | str | timedelta | None) -> float:
    return 0.0 if value is None else durations.seconds(value)


def _moment(value: datetime | str, zone: ZoneInfo, what: str) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InvalidInput(
                f"{what}: {value!r} is not a time",
                hint="write 2026-12-24, 2026-12-24T18:00 or 2026-12-24T18:00:00Z",
            ) from None
    return (value.replace(tzinfo=zone) if value.tzinfo is None else value).astimezone(UTC)
