"""What an exception means for its step: retry, discard, snooze or release, and the record of it."""

from __future__ import annotations

import asyncio
import builtins
import traceback
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tributary_daemon.errors import (
    Abort,
    EncryptionError,
    HandlerTimeout,
    InvalidInput,
    KeyMissing,
    LeaseLost,
    ResourceFailed,
    RetryAfter,
    ShellFailed,
    Snooze,
    StepCancelled,
)
from tributary_daemon.model import durations
from tributary_daemon.model.outcome import Discarded, ErrorRecord, Failed, Outcome, Released, Snoozed
from tributary_daemon.model.retry import INTENT_RETRY, STEP_RETRY
from tributary_daemon.model.states import Kind

if TYPE_CHECKING:
    from types import TracebackType

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.handlers.registry import Handler

MESSAGE_BYTES: Final = 8_192
TRACEBACK_BYTES: Final = 16_384
NO_KEY_DELAY: Final = 30.0
"""Seconds until a step is tried again whose values cannot be decrypted here."""
_OWN: Final = str(Path(__file__).parent)
_CAUSES: Final = 5
_Error = TypeVar("_Error", bound=BaseException)
_RANDOM: Final = Random()  # noqa: S311 - jitter, not secrets


def outcome_of(error: BaseException, handler: Handler, lease: Lease, random: Random = _RANDOM) -> Outcome:
    """Return what an exception that left a handler leads to.

    Args:
        error: whatever was raised, `BaseException` included.
        handler: its classifier is asked about ordinary exceptions.
        lease: of the attempt.
        random: source of the jitter.
    """
    match error:
        case Abort():
            return Discarded(record(error, lease, reason="aborted"), abort_run=error.run)
        case BaseExceptionGroup() if aborts := _leaves(error, Abort):
            # of what ran in parallel, one has said that no other attempt makes sense
            told = record(aborts[0], lease, reason="aborted", traced=error)
            return Discarded(told, abort_run=any(each.run for each in aborts))
        case Snooze():
            try:
                return Snoozed(durations.seconds(error.delay))
            except InvalidInput as refused:
                return retried(record(refused, lease), error, lease, random)
        case RetryAfter():
            try:
                return Failed(record(error, lease), durations.seconds(error.delay))
            except InvalidInput as refused:
                return retried(record(refused, lease), error, lease, random)
        case EncryptionError():
            return unreadable(error, lease)
        case StepCancelled():
            return Released("cancelled")
        case LeaseLost():
            return Released("lease_lost")
        case HandlerTimeout():
            return timed_out(lease, error, random)
        case SystemExit():
            return retried(record(error, lease, reason="exit"), error, lease, random)
        case ResourceFailed(__cause__=Exception() as cause):
            return _judged(cause, handler, lease, random, shown=error)
        case Exception():
            return _judged(error, handler, lease, random)
        case _:
            return retried(record(error, lease, reason="base_exception"), error, lease, random)


def unreadable(error: EncryptionError, lease: Lease) -> Outcome:
    """Return the outcome of an attempt whose values cannot be decrypted.

    A key that is missing here may be elsewhere, or come: no attempt is used up. What was changed stays so.
    """
    if isinstance(error, KeyMissing):
        return Snoozed(NO_KEY_DELAY, record(error, lease, reason="no_key"))
    return Discarded(record(error, lease, reason="not_authentic"))


def stopped(error: BaseException, lease: Lease, deadline: asyncio.Timeout) -> Outcome | None:
    """Return what ended a coroutine from outside, a timeout or a cancel of its task; None where neither did.

    Args:
        error: what left it.
        lease: of the attempt.
        deadline: within which it ran.
    """
    if deadline.expired():
        return timed_out(lease, error)
    if not isinstance(error, asyncio.CancelledError):
        return None
    if lease.silent_for is not None:
        return timed_out(lease, error)
    task = asyncio.current_task()
    return Released("cancelled") if task is not None and task.cancelling() else None


def timed_out(lease: Lease, error: BaseException | None = None, random: Random = _RANDOM) -> Outcome:
    """Return the outcome of an attempt that exceeded its timeout.

    Args:
        lease: of the attempt.
        error: what ended the handler, for its traceback; None when nobody saw it end.
        random: source of the jitter.
    """
    silent = lease.silent_for is not None
    found = timeout_record(
        lease.silent_for if silent else lease.timeout,
        lease.attempt,
        silent=silent,
        trace=_trace(error, lease) if error is not None else None,
    )
    return retried(found, HandlerTimeout(), lease, random)


def timeout_record(
    seconds: float | None, attempt: int, *, silent: bool, trace: str | None = None
) -> ErrorRecord:
    """Return the record of a timeout.

    Args:
        seconds: the limit, if it is known.
        attempt: its number.
        silent: the limit was that of the heartbeat.
        trace: where the handler was.
    """
    if silent:
        message = f"no heartbeat for {durations.text(seconds or 0.0)}"
        return ErrorRecord("HandlerTimeout", message, attempt, "heartbeat_timeout", traceback=trace)
    allowed = f" after {durations.text(seconds)}" if seconds is not None else ""
    return ErrorRecord("HandlerTimeout", f"timed out{allowed}", attempt, "timeout", traceback=trace)


def retried(found: ErrorRecord, error: BaseException, lease: Lease, random: Random = _RANDOM) -> Outcome:
    """Return `Failed` with the policy's wait, or `Discarded` when the policy does not retry such an error.

    Whether attempts are left is decided where the outcome is stored.
    """
    policy = lease.retry or (INTENT_RETRY if lease.kind == Kind.INTENT else STEP_RETRY)
    if not policy.retries(_names(error), found.message, found.exit_code):
        return Discarded(found)
    return Failed(found, policy.wait(lease.failures, random))


def record(
    error: BaseException,
    lease: Lease,
    *,
    reason: str | None = None,
    note: str = "",
    traced: BaseException | None = None,
) -> ErrorRecord:
    """Return an exception as it is stored.

    Args:
        error: whatever was raised.
        lease: of the attempt.
        reason: machine-readable cause, if one is known.
        note: added to the message.
        traced: whose traceback tells more; that of ``error`` if omitted.
    """
    return ErrorRecord(
        type=type_name(type(error)),
        message=clean(_masked(_text(error) + note, lease), MESSAGE_BYTES),
        attempt=lease.attempt,
        reason=reason,
        exit_code=error.exit_code if isinstance(error, ShellFailed) else None,
        # the frames of a script's failure are Tributary's own; its exit code and last words are the record
        traceback=None if isinstance(error, ShellFailed) else _trace(traced or error, lease),
    )


def _masked(text: str, lease: Lease) -> str:
    return text if lease.mask is None else lease.mask.text(text)


def type_name(kind: type[BaseException]) -> str:
    """Return an exception's class name as shown: dotted, unless it is built in or Tributary's own."""
    module = kind.__module__
    if module == builtins.__name__ or module.partition(".")[0] == __name__.partition(".")[0]:
        return kind.__qualname__
    return f"{module}.{kind.__qualname__}"


def clean(text: str, limit: int) -> str:
    """Return text that PostgreSQL can store: NUL and lone surrogates escaped, at most ``limit`` bytes."""
    data = text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace")
    if len(data) <= limit:
        return data.decode()
    return data[: limit - 3].decode("utf-8", "ignore") + "…"


def _judged(
    error: Exception, handler: Handler, lease: Lease, random: Random, *, shown: ResourceFailed | None = None
) -> Outcome:
    """Return what an ordinary exception leads to; ``shown`` is what the record calls it."""
    told = shown or error
    if handler.retry_if is None:
        return retried(record(told, lease, traced=error), told, lease, random)
    try:
        again = handler.retry_if(error)
    except Exception as fault:  # noqa: BLE001 - user code; its fault must not hide the first one
        note = f" (and retry_if failed: {type_name(type(fault))}: {_text(fault)})"
        return retried(record(told, lease, note=note, traced=error), told, lease, random)
    found = record(told, lease, traced=error)
    return retried(found, told, lease, random) if again else Discarded(found)


def _names(error: BaseException) -> set[str]:
    if isinstance(error, ResourceFailed) and error.__cause__ is not None:
        # a policy names what a resource may meet, whoever opens it
        return {type_name(ResourceFailed)} | _names(error.__cause__)
    inner = [_names(each) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    kinds = [kind for kind in type(error).__mro__ if issubclass(kind, BaseException)]
    bare = {kind.__qualname__ for kind in kinds}
    return bare.union((f"{kind.__module__}.{kind.__qualname__}" for kind in kinds), *inner)


def _text(error: BaseException) -> str:
    match error:
        case KeyError():
            # str() of a KeyError is the bare repr of its key
            return f"missing key {error}"
        case SystemExit():
            return f"the handler exited with {error.code!r}"
        case BaseExceptionGroup():
            causes = [f"{type_name(type(each))}: {_text(each)}" for each in _leaves(error, BaseException)]
            more = f"; and {len(causes) - _CAUSES} more" if len(causes) > _CAUSES else ""
            return f"{error.message}: {'; '.join(causes[:_CAUSES])}{more}"
    try:
        return str(error) or type(error).__name__
    except Exception as fault:  # noqa: BLE001 - user code
        return f"(its text cannot be made: {type_name(type(fault))})"


def _leaves(error: BaseException, kind: type[_Error]) -> list[_Error]:
    """Return the errors of a kind that a group holds, however deep, in their order."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each, kind)]
    return [error] if isinstance(error, kind) else []


def _trace(error: BaseException, lease: Lease) -> str | None:
    try:
        lines = traceback.format_exception(type(error), error, _beneath(error.__traceback__))
    except Exception:  # noqa: BLE001 - user code (__str__ of a chained error) or sources that cannot be read
        return None
    data = clean(_masked("".join(lines), lease), 1 << 30).encode()
    if len(data) <= TRACEBACK_BYTES:
        return data.decode()
    return "…" + data[3 - TRACEBACK_BYTES :].decode("utf-8", "ignore")


def _beneath(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that is the handler's."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OWN):
        trace = trace.tb_next
    return trace


def unfit(error: Any, lease: Lease, reason: str) -> ErrorRecord:
    """Return the record of a payload, expression or result that was refused; no traceback, it is data.

    Args:
        error: a `TributaryError`.
        lease: of the attempt.
        reason: ``invalid_payload``, ``expression``, ``invalid_result`` or ``unserialisable_result``.
    """
    message = clean(_masked(str(error), lease), MESSAGE_BYTES)
    return ErrorRecord(type_name(type(error)), message, lease.attempt, reason)
