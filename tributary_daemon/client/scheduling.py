"""Adding a schedule: what it is to start is checked as completely as a submit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

from tributary_daemon import codec
from tributary_daemon.client import options, schedules, submitting, targets
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import cron as crons
from tributary_daemon.model import durations
from tributary_daemon.store import schedules as stored
from tributary_daemon.store import submit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.schedule_records import ScheduleDocument
    from tributary_daemon.model.retry import Retry
    from tributary_daemon.store.db import Operation

Kind = Literal["run", "intent"]
OVERLAPS = ("skip", "queue", "allow")


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
    if isinstance(what, targets.SpecTarget):
        raise InvalidInput(
            "a schedule starts a registered workflow or an intent, by name",
            hint="register the file; a `schedule` in it needs nothing else",
        )
    kind = given.get("kind")
    if kind is None:
        known = isinstance(what, targets.NameTarget) and (yield from submit.registered(what.name)) is not None
        kind = "run" if known else "intent"
    text = codec.dumps(
        {} if what.payload is None else what.payload,
        what="inputs" if kind == "run" else "payload",
        max_bytes=settings.max_payload,
    )
    warnings: tuple[str, ...] = ()
    if kind == "run":
        yield from stored.work_of(kind, what.name, codec.loads(text))
    else:
        if terms.labels:
            raise InvalidInput(
                "intents have no labels", hint="put what you filter by into the name or payload"
            )
        submitting.check_payload(what.name, text)
        offered = yield from submit.known_names()
        if what.name not in offered:
            warnings = yield from submitting.unknown([what.name])
    wanted = stored.Wanted(
        name, settings.tenant, kind, what.name, cron, zone, text, terms.submit, terms.labels, overlap,
        _span(given.get("catchup")), _span(given.get("jitter")), given.get("paused") or False,
    )  # fmt: skip
    yield from stored.keep(wanted)
    return (yield from schedules.one(name, warnings=warnings))


def _span(value: float | str | timedelta | None) -> float:
    return 0.0 if value is None else durations.seconds(value)
