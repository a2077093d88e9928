"""`Reader`: everything about work except submitting it."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Self, TypeVar

from tributary_daemon.client import operations, overview, pruning, reading, shapes, waiting
from tributary_daemon.client.awaited import SLOWEST_POLL
from tributary_daemon.client.event_face import EventFace
from tributary_daemon.client.fleet_face import FleetFace
from tributary_daemon.client.key_face import KeyFace
from tributary_daemon.client.link import Link, Wiring
from tributary_daemon.client.log_reading import POLL, LogQuery
from tributary_daemon.client.run_face import RunFace
from tributary_daemon.client.schedule_face import ScheduleFace
from tributary_daemon.client.signal_face import SignalFace
from tributary_daemon.client.steering import Steering
from tributary_daemon.client.tenant_face import TenantFace
from tributary_daemon.client.waiter import Waiter
from tributary_daemon.errors import DatabaseUnreachable, NotPossible
from tributary_daemon.store.correlations import Sought

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType

    from tributary_daemon.client.borrowed import Caller
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


class Reader(RunFace, SignalFace, Steering, ScheduleFace, FleetFace, TenantFace, EventFace, KeyFace):
    """A client that reads, waits and steers: what most commands need, and quick to import.

    Threads may share it; it holds one connection and does one thing at a time. It connects on
    first use, reconnects when the connection was lost, and repeats reads that broke off with it.

    Ids may be given in full, as a unique head or tail of at least 6 characters, or as ``@latest``.

    Args:
        wiring: how it comes to its database; the composition root provides it.
        settings: what it adds to all it submits, and whose work it sees.
    """

    def __init__(self, wiring: Wiring, settings: Settings) -> None:
        self._link = Link(wiring, settings.sees, settings.keys)
        self._waiter = Waiter(self._link, wiring.ear)
        self._settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def connect(self) -> None:
        """Connect now, and refuse a schema that cannot be used, instead of on first use.

        Raises:
            DatabaseError: no connection, or the schema cannot be used.
        """
        self._link.open()

    def close(self) -> None:
        """Close the connections; the next call opens another one."""
        self._waiter.close()
        self._link.close()

    def get(self, id: str, *, connection: Caller | None = None) -> Document:  # noqa: A002
        """Read a run with its steps, or an intent with its attempts.

        With ``connection`` as the caller's own transaction sees it.

        Raises:
            NotFound: there is neither.
            AmbiguousId: the part of an id fits several.
        """
        return self._do(lambda: operations.document(id), connection, again=True)

    def shape(self, id: str) -> Shape:  # noqa: A002 - the word of the documents
        """Read a run together with the workflow that it goes on with, or an intent.

        Raises:
            NotFound: there is neither.
            AmbiguousId: the part of an id fits several.
        """
        return self._link.run(lambda: shapes.shape(id), again=True)

    def list(
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
        return self._link.run(lambda: reading.page(wanted), again=True)

    def wait(
        self,
        id: str,  # noqa: A002 - the word of the documents
        timeout: float | str | timedelta | None = None,
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
        work_id = self.resolve_id(id)
        pace = waiting.Pace(work_id, timeout, poll, time.monotonic)
        known = False
        ticket = None
        try:
            while True:
                try:
                    if seen is None:
                        ended = self._link.run(lambda: operations.ended(work_id), again=True)
                        document = self.get(work_id) if ended else None
                    else:
                        document = self.get(work_id)
                except DatabaseUnreachable:
                    # what was never reached is a mistake, what was is on its way back
                    if not known:
                        raise
                    time.sleep(pace.lost())
                    continue
                known = True
                if document is not None and document.ended:
                    return document
                if document is not None and seen is not None:
                    seen(document)
                if ticket is None:
                    ticket = self._waiter.join(work_id, poll if seen is None else math.inf)
                self._waiter.rest(ticket, pace.left() if seen is None else pace.pause())
                if ticket.over:
                    # the client was closed meanwhile, and is opened again by the next look
                    ticket = None
                    time.sleep(pace.pause())
        finally:
            if ticket is not None:
                self._waiter.leave(ticket)

    def resolve_id(self, text: str) -> str:
        """Return the full id that a head, a tail or ``@latest`` means; a full id is not looked up.

        Raises:
            NotFound: nothing among the newest 100,000 of each kind fits.
            AmbiguousId: several fit.
        """
        return self._link.run(lambda: reading.resolve_id(text), again=True)

    def cancel(
        self,
        id: str,  # noqa: A002 - the word of the documents
        reason: str | None = None,
        *,
        connection: Caller | None = None,
    ) -> str:
        """Cancel a run or an intent in any state; return the state it was in.

        With ``connection`` it is part of the caller's own transaction.

        Raises:
            NotFound: there is no such work.
            NotPossible: it has ended.
        """
        return self._do(lambda: operations.cancel(id, reason), connection, again=False)

    def retry(self, id: str, from_step: str | Sequence[str] | None = None) -> str:  # noqa: A002
        """Put ended work back to work: its bad steps, or ``from_step`` and all below; return the new state.

        Raises:
            NotFound: there is no such work or step.
            NotPossible: it has not ended, or nothing of it ended badly.
        """
        return self._link.run(lambda: operations.retry(id, from_step), again=False)

    def give_up(self, id: str) -> None:  # noqa: A002 - the word of the documents
        """Cancel work unless it has ended."""
        try:
            self.cancel(id, "given up")
        except NotPossible:
            # that it has ended is all that is wanted
            return

    def why(self, id: str, step: str | None = None) -> Why:  # noqa: A002 - the word of the documents
        """Say why work waits, or why a step was skipped.

        Raises:
            NotFound: there is no such work or step.
        """
        return self._link.run(lambda: operations.why(id, step), again=True)

    def logs(
        self,
        id: str,  # noqa: A002 - the word of the documents
        step: str | None = None,
        *,
        follow: bool = False,
        attempt: int | None = None,
        tail: int | None = None,
        since: float | str | timedelta | None = None,
        streams: Collection[str] = (),
    ) -> Iterator[LogRecord]:
        """Read what attempts said, in the order in which they said it: shell steps, and `Step.log`.

        Args:
            id: of the run or intent.
            step: id of one step, ``STEP[KEY]`` for one item of a fan-out; None for all.
            follow: go on with what comes, until the work has ended.
            attempt: number of one attempt; None for all.
            tail: begin with the last so many lines; None for all.
            since: begin with what was written within this time: seconds, timedelta or ``"5m"``.
            streams: of ``stdout``, ``stderr`` and ``log``; empty for all.

        Raises:
            NotFound: there is no such work, or no such step in it.
            InvalidInput: one of the others is malformed.
        """
        wanted = LogQuery(id, step, attempt=attempt, tail=tail, since=since, streams=streams)
        self._link.run(wanted.open, again=True)
        return self._lines(wanted, follow=follow)

    def _lines(self, wanted: LogQuery, *, follow: bool) -> Iterator[LogRecord]:
        while not wanted.complete:
            yield from self._link.run(wanted.page, again=True)
        while follow:
            ended = self._patiently(wanted.ended)
            # asked for after the end was seen: what was said is there by then
            yield from self._patiently(wanted.news)
            if ended:
                return
            time.sleep(POLL)

    def log_news(
        self,
        id: str,  # noqa: A002 - the word of the documents
        *,
        streams: Collection[str] = (),
    ) -> Callable[[], Sequence[LogRecord]]:
        """Return a function that returns what was said since its last call.

        Raises:
            NotFound: there is no such work.
        """
        wanted = LogQuery(id, streams=streams)
        self._link.run(wanted.open, again=True)
        return lambda: self._link.run(wanted.news, again=True)

    def _patiently(self, make: Callable[[], Operation[T]]) -> T:
        """Run a read; a restart of the database is waited out."""
        while True:
            try:
                return self._link.run(make, again=True)
            except DatabaseUnreachable:
                time.sleep(SLOWEST_POLL)

    def dead_letters(self, *, limit: int = 50, after: str | None = None) -> Page[DeadLetterDocument]:
        """Read one page of dead letters, newest first."""
        return self._link.run(lambda: overview.letters(limit, after, self._settings.sees), again=True)

    def dead_letter(self, reference: str) -> DeadLetterDocument:
        """Read one dead letter: the id of an intent, or ``RUN/STEP``.

        Raises:
            NotFound: there is none.
        """
        return self._link.run(lambda: overview.letter(reference), again=True)

    def requeue(self, reference: str | Sequence[str]) -> str:
        """Put a dead letter, or several of one run, back to work; return the new state of the work."""
        return self._link.run(lambda: overview.requeue(reference), again=False)

    def drop(self, reference: str) -> None:
        """Forget a dead letter; the work stays discarded."""
        self._link.run(lambda: overview.drop(reference), again=False)

    def prune(
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
        sweep = self._link.run(
            lambda: pruning.begin(
                self._settings, older_than, states, dead_letters_older_than, dry_run=dry_run
            ),
            again=True,
        )
        while not sweep.ended:
            self._link.run(sweep.batch, again=True)
            if seen is not None:
                seen(sweep.so_far())
            time.sleep(sweep.pause)
        return sweep.so_far()

    def keeps(self) -> tuple[str, ...]:
        """Return the names of the workflows that say themselves how long their finished runs are kept."""
        return self._link.run(pruning.keeping_names, again=True)
