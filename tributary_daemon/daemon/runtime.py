"""The powers of the steps of one process: their surroundings, heartbeats, and the exactly-once connection."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import TransactionStatus

from tributary_daemon.daemon.inbox import Progress
from tributary_daemon.daemon.outcomes import ended
from tributary_daemon.engine.failures import record, retried
from tributary_daemon.errors import TributaryError
from tributary_daemon.handlers.step import StepContext
from tributary_daemon.model.outcome import Completed, Released
from tributary_daemon.store import faults, leases
from tributary_daemon.store.contexts import Contexts
from tributary_daemon.store.db import aconnect, connect

if TYPE_CHECKING:
    from tributary_daemon.daemon.board import Board
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.inbox import Inbox
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.store.contexts import StepFacts
    from tributary_daemon.store.db import AsyncConnection, Connection

_IDLE_CONNECTIONS = 2
NOTHING = "null"
"""Details of a heartbeat that reports no progress."""


class ProcessRuntime:
    """Serves `Step` for every attempt of a process (the protocol `handlers.step.StepRuntime`).

    Args:
        url: of the database.
        process_id: whose leases these are.
        inbox: of the database thread.
        board: of the process; None in one that runs a single attempt.
    """

    def __init__(self, url: str, process_id: int, inbox: Inbox, board: Board | None = None) -> None:
        self._board = board
        self._url = url
        self._process_id = process_id
        self._inbox = inbox
        self._lock = threading.Lock()
        self._contexts = Contexts()
        self._reader: Connection | None = None
        self._idle: list[Connection] = []
        self._open: dict[Held, Connection] = {}
        self._aopen: dict[Held, AsyncConnection] = {}

    def context(self, attempt: Any) -> StepContext:
        """Return inputs, results and progress of an attempt; asks the database unless they are at hand."""
        held: Held = attempt
        if held.facts is None:
            held.facts = self._load(held)
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

    def connection(self, attempt: Any) -> Connection:
        """Return the connection in whose transaction the step is going to be finished."""
        held: Held = attempt
        if held not in self._open:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or not _is_alive(connection):
                connection = connect(self._url, application_name="trib step", autocommit=False)
            self._open[held] = connection
        return self._open[held]

    async def aconnection(self, attempt: Any) -> AsyncConnection:
        """Return the same for an async handler."""
        held: Held = attempt
        if held not in self._aopen:
            self._aopen[held] = await aconnect(self._url, application_name="trib step", autocommit=False)
        return self._aopen[held]

    def settle(self, held: Held, outcome: Outcome) -> Outcome | None:
        """End the attempt's own transaction, if it opened one.

        Returns:
            what the database thread still has to write: the outcome itself when there was no connection or
            the attempt did not complete (its effects are rolled back), None when it is written.
        """
        if not self._open:
            return outcome
        connection = self._open.pop(held, None)
        if connection is None:
            return outcome
        if not isinstance(outcome, Completed):
            self._give_back(connection)
            return outcome
        try:
            stands = leases.finish_on(connection, held.shard, self._process_id, ended(held, outcome))
            if stands:
                connection.commit()
                return None
            return Released("lease_lost")
        except psycopg.Error as error:
            return _failed(held, error)
        finally:
            self._give_back(connection)

    async def asettle(self, held: Held, outcome: Outcome) -> Outcome | None:
        """Do what `settle` does for an async handler."""
        connection = self._aopen.pop(held, None) if self._aopen else None
        if connection is None:
            return outcome
        try:
            if not isinstance(outcome, Completed):
                return outcome
            statement, params = leases.finish_params(held.shard, self._process_id, ended(held, outcome))
            cursor = await connection.execute(statement, params)
            if not await cursor.fetchall():
                await connection.commit()
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

    def _give_back(self, connection: Connection) -> None:
        """Roll back what is left of a transaction, and keep the connection only if that went well."""
        try:
            connection.rollback()
        except psycopg.Error:
            # it is broken: so is its transaction
            connection.close()
            return
        with self._lock:
            if (
                len(self._idle) < _IDLE_CONNECTIONS
                and connection.info.transaction_status == TransactionStatus.IDLE
            ):
                self._idle.append(connection)
                return
        connection.close()

    def _load(self, held: Held) -> StepFacts:
        wanted = (held.run_id, held.ordinal)
        with self._lock:
            for last in (False, True):
                try:
                    if self._reader is None or self._reader.closed:
                        self._reader = connect(self._url, application_name="trib step reader")
                    if not held.in_run:
                        return self._contexts.load_intent(self._reader, held.shard, held.run_id)
                    return self._contexts.load(self._reader, held.shard, [wanted], progress=True)[wanted]
                except psycopg.OperationalError as error:
                    self._reader = None
                    if last:
                        raise faults.translate(error) from error
        raise TributaryError("the surroundings of the step could not be read")


def _is_alive(connection: Connection) -> bool:
    """Return whether an idle connection still answers: it may have been cut while nobody used it."""
    try:
        connection.execute("")
        connection.rollback()
    except psycopg.Error:
        connection.close()
        return False
    return True


def _failed(held: Held, error: psycopg.Error) -> Outcome:
    """The transaction failed: nothing of it was kept, unless it died in its COMMIT; the fence tells."""
    translated = faults.translate(error)
    return retried(record(translated, held, reason="transaction"), translated, held)
