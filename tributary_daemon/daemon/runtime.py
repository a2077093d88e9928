"""The powers of the steps of one process: their surroundings, heartbeats, and the exactly-once connection."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from tributary_daemon.daemon.inbox import Progress
from tributary_daemon.daemon.outcomes import ended
from tributary_daemon.daemon.reconnect import LOST
from tributary_daemon.engine.failures import record, retried
from tributary_daemon.errors import DatabaseUnreachable
from tributary_daemon.handlers.step import StepContext
from tributary_daemon.handlers.step_log import Nowhere
from tributary_daemon.model.outcome import Completed, Discarded, Failed, Released, Snoozed
from tributary_daemon.store import faults, leases, session
from tributary_daemon.store.contexts import Contexts
from tributary_daemon.store.db import alend, connect, lend
from tributary_daemon.store.opener import readable
from tributary_daemon.store.watched import SILENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.daemon.board import Board
    from tributary_daemon.daemon.chunks import Chunk
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.inbox import Inbox
    from tributary_daemon.daemon.line_buffer import LineBuffer
    from tributary_daemon.daemon.line_writer import LineWriter
    from tributary_daemon.daemon.slots import ConnectionSlots
    from tributary_daemon.handlers.step_log import Lines
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.sealing.ring import Ring
    from tributary_daemon.store.contexts import StepFacts
    from tributary_daemon.store.db import AsyncConnection, Connection, Row
    from tributary_daemon.store.lent import AsyncLent, Lent
    from tributary_daemon.store.watched import Watched

_NAME: Final = "trib step"
_IDLE_CONNECTIONS: Final = 2
_PROBE: Final = 5.0
_READ_ONLY: Final = "show transaction_read_only"
_FAILOVER: Final = 1.0
# when a full disk is looked at again, and what else no attempt is to blame for
_SPACE: Final = 5.0
_BLAMELESS: Final = (psycopg.errors.DiskFull, *faults.UNUSABLE)
# how long an attempt waits for a database that is away, and how often it looks
_OUTAGE: Final = 30.0
_AGAIN: Final = 0.5
# how long the commit of an attempt waits for its lines
_LINES: Final = 1.0
NOTHING: Final = "null"
"""Details of a heartbeat that reports no progress."""


class ProcessRuntime:
    """Serves `Step` for every attempt of a process (the protocol `handlers.step.StepRuntime`).

    Args:
        url: of the database.
        process_id: whose leases these are.
        inbox: of the database thread.
        slots: bounds the connections of attempts; those kept for the next attempt count too.
        board: of the process; None in one that runs a single attempt.
        writer: of what attempts say; None to keep nothing of it.
        keys: of encrypted values; None for none.
    """

    def __init__(
        self,
        url: str,
        process_id: int,
        inbox: Inbox,
        slots: ConnectionSlots,
        board: Board | None = None,
        *,
        writer: LineWriter | None = None,
        keys: Ring | None = None,
    ) -> None:
        self.keys = keys
        self._board = board
        self._writer = writer
        self._url = url
        self._process_id = process_id
        self._inbox = inbox
        self.slots = slots
        self._lock = threading.Lock()
        self._contexts = Contexts(keys)
        self._reader: Watched | None = None
        self._idle: list[Lent] = []
        self._open: dict[Held, Lent] = {}
        self._aopen: dict[Held, AsyncLent] = {}

    def context(self, attempt: Any) -> StepContext:
        """Return inputs, results and progress of an attempt; asks the database unless they are at hand."""
        held: Held = attempt
        if held.facts is None:
            held.facts = readable(self._load(held))
        return StepContext(
            inputs=held.facts.facts.inputs if held.in_run else {},
            results={name: step["result"] for name, step in held.facts.steps.items()},
            progress=held.facts.progress,
        )

    def heartbeat(self, attempt: Any, details: str) -> None:
        """Take note of a sign of life, and hand progress to the database thread."""
        held: Held = attempt
        held.beat_at = time.monotonic()
        # an isolated attempt says it all the same: the other side counts the silence
        if details != NOTHING or held.heartbeat_timeout is None or self._board is None:
            self._inbox.put(Progress(held, details))

    def own_group(self, attempt: Any, group: int) -> None:
        """Note a process group that ends with the attempt; an isolated one has its own session anyway."""
        held: Held = attempt
        if self._board is not None and not held.isolated:
            self._board.own_group(held, group)

    def is_cancelled(self, attempt: Any) -> bool:
        """Return whether the attempt's token is known not to stand any more."""
        held: Held = attempt
        return held.dropped

    def lines(self, attempt: Any) -> Lines:
        """Return where the lines of an attempt go."""
        held: Held = attempt
        return Nowhere(held.mask) if self._writer is None else self._buffer(held, self._writer)

    def relay(self, held: Held, chunks: Sequence[Chunk]) -> None:
        """Take what an isolated attempt has said."""
        if self._writer is not None:
            self._buffer(held, self._writer).absorb(chunks)

    def _buffer(self, held: Held, writer: LineWriter) -> LineBuffer:
        if held.lines is None:
            with self._lock:
                held.lines = held.lines or writer.open(held)
        return held.lines

    def connection(self, attempt: Any) -> Connection:
        """Return the connection in whose transaction the step is going to be finished."""
        held: Held = attempt
        if held not in self._open:
            self.slots.take(held)
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or not _is_alive(connection):
                connection = self._connect()
            # how long its statements take is the handler's business
            connection.silence = None
            self._open[held] = connection
        return self._open[held]

    async def aconnection(self, attempt: Any) -> AsyncConnection:
        """Return the same for an async handler."""
        held: Held = attempt
        if held not in self._aopen:
            await self.slots.atake(held)
            self.make_room()
            self._aopen[held] = await self.aopen()
        return self._aopen[held]

    def _connect(self) -> Lent:
        """Open a connection; an outage is waited for, as it is no reason to fail an attempt."""
        until = time.monotonic() + _OUTAGE
        while True:
            try:
                return lend(self._url, application_name=_NAME)
            except DatabaseUnreachable:
                if time.monotonic() > until:
                    raise
            time.sleep(_AGAIN)

    async def aopen(self) -> AsyncLent:
        """Open a connection for an attempt that has a slot; see `_connect`."""
        until = time.monotonic() + _OUTAGE
        while True:
            try:
                return await alend(self._url, application_name=_NAME)
            except DatabaseUnreachable:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_AGAIN)

    def make_room(self) -> None:
        """Close what is kept for the next attempt where somebody else opens a connection now."""
        with self._lock:
            while self._idle and len(self.slots) + len(self._idle) > self.slots.most:
                self._idle.pop().close()

    def settle(self, held: Held, outcome: Outcome) -> Outcome | None:
        """End the attempt's own transaction, if it opened one.

        Returns:
            what the database thread still has to write: the outcome itself when there was no connection or
            the attempt did not complete (its effects are rolled back), None when it is written.
        """
        if not self.slots.holders:
            return outcome
        try:
            return self._settle(held, outcome)
        finally:
            self.slots.free(held)

    def _settle(self, held: Held, outcome: Outcome) -> Outcome | None:
        connection = self._open.pop(held, None)
        if connection is None:
            return outcome
        connection.silence = SILENCE
        if held.lines is not None and self._board is not None:
            # this commit makes the end of the attempt visible: what it has said is to be there, too
            held.lines.settle(_LINES)
        if not isinstance(outcome, Completed):
            if _comes_again(held) and _meets_read_only(outcome):
                outcome = _judge(outcome, self._ask(connection))
            elif _comes_again(held) and _meets_full_disk(outcome, connection):
                outcome = Snoozed(_SPACE)
            self._give_back(connection)
            return outcome
        try:
            stands = leases.finish_on(
                connection, held.shard, self._process_id, ended(held, outcome, self.keys)
            )
            if stands:
                connection.commit_step()
                return None
            return Released("lease_lost")
        except psycopg.Error as error:
            if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                # the next attempt finds another server
                connection.close()
            return _failed(held, error)
        finally:
            self._give_back(connection)

    async def asettle(self, held: Held, outcome: Outcome) -> Outcome | None:
        """Do what `settle` does for an async handler."""
        if not self.slots.holders:
            return outcome
        try:
            return await self._asettle(held, outcome)
        finally:
            self.slots.free(held)

    async def _asettle(self, held: Held, outcome: Outcome) -> Outcome | None:
        connection = self._aopen.pop(held, None)
        if connection is None:
            return outcome
        connection.silence = SILENCE
        if held.lines is not None and self._board is not None:
            await asyncio.to_thread(held.lines.settle, _LINES)
        try:
            if not isinstance(outcome, Completed):
                if not _comes_again(held):
                    return outcome
                if _meets_full_disk(outcome, connection):
                    return Snoozed(_SPACE)
                return _judge(outcome, await _aask(connection)) if _meets_read_only(outcome) else outcome
            if await leases.afinish_on(
                connection, held.shard, self._process_id, ended(held, outcome, self.keys)
            ):
                await connection.commit_step()
                return None
            return Released("lease_lost")
        except psycopg.Error as error:
            return _failed(held, error)
        finally:
            # what was not committed is rolled back with it
            await connection.close()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for connection in [*self._idle, *self._open.values(), *([self._reader] if self._reader else [])]:
                connection.close()
            self._idle, self._open, self._reader = [], {}, None

    def _ask(self, connection: Watched) -> Row | None:
        """Return whether new transactions of this server only read: the handler may have asked for that."""
        try:
            connection.rollback()
            row = connection.execute(_READ_ONLY).fetchone()
            connection.close()
        except psycopg.Error:
            return None
        return row

    def _give_back(self, connection: Lent) -> None:
        """Roll back what is left of a transaction, and keep the connection only if that went well."""
        try:
            connection.rollback()
        except psycopg.Error:
            # it is broken: so is its transaction
            connection.close()
            return
        with self._lock:
            if (
                len(self._idle) < min(_IDLE_CONNECTIONS, self.slots.most)
                and connection.info.transaction_status == TransactionStatus.IDLE
            ):
                self._idle.append(connection)
                return
        connection.close()

    def _load(self, held: Held) -> StepFacts:
        # the reader may have been cut while nobody used it; a thread waits for longer than the loop may
        until = time.monotonic() + (0.0 if held.in_loop else _OUTAGE)
        again = True
        while True:
            try:
                with self._lock:
                    return self._read(held)
            except LOST as error:
                if not again and time.monotonic() > until:
                    if isinstance(error, psycopg.Error):
                        raise faults.translate(error) from error
                    raise
            if not again:
                time.sleep(_AGAIN)
            again = False

    def _read(self, held: Held) -> StepFacts:
        """Read by the connection that all steps share; the caller holds the lock."""
        try:
            if self._reader is None:
                self._reader = connect(self._url, application_name=f"{_NAME} reader", limits=session.OWN)
                self._reader.silence = SILENCE
            if not held.in_run:
                return self._contexts.load_intent(self._reader, held.shard, held.run_id)
            found = self._contexts.load(self._reader, held.shard, [held], progress=True)
            return found[held.run_id, held.ordinal]
        except LOST:
            if self._reader is not None:
                self._reader.close()
                self._reader = None
            raise


def _is_alive(connection: Watched) -> bool:
    """Return whether an idle connection still answers: it may have been cut while nobody used it."""
    connection.silence = _PROBE
    try:
        connection.execute("")
        connection.rollback()
    except psycopg.Error:
        connection.close()
        return False
    return True


def _failed(held: Held, error: psycopg.Error) -> Outcome:
    """The transaction failed: nothing of it was kept, unless it died in its COMMIT; the fence tells."""
    if _comes_again(held) and isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return Snoozed(_FAILOVER)
    if _comes_again(held) and isinstance(error, _BLAMELESS):
        # said by the statement that finishes the attempt, or by the commit
        return Snoozed(_SPACE)
    translated = faults.translate(error)
    return retried(record(translated, held, reason="transaction"), translated, held)


def _comes_again(held: Held) -> bool:
    """Return whether user code may run once more for an attempt that the database is to blame for."""
    return held.max_attempts != 1


def _meets_read_only(outcome: Outcome) -> bool:
    """Return whether an attempt failed because it could not write."""
    return isinstance(outcome, Failed | Discarded) and outcome.error.type.endswith("ReadOnlySqlTransaction")


def _meets_full_disk(outcome: Outcome, connection: Lent | AsyncLent) -> bool:
    """Return whether an attempt failed because its own transaction found no room."""
    return (
        isinstance(outcome, Failed | Discarded)
        and outcome.error.type.endswith("DiskFull")
        and connection.info.transaction_status == TransactionStatus.INERROR
    )


async def _aask(connection: AsyncLent) -> Row | None:
    try:
        await connection.rollback()
        return await (await connection.execute(_READ_ONLY)).fetchone()
    except psycopg.Error:
        return None


def _judge(outcome: Outcome, row: Row | None) -> Outcome:
    """An attempt that met a server which only reads is not to blame: it comes again, uncounted.

    Nor is one whose server is gone by the time it is asked: that is how a failover goes on.
    """
    return Snoozed(_FAILOVER) if row is None or row == ("on",) else outcome
