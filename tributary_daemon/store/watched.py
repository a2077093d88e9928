"""Connections that do not wait for ever: a server that says nothing for too long is given up."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg

if TYPE_CHECKING:
    from psycopg.abc import PQGen

RV = TypeVar("RV")

SILENCE: Final = 20.0
"""Seconds without a byte from the server after which one of our own calls is given up.

TCP alone does not notice a peer whose kernel acknowledges while its program has stopped, nor a proxy that
swallows everything. With the time to reconnect it stays below 30 s.
"""


class Watched(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose calls may have a limit of silence.

    Attributes:
        silence: seconds, counted anew whenever something is heard; None, as after opening, waits for ever.
            Read at the start of each round trip.
        pooled: a pooler stands between, which may change servers after each transaction.
    """

    silence: float | None = None
    pooled: bool = False

    def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """Do what psycopg does on every round trip; OperationalError after too long a silence.

        A wait that has a timeout of its own (for notifications) is left alone.
        """
        if self.silence is not None and kwargs.get("timeout") is None:
            gen = _bounded(gen, self.pgconn.socket, self.silence)
        return super().wait(gen, *args, **kwargs)


class AsyncWatched(psycopg.AsyncConnection[tuple[Any, ...]]):
    """The same for asyncio."""

    silence: float | None = None
    pooled: bool = False

    async def wait(self, gen: PQGen[RV], *args: Any, **kwargs: Any) -> RV:
        """Do what `Watched.wait` does."""
        if self.silence is not None and kwargs.get("timeout") is None:
            gen = _bounded(gen, self.pgconn.socket, self.silence)
        return await super().wait(gen, *args, **kwargs)


def _bounded(gen: PQGen[RV], fileno: int, limit: float) -> PQGen[RV]:
    """Pass on what psycopg and libpq tell each other, and count how long nothing happens.

    psycopg looks up ten times a second and says so with a 0. When that goes on for too long, the socket is
    shut down under libpq, which so learns that the connection is lost: it must not be left believing that a
    reply is still to come. No second thread is needed, and nothing is done while replies come.
    """
    until: float | None = None
    gone = False
    try:
        ready = yield next(gen)
        while True:
            if ready:
                until = None
            elif until is None:
                until = time.monotonic() + limit
            elif not gone and time.monotonic() >= until:
                gone = True
                _shut(fileno)
            ready = yield gen.send(ready)
    except StopIteration as end:
        result: RV = end.value
        return result
    except psycopg.Error as error:
        if not gone:
            raise
        raise psycopg.OperationalError(f"nothing was heard from the server for {limit:g} s") from error


def _shut(fileno: int) -> None:
    # the number stays libpq's own; only the socket behind it is shut
    with suppress(OSError), socket.socket(fileno=os.dup(fileno)) as end:
        end.shutdown(socket.SHUT_RDWR)
