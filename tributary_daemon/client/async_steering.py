"""`AsyncSteering`: changes of what waits, and one thing done to all that fits a selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from tributary_daemon.client import bulk, operations

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.client.bulk import Bulk, Steered
    from tributary_daemon.client.link import AsyncLink
    from tributary_daemon.client.options import RunAfter, Settings
    from tributary_daemon.client.selecting import Select

    Told = Callable[[Steered], None]


class AsyncSteering:
    """The part of a client that steers work by what it is like.

    All that ends in ``_many`` takes the filters of `Select`, and goes in batches of some 50 ms, each a
    transaction of its own: what is interrupted goes on with the next call. ``dry_run`` only looks;
    ``seen`` is called after each batch.
    """

    _link: AsyncLink
    _settings: Settings

    async def change(
        self,
        id: str,  # noqa: A002 - the word of the documents
        *,
        step: str | None = None,
        priority: int | None = None,
        queue: str | None = None,
        run_after: RunAfter | None = None,
        payload: Any = None,
    ) -> str:
        """Change work that waits: an intent, a run (priority and queue of all its steps), one step of a run.

        Args:
            id: of the run or intent.
            step: id of one step of the run.
            priority: higher first.
            queue: where it waits from now on.
            run_after: not before: seconds, timedelta or ``"5m"`` from now (0 for at once), or a time.
            payload: of an intent or a step.

        Returns:
            its state.

        Raises:
            InvalidInput: a value is refused, or nothing is to be changed.
            NotFound: there is no such work or step.
            NotPossible: it runs or has ended.
        """
        return await self._link.run(
            lambda: operations.change(
                id, step, priority=priority, queue=queue, run_after=run_after, payload=payload
            ),
            again=False,
        )

    async def cancel_many(
        self,
        reason: str | None = None,
        *,
        dry_run: bool = False,
        seen: Told | None = None,
        **select: Unpack[Select],
    ) -> Steered:
        """Cancel all runs and intents that fit and have not ended."""
        return await self._steer(bulk.cancelling(select, self._settings, reason, dry_run=dry_run), seen)

    async def retry_many(
        self, *, dry_run: bool = False, seen: Told | None = None, **select: Unpack[Select]
    ) -> Steered:
        """Put all failed runs and discarded intents that fit back to work; ``state`` names others."""
        return await self._steer(bulk.retrying(select, self._settings, dry_run=dry_run), seen)

    async def change_many(
        self,
        *,
        new_priority: int | None = None,
        new_queue: str | None = None,
        run_after: RunAfter | None = None,
        dry_run: bool = False,
        seen: Told | None = None,
        **select: Unpack[Select],
    ) -> Steered:
        """Change all work that fits and waits, as `change` does."""
        made = bulk.changing(
            select,
            self._settings,
            priority=new_priority,
            queue=new_queue,
            run_after=run_after,
            dry_run=dry_run,
        )
        return await self._steer(made, seen)

    async def requeue_many(
        self, *, dry_run: bool = False, seen: Told | None = None, **select: Unpack[Select]
    ) -> Steered:
        """Put all dead letters that fit back to work."""
        return await self._steer(bulk.requeueing(select, self._settings, dry_run=dry_run), seen)

    async def drop_many(
        self, *, dry_run: bool = False, seen: Told | None = None, **select: Unpack[Select]
    ) -> Steered:
        """Forget all dead letters that fit; the work stays discarded."""
        return await self._steer(bulk.dropping(select, self._settings, dry_run=dry_run), seen)

    async def _steer(self, under_way: Bulk, seen: Told | None) -> Steered:
        while not under_way.ended:
            await self._link.run(under_way.step, again=not under_way.acts)
            if seen is not None:
                seen(under_way.so_far())
        return under_way.so_far()
