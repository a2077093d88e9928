"""`SchedulingFace`: what a client starts by schedules; it needs all that a submit needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from tributary_daemon.client import scheduling

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tributary_daemon.client.link import Link
    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.schedule_records import BackfilledSlot, ScheduleDocument
    from tributary_daemon.client.scheduling import ScheduleOptions


class SchedulingFace:
    """Part of a client: adds, triggers and backfills schedules."""

    _link: Link
    _settings: Settings

    def schedule(
        self,
        name: str,
        cron: str,
        target: str | Callable[..., Any],
        payload: Any = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleDocument:
        """Start work by itself whenever a cron expression says; a schedule of that name is changed.

        Args:
            name: of the schedule.
            cron: ``minute hour day month weekday``, or ``@hourly`` and its like.
            target: name of a registered workflow, else of an intent; or a handler.
            payload: of the intent, or inputs of the workflow.
            options: see `ScheduleOptions`.

        Raises:
            InvalidInput: the times, the payload, the inputs or an option are refused.
            NotPossible: the name belongs to a schedule of a workflow file, or of another tenant.
        """
        return self._link.run(
            lambda: scheduling.schedule(self._settings, name, cron, target, payload=payload, given=options),
            again=True,
        )

    def trigger_schedule(self, name: str) -> str:
        """Start what a schedule is for, now, outside its slots and whatever runs; return the id.

        Raises:
            NotFound: there is no such schedule or workflow.
            InvalidInput: the workflow refuses the inputs.
        """
        return self._link.run(lambda: scheduling.trigger(name), again=False)

    def backfill_schedule(
        self,
        name: str,
        first: datetime | str,
        last: datetime | str,
        *,
        dry_run: bool = False,
        limit: int = scheduling.MOST,
    ) -> tuple[BackfilledSlot, ...]:
        """Fire the slots of the past from ``first`` to ``last``, both included; none is fired twice.

        Where runs of the schedule must not overlap, they wait for their turn.

        Args:
            name: of the schedule.
            first: a time with its zone, or text; without a zone it is meant in the schedule's own.
            last: the same.
            dry_run: only tell which they are.
            limit: refuse when there are more.

        Raises:
            NotFound: there is no such schedule or workflow.
            InvalidInput: a time is malformed, there are too many slots, or the workflow refuses the inputs.
        """
        return self._link.run(
            lambda: scheduling.backfill(name, first, last, dry_run=dry_run, limit=limit), again=True
        )
