"""What a workflow function calls: handlers with payloads and options, and the types of what comes back."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypedDict

from pydantic import TypeAdapter, ValidationError

from tributary_daemon import codec
from tributary_daemon.errors import HandlerError, InvalidInput
from tributary_daemon.handlers.declare import name_of
from tributary_daemon.handlers.declare import options_of as declared_options
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.handlers.signature import explain

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import timedelta

    from tributary_daemon.handlers.registry import Handler
    from tributary_daemon.model.retry import Retry

Target = str | Callable[..., Any]
_BOUNDS: Final = {"priority": (-32_768, 31_999), "max_attempts": (1, 32_767)}


class StepOptions(TypedDict, total=False):
    """Options of one step.

    Attributes:
        queue: where it waits.
        priority: higher first.
        max_attempts: executions in all.
        timeout: of one attempt: seconds, timedelta or ``"30s"``.
        retry: waits between attempts.
    """

    queue: str
    priority: int
    max_attempts: int
    timeout: float | str | timedelta
    retry: Retry


def called(target: Target) -> tuple[Handler | None, str]:
    """Return the handler of a call, where it is at hand, and its name.

    Raises:
        HandlerError: it is a workflow function.
    """
    handler = handler_of(target)
    if handler is None:
        return None, str(target)
    if handler.durable:
        raise HandlerError(f"{handler.name} is a workflow function", hint="run it with ctx.child")
    return handler, handler.name


def fitting(handler: Handler | None, payload: Any) -> str:
    """Return a payload as JSON text that fits its handler.

    Raises:
        InvalidInput: it does not fit.
        CodecError: it cannot be stored as JSON.
    """
    text = codec.dumps({} if payload is None else payload)
    if handler is not None:
        handler.signature.validate(text)
    return text


def handler_of(target: Target) -> Handler | None:
    """Return the handler of a function or a name; None for a name that only other processes have.

    Raises:
        InvalidInput: the function is no handler.
        HandlerError: it is one of another process.
    """
    name = target if isinstance(target, str) else name_of(target)
    if name is None:
        raise InvalidInput(
            f"{getattr(target, '__qualname__', target)!r} is not a handler",
            hint='decorate it with @handler("domain.action.v1")',
        )
    if name in REGISTRY:
        return REGISTRY.get(name)
    if isinstance(target, str):
        return None
    raise HandlerError(f"handler {name} is not registered in this process", hint="import its module")


def options_of(given: StepOptions) -> dict[str, Any]:
    """Return options as `Handler.options` has them.

    Raises:
        HandlerError: one of them is wrong.
    """
    options = declared_options(
        "ctx.run",
        queue=given.get("queue"),
        priority=given.get("priority"),
        max_attempts=given.get("max_attempts"),
        timeout=given.get("timeout"),
        retry=given.get("retry"),
    )
    for name, (least, most) in _BOUNDS.items():
        if not least <= options.get(name, least) <= most:
            raise HandlerError(f"{name} is {options[name]:,}", hint=f"use {least:,} to {most:,}")
    return options


def reader(handler: Handler) -> Callable[[Any], Any] | None:
    """Return what makes of a JSON value what a handler has returned; None where it does not say."""
    writer = handler.signature.writer
    return None if writer is None else _reading(writer, "result")


def typed(model: Any) -> Callable[[Any], Any] | None:
    """Return what makes a ``model`` of a JSON value; None where any value will do."""
    return None if model is None or model is Any else _reading(_adapter(model), "payload")


def _reading(adapter: TypeAdapter[Any], what: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        try:
            # as JSON: a strict model takes a text for a time there, and nowhere else
            return adapter.validator.validate_json(json.dumps(value))
        except ValidationError as error:
            raise InvalidInput(explain(error, what)) from error

    return read


def returned(function: Callable[..., Any]) -> Any:
    """Return the type that a function says it returns; None where it does not."""
    try:
        return typing.get_type_hints(function).get("return")
    except (NameError, TypeError):
        # types that are there for the type checker alone: the value stays as JSON
        return None


@lru_cache(maxsize=256)
def _adapter(model: Hashable) -> TypeAdapter[Any]:
    kind: Any = model
    return TypeAdapter(kind)
