"""Workflow functions in the process that runs them: what they do in place, and in transactions."""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from tributary_daemon import codec
from tributary_daemon.daemon.reconnect import LOST
from tributary_daemon.daemon.seals import seal_part
from tributary_daemon.engine.failures import outcome_of
from tributary_daemon.engine.functions import part, run_function, told
from tributary_daemon.engine.opened import aopened, opened
from tributary_daemon.errors import CodecError, HandlerError, ResourceFailed
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.handlers.step import Step
from tributary_daemon.store.histories import SAVE_HISTORY, save_params

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.runtime import ProcessRuntime
    from tributary_daemon.engine.commands import Command
    from tributary_daemon.engine.functions import Transacted
    from tributary_daemon.engine.pool import Pool
    from tributary_daemon.engine.replay import Replay
    from tributary_daemon.handlers.registry import Handler
    from tributary_daemon.handlers.step_log import Lines
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.store.lent import AsyncLent


class Functions:
    """Runs workflow functions with the powers of one process.

    Args:
        runtime: of the process.
    """

    def __init__(self, runtime: ProcessRuntime) -> None:
        self._runtime = runtime

    async def run(self, held: Held, pool: Pool) -> Outcome:
        """Run one in the handler loop until it ends or waits; ``pool``: the resources of the process."""
        assert held.handler is not None
        assert held.replayed is not None
        host = _Host(held, self._runtime, pool)
        try:
            async with aopened(held.handler.signature.resources, host.step, pool) as more:
                return await run_function(held, held.handler, held.replayed.history, host, more)
        except ResourceFailed as error:
            return outcome_of(error, held.handler, held)


class _Host:
    """What the process does for one lease (the protocol `engine.functions.Host`)."""

    def __init__(self, held: Held, runtime: ProcessRuntime, pool: Pool) -> None:
        self._held = held
        self._runtime = runtime
        self._pool = pool
        self.step = Step(held, runtime)

    def now(self) -> str:
        """Return the database's time: as it was when the history was loaded, and what has passed since."""
        assert self._held.replayed is not None
        at, since = self._held.replayed.at, self._held.replayed.since
        return (at + timedelta(seconds=time.monotonic() - since)).isoformat()

    @property
    def lines(self) -> Lines:
        """Where log lines go."""
        return self._runtime.lines(self._held)

    async def call(self, command: Command) -> str:
        """Call a handler in place, a sync one in a thread."""
        handler = REGISTRY.get(command.name)
        arguments = handler.signature.validate(command.payload)
        wanted = handler.signature.resources
        if handler.is_async:
            async with aopened(wanted, self.step, self._pool) as more:
                result = await handler.function(**arguments, **more)
        else:
            result = await asyncio.to_thread(self._call_here, handler, arguments)
        return handler.signature.dump(result)

    def _call_here(self, handler: Handler, arguments: dict[str, Any]) -> Any:
        with opened(handler.signature.resources, self.step, self._pool) as more:
            return handler.function(**arguments, **more)

    async def transact(self, command: Command, replay: Replay) -> Transacted:
        """Call a function in a transaction that keeps the history with its result."""
        try:
            async with _lent(self._runtime, self._held) as connection:
                return await self._transact(connection, command, replay)
        except LOST:
            return "unknown"

    async def _transact(self, connection: AsyncLent, command: Command, replay: Replay) -> Transacted:
        try:
            result = await _result(connection, command)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - user code; the function gets it as the failure of a step
            if connection.broken:
                return "unknown"
            replay.did(command, self.now(), error=told(error))
            return "told"
        event = replay.done(command, self.now(), result=result)
        try:
            adding = seal_part(self._held, part(replay, [*replay.to_keep(), event]), self._runtime.keys)
            params = save_params(self._held.shard, self._held.token, adding)
            cursor = await connection.execute(SAVE_HISTORY, params)
            if (await cursor.fetchall())[0][0] is not True:
                return "lease lost"
            await connection.commit_step()
        except LOST:
            raise
        except (psycopg.Error, CodecError) as error:
            # its own deferred constraints, or more than a history may hold: nothing was committed
            replay.did(command, self.now(), error=told(error))
        else:
            replay.note(event)
            replay.kept()
        return "told"


async def _result(connection: AsyncLent, command: Command) -> Any:
    function, arguments = command.payload
    if not inspect.iscoroutinefunction(function):
        raise HandlerError(f"{command.name} is no async function", hint="a transaction calls async functions")
    result = await function(connection, *arguments)
    return codec.loads(codec.dumps(result, what="result"))


@asynccontextmanager
async def _lent(runtime: ProcessRuntime, held: Held) -> AsyncIterator[AsyncLent]:
    """Lend a connection for one transaction; what is not committed by the end is rolled back."""
    await runtime.slots.atake(held)
    try:
        runtime.make_room()
        connection = await runtime.aopen()
        # how long its statements take is the function's business
        connection.silence = None
        try:
            yield connection
        finally:
            await connection.close()
    finally:
        runtime.slots.free(held)
