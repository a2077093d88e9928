"""A caller's own connection: one of psycopg, or a session or connection of SQLAlchemy around one."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from psycopg.rows import tuple_row

from tributary_daemon.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator


class SessionLike(Protocol):
    """``sqlalchemy.orm.Session``."""

    def connection(self) -> Any: ...


class ConnectionLike(Protocol):
    """``sqlalchemy.Connection``."""

    @property
    def connection(self) -> Any: ...


class AsyncSessionLike(Protocol):
    """``sqlalchemy.ext.asyncio.AsyncSession``."""

    def connection(self) -> Awaitable[Any]: ...


class AsyncConnectionLike(Protocol):
    """``sqlalchemy.ext.asyncio.AsyncConnection``."""

    def get_raw_connection(self) -> Awaitable[Any]: ...


Caller = psycopg.Connection[Any] | SessionLike | ConnectionLike
"""What a client works on in the caller's own transaction."""
AsyncCaller = psycopg.AsyncConnection[Any] | AsyncSessionLike | AsyncConnectionLike
"""The same for asyncio."""


@contextmanager
def borrowed(caller: Caller) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """Lend the caller's connection; meanwhile it returns tuples, whatever its row factory is.

    A session of SQLAlchemy begins its transaction with this, and should be flushed before what has to be
    seen in the database.

    Raises:
        InvalidInput: there is no connection of psycopg (3) in it.
    """
    found: Any = caller
    if not isinstance(found, psycopg.Connection):
        # of a session it is a method, of a connection what its pool has given it
        if callable(getattr(found, "connection", None)):
            found = found.connection()
        if hasattr(found, "in_transaction") and not found.in_transaction():
            # as a statement of its own would: else its commit would leave ours out
            found.begin()
        found = getattr(getattr(found, "connection", None), "driver_connection", None)
    if not isinstance(found, psycopg.Connection):
        raise _no_connection(caller, "psycopg.Connection, sqlalchemy.Connection or Session", "")
    with _tuples(found):
        yield found


@asynccontextmanager
async def aborrowed(caller: AsyncCaller) -> AsyncIterator[psycopg.AsyncConnection[tuple[Any, ...]]]:
    """Do what `borrowed` does for asyncio."""
    found: Any = caller
    if not isinstance(found, psycopg.AsyncConnection):
        if not hasattr(found, "get_raw_connection") and callable(getattr(found, "connection", None)):
            found = await found.connection()
        raw = getattr(found, "get_raw_connection", None)
        if raw is not None and not found.in_transaction():
            await found.begin()
        found = getattr(await raw(), "driver_connection", None) if raw is not None else None
    if not isinstance(found, psycopg.AsyncConnection):
        raise _no_connection(
            caller, "psycopg.AsyncConnection, or SQLAlchemy's AsyncConnection or AsyncSession", "_async"
        )
    with _tuples(found):
        yield found


@contextmanager
def _tuples(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> Iterator[None]:
    before: Any = connection.row_factory
    connection.row_factory = tuple_row
    try:
        yield
    finally:
        connection.row_factory = before


def _no_connection(caller: object, wanted: str, suffix: str) -> InvalidInput:
    kind = type(caller)
    return InvalidInput(
        f"connection= takes a {wanted} of psycopg 3, not this {kind.__module__}.{kind.__qualname__}",
        hint=f"SQLAlchemy needs the dialect of psycopg 3: postgresql+psycopg{suffix}://…",
    )
