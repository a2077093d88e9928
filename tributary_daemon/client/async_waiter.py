"""How the tasks of a client wait for the end of work: one of them asks and listens for all."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from tributary_daemon import events
from tributary_daemon.client.awaited import SLOWEST_POLL, Book, Round, Ticket
from tributary_daemon.client.ear import NAME, Ear
from tributary_daemon.errors import DatabaseError, DatabaseUnreachable, TributaryError
from tributary_daemon.store import ends

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tributary_daemon.client.link import AsyncLink

_TO_END = 5.0


class AsyncWaiter:
    """Waits on behalf of the tasks of a client; as `Waiter`, with a task in the place of its first thread."""

    def __init__(self, link: AsyncLink, url: Callable[[], str]) -> None:
        self._link = link
        self._url = url
        self._service: _Service | None = None

    def join(self, work_id: str, slowest: float | None) -> Ticket[asyncio.Event]:
        """Return a ticket for work that has not ended; see `Waiter.join`."""
        ticket = Ticket(work_id, asyncio.Event(), slowest)
        while self._service is None or not self._service.join(ticket):
            self._service = _Service(self._link, self._url)
        return ticket

    async def rest(self, ticket: Ticket[asyncio.Event], seconds: float | None) -> None:
        """Wait until there is reason to look; see `Waiter.rest`."""
        await _set(ticket.flag, seconds)
        ticket.flag.clear()
        if ticket.error is not None:
            raise ticket.error

    def leave(self, ticket: Ticket[asyncio.Event]) -> None:
        """Wait no more."""
        if self._service is not None:
            self._service.leave(ticket)

    async def close(self) -> None:
        """End task and thread and remove what was registered; who still waits joins anew."""
        service, self._service = self._service, None
        if service is not None:
            await service.stop()


async def _set(flag: asyncio.Event, seconds: float | None) -> None:
    """Wait until a flag is set, at most so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await flag.wait()
    except TimeoutError:
        return


class _Service:
    """The task, the thread and their book, from the first wait to a while after the last one."""

    def __init__(self, link: AsyncLink, url: Callable[[], str]) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._id = uuid4()
        self._book = Book(time.monotonic())
        self._news = asyncio.Event()
        self._stopping = False
        self._registered = False
        self._lost = False
        self._told = False
        self._ear = Ear(
            url,
            ends.channel(self._id),
            lambda ids: self._on_loop(self._heard, ids),
            lambda listening: self._on_loop(self._turned, listening),
            lambda: len(self._book) > 0,
        )
        self._task = self._loop.create_task(self._run(), name="trib waits")
        self._ear.start()

    def join(self, ticket: Ticket[asyncio.Event]) -> bool:
        """Take a ticket; False when it is too late for that."""
        if self._stopping or self._loop is not asyncio.get_running_loop():
            return False
        self._book.join(ticket, time.monotonic())
        self._news.set()
        return True

    def leave(self, ticket: Ticket[asyncio.Event]) -> None:
        self._book.leave(ticket, time.monotonic())

    async def stop(self) -> None:
        self._stopping = True
        self._news.set()
        if not self._loop.is_closed():
            await asyncio.wait([self._task], timeout=_TO_END)

    def _on_loop(self, call: Callable[..., None], given: object) -> None:
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(call, given)
            except RuntimeError:
                # it was closed in this very moment: nobody waits any more
                self._ear.stop()
        else:
            self._ear.stop()

    def _heard(self, ids: Sequence[str]) -> None:
        self._book.heard(ids)

    def _turned(self, listening: bool) -> None:  # noqa: FBT001 - a callback
        self._book.turn(listening=listening, now=time.monotonic())
        self._news.set()

    async def _run(self) -> None:
        try:
            while (taken := await self._next()) is not None:
                await self._ask(taken)
        finally:
            self._stopping = True
            self._book.end()
            self._ear.stop()
        await asyncio.to_thread(self._ear.join, _TO_END)
        if self._registered and not self._lost:
            await self._forget()

    async def _next(self) -> Round | None:
        """Return what is to be asked next, in its time; None at the end."""
        while not self._stopping:
            now = time.monotonic()
            if self._book.is_idle(now):
                return None
            pause = self._book.pause(now)
            if pause <= 0:
                return self._book.take(now)
            self._news.clear()
            await _set(self._news, None if math.isinf(pause) else pause)
        return None

    async def _ask(self, taken: Round) -> None:
        refusal = await self._register(taken) if taken.registers else None
        found: frozenset[str] = frozenset()
        try:
            if isinstance(refusal, DatabaseUnreachable) and not taken.look:
                raise refusal
            if taken.look:
                found = await self._link.run(lambda: ends.ended(taken.look), again=True)
        except DatabaseUnreachable:
            # it is on its way back, as for every wait
            self._lost = True
            self._book.failed(taken, time.monotonic())
            if not self._stopping:
                await asyncio.sleep(SLOWEST_POLL)
            return
        except TributaryError as error:
            self._book.refused(taken, error)
            return
        self._lost = False
        now = time.monotonic()
        self._book.looked(taken, found, now)
        if refusal is not None:
            # a session that may only read, say: nobody will tell, so it polls
            self._book.unregistered(taken, now)
            self._say(refusal)

    async def _register(self, taken: Round) -> TributaryError | None:
        probe = self._ear.question()
        try:
            unknown = await self._link.run(
                lambda: ends.register(self._id, taken.new, taken.done, probe), again=True
            )
        except TributaryError as error:
            return error
        self._registered = True
        if unknown:
            self._book.unknown(taken, time.monotonic())
        return None

    def _say(self, error: TributaryError) -> None:
        if not self._told:
            self._told = True
            events.emit(events.ListenFailed(NAME, error.message))

    async def _forget(self) -> None:
        try:
            await self._link.run(lambda: ends.leave(self._id), again=False)
        except DatabaseError:
            # the leader sweeps what could not be removed
            return
