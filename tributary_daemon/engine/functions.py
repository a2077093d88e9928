"""One activation of a workflow function: from its lease and its history to an outcome."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

from tributary_daemon import codec
from tributary_daemon.engine.executor import bind, tell, unbind
from tributary_daemon.engine.failures import record, type_name, unfit
from tributary_daemon.engine.pool import Pool
from tributary_daemon.engine.replay import Replay
from tributary_daemon.errors import Abort, CodecError, InvalidInput, NonDeterminism
from tributary_daemon.model.outcome import (
    Completed,
    Continued,
    Discarded,
    Outcome,
    Parked,
    Part,
    Recorded,
    Released,
    Snoozed,
    Suspended,
)
from tributary_daemon.model.states import Kind
from tributary_daemon.spec.functions import MAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.engine.commands import Command
    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.handlers.registry import Handler
    from tributary_daemon.handlers.step_log import Lines
    from tributary_daemon.model.history import History

T = TypeVar("T")
MAX_PART: Final = 16 * 1024 * 1024
"""Bytes of what one activation adds to a history."""


Transacted = Literal["told", "lease lost", "unknown"]
_AGAIN: Final = 1.0


class Host(Protocol):
    """What the process of a workflow function does for it."""

    @property
    def lines(self) -> Lines: ...
    def now(self) -> str:
        """Return the database's time, RFC 3339."""
        ...

    async def call(self, command: Command) -> str:
        """Do something in place; return its result as JSON text, or raise."""
        ...

    async def transact(self, command: Command, replay: Replay) -> Transacted:
        """Do something in a transaction that also keeps the history so far; say what became of it."""
        ...


async def run_function(
    lease: Lease, handler: Handler, history: History, host: Host, more: Mapping[str, Any]
) -> Outcome:
    """Run a workflow function until it ends or waits.

    Args:
        lease: of its step.
        handler: of it.
        history: recorded so far.
        host: does in place what it asks for.
        more: arguments that are no inputs: the resources that it asks for.
    """
    marks = bind(lease)
    try:
        return await _run(lease, handler, history, host, more)
    finally:
        unbind(marks)


async def _run(
    lease: Lease, handler: Handler, history: History, host: Host, more: Mapping[str, Any]
) -> Outcome:
    if lease.kind == Kind.INTENT:
        refusal = InvalidInput(
            f"{lease.name} is a workflow function, which runs as a workflow, not as an intent",
            hint=f"submit it once a worker offers it: trib submit {lease.name}",
        )
        return Discarded(unfit(refusal, lease, "workflow_function"))
    if lease.step_id != MAIN:
        refusal = InvalidInput(
            f"{lease.name} is a workflow function, which runs as a run of its own, not as a step's handler",
            hint=f"start it as a child: workflow: {lease.name}, instead of task: {lease.name}",
        )
        return tell(lease, Discarded(unfit(refusal, lease, "workflow_function")))
    try:
        arguments = handler.signature.validate(lease.payload)
    except InvalidInput as error:
        return tell(lease, Discarded(unfit(error, lease, "invalid_payload")))
    except Exception as error:  # noqa: BLE001 - validators are user code
        return tell(lease, Discarded(record(error, lease)))
    replay = Replay(
        handler, {**arguments, **more}, run_id=lease.run_id, history=history, at=host.now(), lines=host.lines
    )
    try:
        return await _activate(lease, handler, host, replay)
    finally:
        replay.close()


async def _activate(lease: Lease, handler: Handler, host: Host, replay: Replay) -> Outcome:
    doing: dict[asyncio.Task[dict[str, Any]], Command] = {}
    begun: set[int] = set()
    try:
        while True:
            replay.advance()
            if replay.ended or replay.begins_anew is not None:
                break
            pending = replay.in_place()
            for command in pending:
                if command.kind == "in_place" and command.number not in begun:
                    begun.add(command.number)
                    doing[asyncio.ensure_future(_called(command, host))] = command
            if doing:
                done, _ = await asyncio.wait(doing, return_when=asyncio.FIRST_COMPLETED)
                # one at a time: what it leads to comes before the next in a replay
                task = min(done, key=lambda task: doing[task].number)
                replay.did(doing.pop(task), host.now(), **task.result())
            elif pending:
                # alone, as it commits the history with what it does
                match await host.transact(pending[0], replay):
                    case "lease lost":
                        return Released("lease_lost")
                    case "unknown":
                        # whether it was committed is known by the history alone: it is read anew
                        return Snoozed(_AGAIN)
                    case _:
                        pass
            else:
                break
    except NonDeterminism as error:
        return Parked(unfit(error, lease, "nondeterminism"))
    finally:
        for task in doing:
            task.cancel()
    return _outcome(lease, handler, replay)


async def _called(command: Command, host: Host) -> dict[str, Any]:
    try:
        return {"result": codec.loads(await host.call(command))}
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - user code; the function gets it as the failure of a step
        return {"error": told(error)}


def told(error: BaseException) -> dict[str, Any]:
    """Return an exception as the history has it."""
    kind = type_name(type(error))
    reason = "aborted" if isinstance(error, Abort) else None
    return {"type": kind, "message": str(error) or kind, "reason": reason}


def _outcome(lease: Lease, handler: Handler, replay: Replay) -> Outcome:
    try:
        if (anew := replay.begins_anew) is not None:
            terms = {"inputs": anew.inputs, "count": replay.continued + 1}
            handler.signature.validate(json.dumps(anew.inputs))
            return Recorded(Continued(codec.dumps(terms)), Part(replay.number, "[]", replay.status))
        if replay.ended:
            return _ended(lease, handler, replay)
        if not replay.open():
            refusal = InvalidInput(
                f"{handler.name} waits for nothing that will ever come",
                hint="it awaits something that it has not asked its context for",
            )
            return _failed(lease, refusal, replay, reason="deadlock")
        asks = replay.asks()
        new = {ask["ordinal"] for ask in asks}
        terms = {
            "asks": asks,
            "open": [ordinal for ordinal in replay.open() if ordinal not in new],
            "unmet": replay.unmet(),
        }
        return Recorded(
            Suspended(codec.dumps(terms, what="steps", max_bytes=MAX_PART)), part(replay, replay.to_keep())
        )
    except CodecError as error:
        return tell(lease, Discarded(unfit(error, lease, "unserialisable_result")))
    except InvalidInput as error:
        return tell(lease, Discarded(unfit(error, lease, "invalid_payload")))


def _ended(lease: Lease, handler: Handler, replay: Replay) -> Outcome:
    try:
        result = replay.result()
    except BaseException as error:  # noqa: BLE001 - user code; whatever it raises is an outcome
        return _failed(lease, error, replay)
    for lost in replay.unheard():
        replay.log.warning("a branch that nobody awaited has failed", error=f"{type(lost).__name__}: {lost}")
    try:
        text = handler.signature.dump(result)
    except CodecError as error:
        return _failed(lease, error, replay, reason="unserialisable_result")
    except InvalidInput as error:
        return _failed(lease, error, replay, reason="invalid_result")
    return Recorded(Completed(text), part(replay, replay.to_keep(), left=replay.left()))


def _failed(lease: Lease, error: BaseException, replay: Replay, *, reason: str | None = None) -> Outcome:
    """A workflow function that raises has failed: run again it would raise again."""
    if isinstance(error, Abort):
        reason = "aborted"
    outcome = Discarded(record(error, lease, reason=reason))
    tell(lease, outcome)
    return Recorded(outcome, part(replay, replay.ending_events()))


def part(replay: Replay, events: list[dict[str, Any]], *, left: tuple[int, ...] = ()) -> Part:
    """Return what is added to a history.

    Raises:
        CodecError: it is too large.
    """
    text = codec.dumps(events, what="history", max_bytes=MAX_PART)
    return Part(replay.number, text, replay.status, left)


async def replayed(
    handler: Handler, payload: str, run_id: str, history: History, look: Callable[[Replay], T]
) -> T:
    """Replay a run with the code of this process, as far as its history goes, and look at what it came to.

    Nothing is written, and nothing is done but that resources are opened which the function asks for.

    Args:
        handler: the workflow function.
        payload: its inputs, JSON text.
        run_id: of the run.
        history: of it.
        look: returns what is wanted of the replay.

    Raises:
        NonDeterminism: the code does not fit the history.
        InvalidInput: the inputs do not fit the function.
        ResourceFailed: a resource did not open.
    """
    inputs = handler.signature.validate(payload)
    pool = Pool()
    try:
        more = {name: await pool.aget(wanted) for name, wanted in handler.signature.resources.items()}
        replay = Replay(handler, {**inputs, **more}, run_id=run_id, history=history, at=history.last_at)
        try:
            replay.advance()
            return look(replay)
        finally:
            replay.close()
    finally:
        await pool.aclose(asyncio.get_running_loop())
