"""`AsyncReader`: everything about work except submitting it; for asyncio."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, Self, TypeVar

from tributary_daemon.client import operations, overview, pruning, reading, shapes, waiting
from tributary_daemon.client.async_event_face import AsyncEventFace
from tributary_daemon.client.async_fleet_face import AsyncFleetFace
from tributary_daemon.client.async_key_face import AsyncKeyFace
from tributary_daemon.client.async_run_face import AsyncRunFace
from tributary_daemon.client.async_schedule_face import AsyncScheduleFace
from tributary_daemon.client.async_signal_face import AsyncSignalFace
from tributary_daemon.client.async_steering import AsyncSteering
from tributary_daemon.client.async_tenant_face import AsyncTenantFace
from tributary_daemon.client.async_waiter import AsyncWaiter
from tributary_daemon.client.awaited import SLOWEST_POLL
from tributary_daemon.client.link import AsyncLink, Wiring
from tributary_daemon.client.log_reading import POLL, LogQuery
from tributary_daemon.errors import DatabaseUnreachable, NotPossible
from tributary_daemon.store.correlations import Sought

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType

    from tributary_daemon.client.borrowed import AsyncCaller
    from tributary_daemon.client.documents import Document, Page, Summary
    from tributary_daemon.client.log_records import LogRecord
    from tributary_daemon.client.options import RunAfter, Settings
    from tributary_daemon.client.pruning import Pruned
    from tributary_daemon.client.reasons import Why
    from tributary_daemon.client.records import DeadLetterDocument
    from tributary_daemon.client.shapes import Shape
    from tributary_daemon.client.waiting import Seen
    from tributary_daemon.store.db import Operation

T = TypeVar("T")


class AsyncReader(
    AsyncRunFace,
    AsyncSignalFace,
    AsyncSteering,
    AsyncScheduleFace,
    AsyncFleetFace,
    AsyncTenantFace,
    AsyncEventFace,
    AsyncKeyFace,
):
    """A client that reads, waits and steers: what most commands need, and quick to import.

    Tasks of one loop may share it; it holds one connection and does one thing at a time. It connects on
    first use, reconnects when the connection was lost, and repeats reads that broke off with it.

    Ids may be given in full, as a unique head or tail of at least 6 characters, or as ``@latest``.

    Args:
        wiring: how it comes to its database; the composition root provides it.
        settings: what it adds to all it submits, and whose work it sees.
    """

    def __init__(self, wiring: Wiring, settings: Settings) -> None:
        self._link = AsyncLink(wiring, settings.sees, settings.keys)
        self._waiter = AsyncWaiter(self._link, wiring.ear)
        self._settings = settings

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Connect now, and refuse a schema that cannot be used, instead of on first use.

        Raises:
            DatabaseError: no connection, or the schema cannot be used.
        """
        await self._link.open()

    async def close(self) -> None:
        """Close the connections; the next call opens another one."""
        await self._waiter.close()
        await self._link.close()

    async def get(self, id: str, *, connection: AsyncCaller | None = None) -> Document:  # noqa: A002
        """Read a run with its steps, or an intent with its attempts.

        With ``connection`` as the caller's own transaction sees it.

        Raises:
            NotFound: there is neither.
            AmbiguousId: the part of an id fits several.
        """
        return await self._do(lambda: operations.document(id), connection, again=True)

    async def shape(self, id: str) -> Shape:  # noqa: A002 - the word of the documents
        """Read a run together with the workflow that it goes on with, or an intent.

        Raises:
            NotFound: there is neither.
            AmbiguousId: the part of an id fits several.
        """
        return await self._link.run(lambda: shapes.shape(id), again=True)

    async def list(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        name: str | None = None,
        labels: Mapping[str, str] | None = None,
        since: RunAfter | None = None,
        limit: int = 50,
        after: str | None = None,
        correlation_id: str | None = None,
        business_id: str | None = None,
        trace_id: str | None = None,
    ) -> Page[Summary]:
        """Read one page of runs and intents, newest first.

        A page with a cursor may be short, or empty: one call looks at the newest 50,000 of each kind.

        Args:
            state: as shown.
            kind: ``run`` or ``intent``.
            name: of the workflow or intent.
            labels: all of these.
            since: created at or after this time, or within this duration.
            limit: rows, 1 to 10,000.
            after: cursor of the page before.
            correlation_id: that it carries.
            business_id: that it carries.
            trace_id: of the trace that it belongs to, 32 hexadecimal digits.

        Raises:
            InvalidInput: one of them is malformed.
        """
        wanted = waiting.filter_of(
            self._settings,
            state=state,
            kind=kind,
            name=name,
            labels=labels,
            since=since,
            limit=limit,
            after=after,
            sought=Sought(correlation_id, business_id, trace_id),
        )
        return await self._link.run(lambda: reading.page(wanted), again=True)

    async def wait(
        self,
        id: str,  # noqa: A002 - the word of the documents
        timeout: float | str | timedelta | None = None,  # noqa: ASYNC109 - the same face as Client
        *,
        poll: float | None = None,
        seen: Seen | None = None,
    ) -> Document:
        """Wait for the end of a run or an intent and return it; a restart of the database is waited out.

        Args:
            id: of the work.
            timeout: seconds, timedelta or ``"5m"``; None to wait for ever.
            poll: slowest poll in seconds, 0.5 by default, 2 while notifications tell of the end; the first
                ones are quicker.
            seen: called with every document on the way, the last one excepted.

        Raises:
            NotFound: there is no such work.
            WaitTimeout: it has not ended in time; it goes on.
        """
        work_id = await self.resolve_id(id)
        pace = waiting.Pace(work_id, timeout, poll, time.monotonic)
        known = False
        ticket = None
        try:
            while True:
                try:
                    if seen is None:
                        ended = await self._link.run(lambda: operations.ended(work_id), again=True)
                        document = await self.get(work_id) if ended else None
                    else:
                        document = await self.get(work_id)
                except DatabaseUnreachable:
                    # what was never reached is a mistake, what was is on its way back
                    if not known:
                        raise
                    await asyncio.sleep(pace.lost())
                    continue
                known = True
                if document is not None and document.ended:
                    return document
                if document is not None and seen is not None:
                    seen(document)
                if ticket is None:
                    ticket = self._waiter.join(work_id, poll if seen is None else math.inf)
                await self._waiter.rest(ticket, pace.left() if seen is None else pace.pause())
                if ticket.over:
                    # the client was closed meanwhile, and is opened again by the next look
                    ticket = None
                    await asyncio.sleep(pace.pause())
        finally:
            if ticket is not None:
                self._waiter.leave(ticket)

    async def resolve_id(self, text: str) -> str:
        """Return the full id that a head, a tail or ``@latest`` means; a full id is not looked up.

        Raises:
            NotFound: nothing among the newest 100,000 of each kind fits.
            AmbiguousId: several fit.
        """
        return await self._link.run(lambda: reading.resolve_id(text), again=True)

    async def cancel(
        self,
        id: str,  # noqa: A002 - the word of the documents
        reason: str | None = None,
        *,
        connection: AsyncCaller | None = None,
    ) -> str:
        """Cancel a run or an intent in any state; return the state it was in.

        With ``connection`` it is part of the caller's own transaction.

        Raises:
            NotFound: there is no such work.
            NotPossible: it has ended.
        """
        return await self._do(lambda: operations.cancel(id, reason), connection, again=False)

    async def retry(self, id: str, from_step: str | Sequence[str] | None = None) -> str:  # noqa: A002
        """Put ended work back to work: its bad steps, or ``from_step`` and all below; return the new state.

        Raises:
            NotFound: there is no such work or step.
            NotPossible: it has not ended, or nothing of it ended badly.
        """
        return await self._link.run(lambda: operations.retry(id, from_step), again=False)

    async def give_up(self, id: str) -> None:  # noqa: A002 - the word of the documents
        """Cancel work unless it has ended."""
        try:
            await self.cancel(id, "given up")
        except NotPossible:
            # that it has ended is all that is wanted
            return

    async def why(self, id: str, step: str | None = None) -> Why:  # noqa: A002 - the word of the documents
        """Say why work waits, or why a step was skipped.

        Raises:
            NotFound: there is no such work or step.
        """
        return await self._link.run(lambda: operations.why(id, step), again=True)

    async def logs(
        self,
        id: str,  # noqa: A002 - the word of the documents
        step: str | None = None,
        *,
        follow: bool = False,
        attempt: int | None = None,
        tail: int | None = None,
        since: float | str | timedelta | None = None,
        streams: Collection[str] = (),
    ) -> AsyncIterator[LogRecord]:
        """Read what attempts said, by ``async for``; arguments and errors as for `Reader.logs`."""
        wanted = LogQuery(id, step, attempt=attempt, tail=tail, since=since, streams=streams)
        await self._link.run(wanted.open, again=True)
        while not wanted.complete:
            for record in await self._link.run(wanted.page, again=True):
                yield record
        while follow:
            ended = await self._patiently(wanted.ended)
            # asked for after the end was seen: what was said is there by then
            for record in await self._patiently(wanted.news):
                yield record
            if ended:
                return
            await asyncio.sleep(POLL)

    async def log_news(
        self,
        id: str,  # noqa: A002 - the word of the documents
        *,
        streams: Collection[str] = (),
    ) -> Callable[[], Awaitable[Sequence[LogRecord]]]:
        """Return a function that returns what was said since its last call.

        Raises:
            NotFound: there is no such work.
        """
        wanted = LogQuery(id, streams=streams)
        await self._link.run(wanted.open, again=True)

        async def news() -> Sequence[LogRecord]:
            return await self._link.run(wanted.news, again=True)

        return news

    async def _patiently(self, make: Callable[[], Operation[T]]) -> T:
        """Run a read; a restart of the database is waited out."""
        while True:
            try:
                return await self._link.run(make, again=True)
            except DatabaseUnreachable:
                await asyncio.sleep(SLOWEST_POLL)

    async def dead_letters(self, *, limit: int = 50, after: str | None = None) -> Page[DeadLetterDocument]:
        """Read one page of dead letters, newest first."""
        return await self._link.run(lambda: overview.letters(limit, after, self._settings.sees), again=True)

    async def dead_letter(self, reference: str) -> DeadLetterDocument:
        """Read one dead letter: the id of an intent, or ``RUN/STEP``.

        Raises:
            NotFound: there is none.
        """
        return await self._link.run(lambda: overview.letter(reference), again=True)

    async def requeue(self, reference: str | Sequence[str]) -> str:
        """Put a dead letter, or several of one run, back to work; return the new state of the work."""
        return await self._link.run(lambda: overview.requeue(reference), again=False)

    async def drop(self, reference: str) -> None:
        """Forget a dead letter; the work stays discarded."""
        await self._link.run(lambda: overview.drop(reference), again=False)

    async def prune(
        self,
        older_than: float | str | timedelta | None,
        *,
        states: Iterable[str] = (),
        dead_letters_older_than: float | str | timedelta | None = None,
        dry_run: bool = False,
        seen: Callable[[Pruned], None] | None = None,
    ) -> Pruned:
        """Remove work that ended long ago, with all that belongs to it; its idempotency keys are free again.

        Work goes in short transactions of its own, so that nothing waits for it. What somebody holds at
        that moment stays, and what is interrupted goes on with the next call.

        Args:
            older_than: since its end: seconds, timedelta or ``"30d"``; None for only what workflows say of
                their own runs (``keep``), which goes first in any case unless ``states`` are given.
            states: in which it ended: ``completed``, ``failed``, ``cancelled``, ``discarded``; empty for any.
            dead_letters_older_than: work with dead letters goes when these are older than this; None: it
                stays until they are requeued or dropped.
            dry_run: only count.
            seen: called after each batch with what went so far.

        Raises:
            InvalidInput: a duration or a state is malformed.
        """
        sweep = await self._link.run(
            lambda: pruning.begin(
                self._settings, older_than, states, dead_letters_older_than, dry_run=dry_run
            ),
            again=True,
        )
        while not sweep.ended:
            await self._link.run(sweep.batch, again=True)
            if seen is not None:
                seen(sweep.so_far())
            await asyncio.sleep(sweep.pause)
        return sweep.so_far()

    async def keeps(self) -> tuple[str, ...]:
        """Return the names of the workflows that say themselves how long their finished runs are kept."""
        return await self._link.run(pruning.keeping_names, again=True)
