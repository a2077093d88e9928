"""The decorator `workflow`."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers import signature
from tributary_daemon.handlers.declare import NAME_ATTRIBUTE, check_name, check_target, limit, options_of
from tributary_daemon.handlers.registry import REGISTRY, Handler
from tributary_daemon.handlers.types import UnresolvedTypeError
from tributary_daemon.handlers.workflow_context import WorkflowContext

if TYPE_CHECKING:
    from datetime import timedelta

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def workflow(
    name: str,
    *,
    queue: str | None = None,
    priority: int | None = None,
    timeout: float | str | timedelta | None = None,
    description: str | None = None,
) -> Callable[[F], F]:
    """Declare an async function as the workflow ``name``: a durable one, replayed from its history.

    One parameter is annotated `WorkflowContext`; the others take the inputs of the run, as those of a handler
    take its payload. Workers register it, so that ``trib submit NAME`` starts it from everywhere.

    Args:
        name: ``<domain>.<action>.vN``.
        queue: where it goes on; steps go to the queues of their handlers.
        priority: higher first.
        timeout: of a whole run: seconds, timedelta or ``"30d"``.
        description: one line for people; else the first line of the docstring.

    Raises:
        HandlerError: the name, an option or the signature is wrong, or the name is taken.
    """
    check_name(name)
    options = options_of(name, queue=queue, priority=priority, max_attempts=None, timeout=None, retry=None)
    run_timeout = None if timeout is None else limit(name, "timeout", timeout)

    def declare(function: F) -> F:
        target: Any = function
        check_target(name, target)
        if not inspect.iscoroutinefunction(target) or signature.is_method(target):
            raise HandlerError(
                f"workflow {name}: {signature.place(target)} is no async function",
                hint="write `async def` at module level: what it waits for takes no thread",
            )
        signature.parameters(target, name)
        frame = inspect.currentframe()
        caller = frame.f_back if frame else None
        nested = caller is not None and "<locals>" in target.__qualname__
        record = Handler(
            name=name,
            declared=target,
            is_async=True,
            options=options,
            description=description or (inspect.getdoc(target) or "").partition("\n")[0] or None,
            local_names=dict(caller.f_locals) if caller is not None and nested else {},
            durable=True,
            gives=WorkflowContext,
            run_timeout=run_timeout,
        )
        # types may stand further down in the module: then discovery reads it again after the import
        with contextlib.suppress(UnresolvedTypeError):
            if record.signature.step_name is None:
                raise HandlerError(
                    f"workflow {name}: {signature.place(target)} takes no WorkflowContext",
                    hint="write `async def f(ctx: WorkflowContext, …)`: by it the function reaches the world",
                )
            wanted = record.signature.resources.values()
            if short := [found.name for found in wanted if found.scope != "process"]:
                raise HandlerError(
                    f"workflow {name} asks for {short[0]}, which is of scope attempt",
                    hint="it may have resources of its process; steps may have those of an attempt",
                )
        REGISTRY.add(record)
        setattr(target, NAME_ATTRIBUTE, name)
        return function

    return declare
