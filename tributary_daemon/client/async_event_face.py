"""`AsyncEventFace`: what happened, and what happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tributary_daemon.client import event_reading
from tributary_daemon.client.awaited import SLOWEST_POLL
from tributary_daemon.client.event_reading import Following, Rhythm
from tributary_daemon.errors import DatabaseUnreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection
    from datetime import datetime, timedelta

    from tributary_daemon.client.documents import Page
    from tributary_daemon.client.link import AsyncLink
    from tributary_daemon.client.records import EventDocument
    from tributary_daemon.store.db import Operation

T = TypeVar("T")


class AsyncEventFace:
    """Part of a client: reads events."""

    _link: AsyncLink

    async def events(
        self,
        id: str | None = None,  # noqa: A002 - the word of the documents
        *,
        after: str | None = None,
        limit: int = 1_000,
        types: Collection[str] = (),
        since: float | str | timedelta | datetime | None = None,
    ) -> Page[EventDocument]:
        """Read events, oldest first: those behind a cursor, else the newest.

        Args:
            id: of one run or intent; None for all work.
            after: cursor of the page before.
            limit: events, at most 10,000.
            types: only these, such as ``run_failed`` or ``step_*``; empty for all.
            since: only what happened since then: a time, or a duration before now.

        Raises:
            NotFound: there is no such work.
            InvalidInput: one of the others is malformed.
        """
        return await self._link.run(
            lambda: event_reading.page(id, after, limit, types=types, since=since), again=True
        )

    async def follow_events(
        self,
        id: str | None = None,  # noqa: A002 - the word of the documents
        *,
        types: Collection[str] = (),
        since: float | str | timedelta | datetime | None = None,
        after: str | None = None,
        last: int = 0,
    ) -> AsyncIterator[EventDocument]:
        """Iterate over what happens, by ``async for``; arguments and errors as `EventFace.follow_events`."""
        following = Following(id, types=types, since=since, after=after, last=last)
        for event in await self._link.run(following.open, again=True):
            yield event
        rhythm = Rhythm()
        while True:
            ended = await self._outlasting(following.ended)
            # asked for after the end was seen: what led to it is there by then
            found = await self._outlasting(following.news)
            for event in found:
                yield event
            if ended and following.caught_up:
                return
            if following.caught_up:
                await asyncio.sleep(rhythm.pause(found=bool(found)))

    async def _outlasting(self, make: Callable[[], Operation[T]]) -> T:
        while True:
            try:
                return await self._link.run(make, again=True)
            except DatabaseUnreachable:
                await asyncio.sleep(SLOWEST_POLL)
