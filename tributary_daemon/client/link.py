"""The one connection of a client: opened on first use, replaced when it is lost."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.store import db, faults
from tributary_daemon.store.sight import within
from tributary_daemon.store.watched import SILENCE

if TYPE_CHECKING:
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.db import AsyncConnection, Connection, Operation
    from tributary_daemon.store.watched import AsyncWatched, Watched

T = TypeVar("T")
Make = Callable[[], "Operation[T]"]
NAME: Final = "trib client"
_PREPARED_AFTER: Final = 3  # uses of a statement; never through a pooler


@dataclass(frozen=True, slots=True)
class Wiring:
    """How a client comes to its database; `app` fills it in.

    Attributes:
        url: returns the libpq URL, starting the embedded server if that is what is used.
        prepare: refuses a schema that cannot be used, creates a missing one; given the first connection.
        listen_url: for LISTEN, past a pooler, where it is another one.
    """

    url: Callable[[], str]
    prepare: Callable[[str, Connection], None]
    listen_url: str | None = None

    def ear(self) -> str:
        """Return the URL for LISTEN."""
        return self.listen_url or self.url()


def _stale(connection: Connection | AsyncConnection) -> bool:
    """Return whether a connection at rest is not to be trusted.

    The server says nothing to an idle client unless it ends the connection (or a setting changed), so
    readable means stale. Opening anew is always safe; a lost reply to a submit would not be.
    """
    if connection.closed or connection.info.transaction_status != TransactionStatus.IDLE:
        return True
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return bool(poller.poll(0))


class Link:
    """A connection shared by the threads of a process, one operation at a time.

    Args:
        wiring: how to come to the database.
        tenant: whose work is seen; None for all.
        keys: of what is encrypted; None for none.
    """

    def __init__(self, wiring: Wiring, tenant: str | None = None, keys: Ring | None = None) -> None:
        self._wiring = wiring
        self._tenant = tenant
        self._keys = keys
        self._lock = threading.RLock()
        self._connection: Watched | None = None
        self._prepared = False

    def open(self) -> None:
        """Connect unless a good connection is there."""
        with self._lock:
            self.ready()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def run(self, make: Make[T], *, again: bool) -> T:
        """Run an operation.

        Args:
            make: returns the operation; called anew for a repetition.
            again: repeat it once on a new connection when this one is lost meanwhile: reads, and what is
                harmless twice.
        """
        with self._lock:
            try:
                return db.run(self._bounded(again=again), within(self._tenant, make(), self._keys))
            except DatabaseUnreachable:
                self.close()
                if not again:
                    raise
            return db.run(self._bounded(again=again), within(self._tenant, make(), self._keys))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Hold the connection, in a transaction of its own."""
        with self._lock:
            held = self._bounded(again=False)
            try:
                with held.transaction():
                    yield held
            except psycopg.Error as error:
                raise faults.translate(error) from error

    def _bounded(self, *, again: bool) -> Connection:
        """Return the connection; what may be repeated does not wait for a silent server for ever."""
        connection = self.ready()
        connection.silence = SILENCE if again else None
        return connection

    def ready(self) -> Watched:
        """Return an open connection; the caller holds the lock."""
        if self._connection is not None and _stale(self._connection):
            self.close()
        if self._connection is None:
            url = self._wiring.url()
            connection = db.connect(url, application_name=NAME, prepare_threshold=_PREPARED_AFTER)
            if not self._prepared:
                try:
                    self._wiring.prepare(url, connection)
                except BaseException:
                    connection.close()
                    raise
                self._prepared = True
            self._connection = connection
        return self._connection


class AsyncLink:
    """The same for asyncio: belongs to the loop of its first use."""

    def __init__(self, wiring: Wiring, tenant: str | None = None, keys: Ring | None = None) -> None:
        self._wiring = wiring
        self._tenant = tenant
        self._keys = keys
        self._lock = asyncio.Lock()
        self._connection: AsyncWatched | None = None
        self._prepared = False

    async def open(self) -> None:
        """Connect unless a good connection is there."""
        async with self._lock:
            await self.ready()

    async def close(self) -> None:
        """Close the connection; the next use opens another."""
        async with self._lock:
            await self._drop()

    async def run(self, make: Make[T], *, again: bool) -> T:
        """Run an operation; as `Link.run`."""
        async with self._lock:
            try:
                return await db.arun(
                    await self._bounded(again=again), within(self._tenant, make(), self._keys)
                )
            except DatabaseUnreachable:
                await self._drop()
                if not again:
                    raise
            return await db.arun(await self._bounded(again=again), within(self._tenant, make(), self._keys))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Hold the connection, in a transaction of its own."""
        async with self._lock:
            held = await self._bounded(again=False)
            try:
                async with held.transaction():
                    yield held
            except psycopg.Error as error:
                raise faults.translate(error) from error

    async def _drop(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _bounded(self, *, again: bool) -> AsyncConnection:
        connection = await self.ready()
        connection.silence = SILENCE if again else None
        return connection

    async def ready(self) -> AsyncWatched:
        """Return an open connection; the caller holds the lock."""
        if self._connection is not None and _stale(self._connection):
            await self._drop()
        if self._connection is None:
            # what may start a server or migrate blocks, so it is kept away from the loop
            url = await asyncio.to_thread(self._prepare)
            self._connection = await db.aconnect(
                url, application_name=NAME, prepare_threshold=_PREPARED_AFTER
            )
        return self._connection

    def _prepare(self) -> str:
        url = self._wiring.url()
        if not self._prepared:
            with db.connect(url, application_name=NAME) as connection:
                self._wiring.prepare(url, connection)
            self._prepared = True
        return url
