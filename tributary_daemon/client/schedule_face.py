"""`ScheduleFace`: the schedules of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.client import schedules as operations

if TYPE_CHECKING:
    from tributary_daemon.client.link import Link
    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.schedule_records import ScheduleDocument


class ScheduleFace:
    """Part of a client: reads and steers schedules."""

    _link: Link
    _settings: Settings

    def schedules(self, *, upcoming: int = operations.SHOWN) -> tuple[ScheduleDocument, ...]:
        """Read the schedules by name, each with its next slots."""
        return self._link.run(lambda: operations.listed(self._settings.sees, upcoming), again=True)

    def get_schedule(
        self, name: str, *, upcoming: int = operations.SHOWN, fires: int = 20
    ) -> ScheduleDocument:
        """Read one schedule with what became of its newest slots.

        Raises:
            NotFound: there is none of that name.
        """
        return self._link.run(lambda: operations.one(name, upcoming, fires), again=True)

    def pause_schedule(self, name: str) -> str:
        """Start nothing by this schedule until it is resumed; return the state it was in.

        Raises:
            NotFound: there is none of that name.
        """
        return self._link.run(lambda: operations.pause(name), again=True)

    def resume_schedule(self, name: str, *, catch_up: bool = False) -> str:
        """Let a paused or disabled schedule go on; return the state it was in.

        Args:
            name: of the schedule.
            catch_up: fire the slots of the pause, as far as the schedule's catch-up reaches.

        Raises:
            NotFound: there is none of that name.
            InvalidInput: its times cannot be read.
        """
        return self._link.run(lambda: operations.resume(name, catch_up=catch_up), again=True)

    def unschedule(self, name: str) -> None:
        """Remove a schedule with the record of its slots; what it has started goes on.

        Raises:
            NotFound: there is none of that name.
        """
        self._link.run(lambda: operations.remove(name), again=False)
