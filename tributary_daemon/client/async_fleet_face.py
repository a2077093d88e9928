"""`AsyncFleetFace`: queues, workers and handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tributary_daemon.client import operations, overview, workforce
from tributary_daemon.store import fleet

if TYPE_CHECKING:
    from datetime import datetime

    from tributary_daemon.client.fleet_records import FleetDocument, WorkerDocument
    from tributary_daemon.client.link import AsyncLink
    from tributary_daemon.client.options import Settings
    from tributary_daemon.client.records import HandlerDocument, LimitsDocument, QueueDocument


class AsyncFleetFace:
    """Part of a client: reads and steers the fleet."""

    _link: AsyncLink
    _settings: Settings

    async def queues(self) -> tuple[QueueDocument, ...]:
        """Read the queues that were ever paused, hold work, or are served."""
        return await self._link.run(overview.queues, again=True)

    async def pause_queue(self, name: str) -> datetime:
        """Stop claims from a queue, running work goes on; return since when it is paused."""
        return await self._link.run(lambda: operations.pause_queue(name), again=True)

    async def resume_queue(self, name: str) -> bool:
        """Allow claims from a queue again; False when it was not paused."""
        return await self._link.run(lambda: fleet.resume(name), again=True)

    async def set_queue(
        self, name: str, *, concurrency: int | Literal["none"] | None = None, rate: str | None = None
    ) -> LimitsDocument:
        """Limit a queue over all workers; return its limits as they are then.

        Args:
            name: of the queue.
            concurrency: how many of its attempts run at once; "none" for any number, None leaves it as it is.
            rate: how many of its attempts start, like "100/s" or "5000/h"; "none" and None likewise.
        """
        return await self._link.run(lambda: operations.set_queue(name, concurrency, rate), again=True)

    async def workers(self) -> tuple[WorkerDocument, ...]:
        """Read the workers with their processes."""
        return await self._link.run(workforce.workers, again=True)

    async def command_worker(self, name: str, command: str) -> tuple[str, ...]:
        """Tell workers to ``pause``, ``resume``, ``drain`` or ``stop``; return the ids of those told.

        Args:
            name: of a worker (all of that name are told), ``HOST/NAME``, or an id.
            command: they obey within seconds; a drain cannot be undone, a stop escalates it.

        Raises:
            InvalidInput: no such command.
            NotFound: no live worker fits.
            NotPossible: those that fit are draining.
        """
        return await self._link.run(lambda: workforce.command(name, command), again=True)

    async def fleet(self) -> FleetDocument:
        """Read what is true of all workers together: who leads, what nobody serves, what waits longest."""
        return await self._link.run(workforce.facts, again=True)

    async def handlers(self) -> tuple[HandlerDocument, ...]:
        """Read the handler names that workers have registered."""
        return await self._link.run(overview.handlers, again=True)
