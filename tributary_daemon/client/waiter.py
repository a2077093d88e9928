"""How the threads of a client wait for the end of work: one of them asks and listens for all."""

from __future__ import annotations

import threading
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

    from tributary_daemon.client.link import Link

_TO_END = 5.0


class Waiter:
    """Waits on behalf of the threads of a client.

    The first wait starts a thread that looks for all of them over the client's connection, and another one
    that listens on a connection of its own; both end when nobody has waited for a while.

    Args:
        link: the client's connection.
        url: returns the URL to listen at.
    """

    def __init__(self, link: Link, url: Callable[[], str]) -> None:
        self._link = link
        self._url = url
        self._lock = threading.Lock()
        self._service: _Service | None = None

    def join(self, work_id: str, slowest: float | None) -> Ticket[threading.Event]:
        """Return a ticket for work that has not ended; `rest` on it until its flag is set, then look.

        Args:
            work_id: full id.
            slowest: poll in seconds; infinite if the caller polls itself; None for what suits.
        """
        ticket = Ticket(work_id, threading.Event(), slowest)
        with self._lock:
            while self._service is None or not self._service.join(ticket):
                self._service = _Service(self._link, self._url)
        return ticket

    def rest(self, ticket: Ticket[threading.Event], seconds: float | None) -> None:
        """Wait until there is reason to look, at most so many seconds.

        Raises:
            TributaryError: looking for it has failed.
        """
        ticket.flag.wait(seconds)
        ticket.flag.clear()
        if ticket.error is not None:
            raise ticket.error

    def leave(self, ticket: Ticket[threading.Event]) -> None:
        """Wait no more."""
        with self._lock:
            if self._service is not None:
                self._service.leave(ticket)

    def close(self) -> None:
        """End the threads and remove what was registered; who still waits joins anew."""
        with self._lock:
            service, self._service = self._service, None
        if service is not None:
            service.stop()


class _Service:
    """The two threads and their book, from the first wait to a while after the last one."""

    def __init__(self, link: Link, url: Callable[[], str]) -> None:
        self._link = link
        self._id = uuid4()
        self._book = Book(time.monotonic())
        self._news = threading.Condition()
        self._stopping = False
        self._registered = False
        self._lost = False
        self._told = False
        self._ear = Ear(url, ends.channel(self._id), self._heard, self._turned, lambda: len(self._book) > 0)
        self._thread = threading.Thread(target=self._run, name="trib waits", daemon=True)
        self._thread.start()
        self._ear.start()

    def join(self, ticket: Ticket[threading.Event]) -> bool:
        """Take a ticket; False when it is too late for that."""
        with self._news:
            if not self._stopping:
                self._book.join(ticket, time.monotonic())
                self._news.notify()
            return not self._stopping

    def leave(self, ticket: Ticket[threading.Event]) -> None:
        with self._news:
            self._book.leave(ticket, time.monotonic())

    def stop(self) -> None:
        with self._news:
            self._stopping = True
            self._news.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(_TO_END)

    def _heard(self, ids: Sequence[str]) -> None:
        with self._news:
            self._book.heard(ids)

    def _turned(self, listening: bool) -> None:  # noqa: FBT001 - a callback
        with self._news:
            self._book.turn(listening=listening, now=time.monotonic())
            self._news.notify()

    def _run(self) -> None:
        try:
            while (taken := self._next()) is not None:
                self._ask(taken)
        finally:
            with self._news:
                self._stopping = True
                self._book.end()
            self._ear.stop()
            self._ear.join(_TO_END)
            if self._registered and not self._lost:
                self._forget()

    def _next(self) -> Round | None:
        """Return what is to be asked next, in its time; None at the end."""
        with self._news:
            while not self._stopping:
                now = time.monotonic()
                if self._book.is_idle(now):
                    self._stopping = True
                    break
                pause = self._book.pause(now)
                if pause <= 0:
                    return self._book.take(now)
                self._news.wait(min(pause, threading.TIMEOUT_MAX))
        return None

    def _ask(self, taken: Round) -> None:
        refusal = self._register(taken) if taken.registers else None
        found: frozenset[str] = frozenset()
        try:
            if isinstance(refusal, DatabaseUnreachable) and not taken.look:
                raise refusal
            if taken.look:
                found = self._link.run(lambda: ends.ended(taken.look), again=True)
        except DatabaseUnreachable:
            # it is on its way back, as for every wait
            self._lost = True
            with self._news:
                self._book.failed(taken, time.monotonic())
                self._news.wait_for(lambda: self._stopping, SLOWEST_POLL)
            return
        except TributaryError as error:
            with self._news:
                self._book.refused(taken, error)
            return
        self._lost = False
        now = time.monotonic()
        with self._news:
            self._book.looked(taken, found, now)
            if refusal is not None:
                # a session that may only read, say: nobody will tell, so it polls
                self._book.unregistered(taken, now)
        if refusal is not None:
            self._say(refusal)

    def _register(self, taken: Round) -> TributaryError | None:
        probe = self._ear.question()
        try:
            unknown = self._link.run(
                lambda: ends.register(self._id, taken.new, taken.done, probe), again=True
            )
        except TributaryError as error:
            return error
        self._registered = True
        if unknown:
            with self._news:
                self._book.unknown(taken, time.monotonic())
        return None

    def _say(self, error: TributaryError) -> None:
        if not self._told:
            self._told = True
            events.emit(events.ListenFailed(NAME, error.message))

    def _forget(self) -> None:
        try:
            self._link.run(lambda: ends.leave(self._id), again=False)
        except DatabaseError:
            # the leader sweeps what could not be removed
            return
