"""`AsyncScheduleFace`: the schedules of a client for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.client import schedules as operations

if TYPE_CHECKING:
    from datetime import datetime

    from tributary_daemon.client.link import AsyncLink
    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.schedule_records import BackfilledSlot, ScheduleDocument


class AsyncScheduleFace:
    """Part of a client: reads and steers schedules."""

    _link: AsyncLink
    _settings: Settings

    async def schedules(self, *, upcoming: int = operations.SHOWN) -> tuple[ScheduleDocument, ...]:
        """Read the schedules by name, each with its next slots."""
        return await self._link.run(lambda: operations.listed(self._settings.sees, upcoming), again=True)

    async def get_schedule(
        self, name: str, *, upcoming: int = operations.SHOWN, fires: int = 20
    ) -> ScheduleDocument:
        """Read one schedule with what became of its newest slots.

        Raises:
            NotFound: there is none of that name.
        """
        return await self._link.run(lambda: operations.one(name, upcoming, fires), again=True)

    async def pause_schedule(self, name: str) -> str:
        """Start nothing by this schedule until it is resumed; return the state it was in.

        Raises:
            NotFound: there is none of that name.
        """
        return await self._link.run(lambda: operations.pause(name), again=True)

    async def resume_schedule(self, name: str, *, catch_up: bool = False) -> str:
        """Let a paused or disabled schedule go on; return the state it was in.

        Args:
            name: of the schedule.
            catch_up: fire the slots of the pause, as far as the schedule's catch-up reaches.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: its times cannot be read.
        """
        return await self._link.run(lambda: operations.resume(name, catch_up=catch_up), again=True)

    async def trigger_schedule(self, name: str) -> str:
        """Start what a schedule is for, now, outside its slots and whatever runs; return the id.

        Raises:
            NotFound: there is no such schedule or workflow.
            InvalidInput: the workflow refuses the inputs.
        """
        return await self._link.run(lambda: operations.trigger(name), again=False)

    async def backfill_schedule(
        self,
        name: str,
        first: datetime | str,
        last: datetime | str,
        *,
        dry_run: bool = False,
        limit: int = operations.MOST,
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
        return await self._link.run(
            lambda: operations.backfill(name, first, last, dry_run=dry_run, limit=limit), again=True
        )

    async def unschedule(self, name: str) -> None:
        """Remove a schedule with the record of its slots; what it has started goes on.

        Raises:
            NotFound: there is none of that name.
        """
        await self._link.run(lambda: operations.remove(name), again=False)
