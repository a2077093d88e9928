"""One attempt of a handler that hooks lie around: they see JSON values, and errors as they were raised."""

from __future__ import annotations

import asyncio
import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from tributary_daemon import codec
from tributary_daemon.engine.failures import outcome_of, retried, stopped, timed_out, unfit
from tributary_daemon.engine.opened import aopened, opened
from tributary_daemon.engine.pool import Pool
from tributary_daemon.errors import CodecError, HandlerTimeout, InvalidInput, StepCancelled
from tributary_daemon.model.outcome import Completed, Discarded, Outcome

if TYPE_CHECKING:
    from tributary_daemon.engine.hooking import Chain
    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.handlers.registry import Handler
    from tributary_daemon.handlers.step import Step


def run_hooked(handler: Handler, lease: Lease, step: Step, pool: Pool | None, chain: Chain) -> Outcome:
    """Run one attempt of a plain handler through its hooks; the arguments are those of `execute_sync`."""
    attempt = _Attempt(handler, lease, step, Pool() if pool is None else pool, chain.largest)
    try:
        return attempt.completed(chain.run(step, codec.loads(lease.payload), attempt.call))
    except BaseException as error:  # noqa: BLE001 - user code; whatever it raises is an outcome
        return attempt.outcome(error)
    finally:
        if pool is None:
            attempt.pool.close()


async def arun_hooked(handler: Handler, lease: Lease, step: Step, pool: Pool | None, chain: Chain) -> Outcome:
    """Run one attempt of an async handler through its hooks, all of it within its timeout."""
    attempt = _Attempt(handler, lease, step, Pool() if pool is None else pool, chain.largest)
    deadline = asyncio.timeout(lease.timeout)
    try:
        async with deadline:
            result = await chain.arun(
                step, codec.loads(lease.payload), attempt.acall, partial(_shown, lease, deadline)
            )
        # what swallowed its cancellation is not the result of its work
        return timed_out(lease) if deadline.expired() else attempt.completed(result)
    except GeneratorExit:
        # the loop is gone: nobody waits for an outcome
        raise
    except BaseException as error:  # noqa: BLE001 - user code; whatever it raises is an outcome
        return stopped(error, lease, deadline) or attempt.outcome(error)
    finally:
        if pool is None:
            await attempt.pool.aclose()


def _shown(lease: Lease, deadline: asyncio.Timeout, error: BaseException) -> BaseException:
    """Return what a cancelled attempt is to its hooks: what a thread would have met."""
    if not isinstance(error, asyncio.CancelledError):
        return error
    if deadline.expired() or lease.silent_for is not None:
        return HandlerTimeout("timed out")
    task = asyncio.current_task()
    return StepCancelled("cancelled") if task is not None and task.cancelling() else error


class _Attempt:
    """What lies inside of all hooks. It remembers what its own refusals lead to, should they get out."""

    def __init__(self, handler: Handler, lease: Lease, step: Step, pool: Pool, largest: int) -> None:
        self.lease = lease
        self._largest = largest
        self.pool = pool
        self._handler = handler
        self._step = step
        self._refused: tuple[BaseException, Outcome] | None = None

    def call(self, payload: Any) -> Any:
        arguments = self._arguments(payload)
        handler = self._handler
        if not handler.signature.resources:
            return self._result(handler.function(**arguments))
        with opened(handler.signature.resources, self._step, self.pool) as more:
            return self._result(handler.function(**arguments, **more))

    async def acall(self, payload: Any) -> Any:
        arguments = self._arguments(payload)
        handler = self._handler
        if not handler.signature.resources:
            return self._result(await handler.function(**arguments))
        async with aopened(handler.signature.resources, self._step, self.pool) as more:
            return self._result(await handler.function(**arguments, **more))

    def completed(self, result: Any) -> Outcome:
        """Return the outcome of what came out of the hooks."""
        try:
            return Completed(codec.dumps(result, what="result"))
        except CodecError as error:
            return self._unfit(error, "unserialisable_result")

    def outcome(self, error: BaseException) -> Outcome:
        """Return the outcome of what was raised out of the hooks."""
        if self._refused is not None and self._refused[0] is error:
            return self._refused[1]
        return outcome_of(error, self._handler, self.lease)

    def _arguments(self, payload: Any) -> dict[str, Any]:
        signature = self._handler.signature
        try:
            arguments = signature.validate(codec.dumps(payload, max_bytes=self._largest))
        except InvalidInput as error:
            self._refused = error, Discarded(unfit(error, self.lease, "invalid_payload"))
            raise
        if signature.step_name is not None:
            arguments[signature.step_name] = self._step
        return arguments

    def _result(self, result: Any) -> Any:
        try:
            return codec.loads(self._handler.signature.dump(result, self._largest), what="result")
        except InvalidInput as error:
            if inspect.iscoroutine(result):
                # silences the warning that nobody awaited it: the refusal says so already
                result.close()
            reason = "unserialisable_result" if isinstance(error, CodecError) else "invalid_result"
            self._refused = error, self._unfit(error, reason)
            raise

    def _unfit(self, error: InvalidInput, reason: str) -> Outcome:
        return retried(unfit(error, self.lease, reason), error, self.lease)
