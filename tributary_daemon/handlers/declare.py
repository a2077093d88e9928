"""The decorator `handler`."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tributary_daemon.errors import HandlerError, InvalidInput
from tributary_daemon.handlers import signature
from tributary_daemon.handlers.registry import REGISTRY, Classifier, Handler, Isolation
from tributary_daemon.handlers.types import UnresolvedTypeError
from tributary_daemon.model import durations
from tributary_daemon.model.retry import Retry

if TYPE_CHECKING:
    from datetime import timedelta

F = TypeVar("F", bound=Callable[..., Any])

NAME_ATTRIBUTE: Final = "__tributary_handler__"
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*\.v[1-9]\d*", re.ASCII)
_MEMORY: Final = re.compile(r"(\d+)\s*(|B|KiB|MiB|GiB|KB|MB|GB)")
_UNITS: Final = {
    "": 1,
    "B": 1,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
}
_NAME_LENGTH: Final = 200


def handler(
    name: str,
    *,
    queue: str | None = None,
    priority: int | None = None,
    max_attempts: int | None = None,
    timeout: float | str | timedelta | None = None,
    heartbeat_timeout: float | str | timedelta | None = None,
    retry: Retry | None = None,
    retry_if: Classifier | None = None,
    isolation: Isolation | None = None,
    memory: int | str | None = None,
    description: str | None = None,
    version: str | None = None,
) -> Callable[[F], F]:
    """Declare a function, an async function or a method as the handler of ``name``; it stays callable.

    Args:
        name: ``<domain>.<action>.vN``.
        queue: where its work waits unless something nearer to the submit says otherwise.
        priority: higher first.
        max_attempts: executions in all; 1 means that its code starts at most once.
        timeout: of one attempt: seconds, timedelta or ``"5m"``.
        heartbeat_timeout: an attempt that does not call `Step.heartbeat` for so long is timed out.
        retry: waits between attempts, and which errors are tried again.
        retry_if: called with the exception; False ends the step for good.
        isolation: ``"process"`` runs each attempt in a process of its own.
        memory: cap of such a process: bytes or ``"512MiB"``; implies isolation.
        description: one line for people; else the first line of the docstring.
        version: of its code, for the step cache: results of another version are not used again. Unless given,
            the source of the function counts, but nothing that it calls.

    Raises:
        HandlerError: the name, an option or the signature is wrong, or the name is taken.
    """
    check_name(name)
    options = options_of(
        name, queue=queue, priority=priority, max_attempts=max_attempts, timeout=timeout, retry=retry
    )
    if isolation not in (None, "process"):
        raise HandlerError(
            f"handler {name}: unknown isolation {isolation!r}", hint='use "process" or omit it'
        )
    if retry_if is not None and not callable(retry_if):
        raise HandlerError(
            f"handler {name}: retry_if is not callable", hint="pass a function of an exception"
        )
    if version is not None and (not isinstance(version, str) or not 0 < len(version) <= _NAME_LENGTH):
        raise HandlerError(
            f"handler {name}: version {version!r} is not a text of 1 to {_NAME_LENGTH} characters",
            hint='write version="2", and another one when its results change',
        )
    memory_bytes = _memory(name, memory)
    silence = None if heartbeat_timeout is None else limit(name, "heartbeat_timeout", heartbeat_timeout)

    def declare(function: F) -> F:
        target: Any = function.__func__ if isinstance(function, staticmethod) else function
        check_target(name, target)
        signature.parameters(target, name)
        frame = inspect.currentframe()
        caller = frame.f_back if frame else None
        nested = caller is not None and "<locals>" in target.__qualname__
        record = Handler(
            name=name,
            declared=target,
            is_async=inspect.iscoroutinefunction(target),
            options=options,
            retry_if=retry_if,
            isolation="process" if memory_bytes is not None else isolation,
            memory=memory_bytes,
            heartbeat_timeout=silence,
            description=description or (inspect.getdoc(target) or "").partition("\n")[0] or None,
            declared_version=version,
            local_names=dict(caller.f_locals) if caller is not None and nested else {},
        )
        # types may stand further down in the module: then discovery reads it again after the import
        with contextlib.suppress(UnresolvedTypeError):
            _ = record.signature
        REGISTRY.add(record)
        setattr(target, NAME_ATTRIBUTE, name)
        return function

    return declare


def name_of(target: object) -> str | None:
    """Return the handler name of a decorated function or (bound) method; None when it has none."""
    name = getattr(target, NAME_ATTRIBUTE, None)
    return name if isinstance(name, str) else None


def check_name(name: object) -> None:
    """Refuse what is not the name of a handler."""
    if callable(name):
        raise HandlerError("@handler needs a name", hint='write @handler("billing.charge.v1")')
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > _NAME_LENGTH:
        raise HandlerError(
            f"{name!r} is not a handler name",
            hint="names are dotted and end in a version: billing.charge.v1",
        )


def check_target(name: str, target: Any) -> None:
    """Refuse what is not the function of a handler."""
    if isinstance(target, classmethod):
        raise HandlerError(f"handler {name}: a classmethod cannot be a handler", hint="use a plain method")
    if not inspect.isfunction(target):
        raise HandlerError(
            f"handler {name}: {target!r} is not a function",
            hint="decorate a function, async function or method",
        )
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise HandlerError(
            f"handler {name}: {signature.place(target)} is a generator",
            hint="return the result; report progress by step.heartbeat(…)",
        )


def options_of(
    name: str,
    *,
    queue: str | None,
    priority: int | None,
    max_attempts: int | None,
    timeout: float | str | timedelta | None,
    retry: Retry | None,
) -> dict[str, Any]:
    """Return the options that were given, checked, as `Handler.options` has them."""
    options: dict[str, Any] = {}
    if queue is not None:
        if not isinstance(queue, str) or not queue.strip():
            raise HandlerError(f"handler {name}: queue {queue!r} is not a name")
        options["queue"] = queue
    if priority is not None:
        options["priority"] = _integer(name, "priority", priority)
    if max_attempts is not None:
        options["max_attempts"] = _integer(name, "max_attempts", max_attempts)
        if max_attempts < 1:
            raise HandlerError(
                f"handler {name}: max_attempts is {max_attempts}", hint="1 means that it is never tried again"
            )
    if timeout is not None:
        options["timeout"] = limit(name, "timeout", timeout)
    if retry is not None:
        if not isinstance(retry, Retry):
            raise HandlerError(f"handler {name}: retry is {retry!r}", hint="pass Retry(…)")
        options["retry"] = retry.to_json()
    return options


def limit(name: str, option: str, value: float | str | timedelta) -> float:
    """Return a limit in seconds; refuse what is none."""
    try:
        allowed = durations.seconds(value)
    except InvalidInput as error:
        raise HandlerError(f"handler {name}: {option}: {error.message}", hint=error.hint) from error
    if not allowed:
        raise HandlerError(f"handler {name}: {option} is 0", hint="omit it for no such limit")
    return allowed


def _integer(name: str, option: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise HandlerError(f"handler {name}: {option} is {value!r}", hint="use a whole number")
    return value


def _memory(name: str, value: object) -> int | None:
    if value is None:
        return None
    match = _MEMORY.fullmatch(str(value).strip()) if not isinstance(value, bool) else None
    size = int(match[1]) * _UNITS[match[2]] if match else 0
    if not size:
        raise HandlerError(f"handler {name}: memory {value!r} is not a size", hint="write 512MiB, or bytes")
    return size
