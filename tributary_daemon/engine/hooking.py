"""The hooks of one process, and the chain of them around each handler: composed once, not per attempt.

The first hook is the outermost. On the way in each may change the payload, on the way out the result. Whose
`before_work` has returned gets `after_work`, whatever happened in between.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import threading
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon import codec, events
from tributary_daemon.engine.crossing import Crossing, LoopThread
from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers.hook_events import HookFailed
from tributary_daemon.handlers.hooks import Hook, hook_name, is_for, overrides

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from tributary_daemon.handlers.hooks import Host
    from tributary_daemon.handlers.registry import Handler
    from tributary_daemon.handlers.step import Step

WORK = ("before_work", "around_work", "after_work")


class Layer(NamedTuple):
    """What one hook does around a handler; None for what it leaves out."""

    hook: Hook
    before: Callable[..., Any] | None
    around: Callable[..., Any] | None
    after: Callable[..., Any] | None


class Hooks:
    """The hooks of one process.

    Args:
        hooks: the outermost first; copied, so that each process has its own.
        loop: returns the loop of the process in which async methods run for handlers that are not; one in a
            thread of its own if omitted.
    """

    def __init__(self, hooks: Sequence[Hook], loop: Callable[[], AbstractEventLoop] | None = None) -> None:
        self._hooks = tuple(copy.copy(hook) for hook in hooks)
        self._own = LoopThread()
        self._loop = loop or self._own.get
        self._chains: dict[str, Chain | None] = {}

    def open(self, host: Host) -> None:
        """Let each get ready."""
        for hook in self._hooks:
            hook.open(host)

    @property
    def keep(self) -> bool:
        """Whether one of them keeps values elsewhere."""
        return any(overrides(hook, "load") for hook in self._hooks)

    def load(self, tenant: str, value: Any) -> Any:
        """Return a stored value with what hooks keep elsewhere in its place."""
        for hook in self._hooks:
            value = hook.load(tenant, value)
        return value

    def store(self, name: str, tenant: str, value: Any) -> Any:
        """Return a value of the work of that name as it is to be stored."""
        for hook in reversed(self._hooks):
            if is_for(hook, name):
                value = hook.store(tenant, value)
        return value

    def close(self) -> None:
        """Close them, the last first; what goes wrong is told, not raised."""
        for hook in reversed(self._hooks):
            try:
                hook.close()
            except Exception as error:  # noqa: BLE001 - user code; the others are to be closed all the same
                tell(hook, "close", "", error)
        self._own.close()

    def close_within(self, seconds: float) -> None:
        """Do so in a thread that is waited for no longer than that."""
        thread = threading.Thread(target=self.close, name="closing-hooks", daemon=True)
        thread.start()
        thread.join(seconds)

    def of(self, handler: Handler) -> Chain | None:
        """Return the chain around a handler; None where no hook is for it.

        Raises:
            HandlerError: a plain ``around_work`` would have to wait for an async handler.
        """
        try:
            return self._chains[handler.name]
        except KeyError:
            layers = tuple(layer for hook in self._hooks if (layer := _layer(hook, handler)) is not None)
            chain = Chain(layers, self._loop) if layers else None
            return self._chains.setdefault(handler.name, chain)


class Chain:
    """The hooks around one handler.

    Attributes:
        largest: bytes of JSON that payloads and results may have within them.

    Args:
        layers: the outermost first.
        loop: where async methods run for a plain handler.
    """

    def __init__(self, layers: tuple[Layer, ...], loop: Callable[[], AbstractEventLoop]) -> None:
        self._layers = layers
        self._loop = loop
        self.largest = largest_of(layer.hook for layer in layers)

    def run(self, step: Step, payload: Any, call: Callable[[Any], Any]) -> Any:
        """Return the result of an attempt of a plain handler, in the calling thread.

        Args:
            step: of the attempt.
            payload: JSON value.
            call: does what lies inside of all hooks.
        """
        return self._through(0, step, payload, call)

    async def arun(
        self,
        step: Step,
        payload: Any,
        call: Callable[[Any], Awaitable[Any]],
        shown: Callable[[BaseException], BaseException],
    ) -> Any:
        """Do the same for an async handler in the running loop.

        Args:
            step: of the attempt.
            payload: JSON value.
            call: does what lies inside of all hooks.
            shown: returns the error that ``after_work`` is told of one; that one itself is what is raised.
        """
        return await self._athrough(0, step, payload, call, shown)

    def _through(self, depth: int, step: Step, payload: Any, call: Callable[[Any], Any]) -> Any:
        if depth == len(self._layers):
            return call(payload)
        hook, before, around, after = self._layers[depth]
        if before is not None:
            payload = _either(self._here(before, step, payload), payload)
        further = partial(self._through, depth + 1, step, call=call)
        try:
            result = further(payload) if around is None else self._around(around, step, payload, further)
        except BaseException as error:
            if after is not None:
                try:
                    self._here(after, step, payload, None, error)
                except BaseException as fault:  # noqa: BLE001 - the first error stands, whatever follows
                    _note(hook, step, error, fault)
            raise
        return result if after is None else _either(self._here(after, step, payload, result, None), result)

    def _here(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if not inspect.iscoroutinefunction(method):
            return method(*arguments)
        return Crossing(self._loop()).run(method(*arguments))

    def _around(
        self, around: Callable[..., Any], step: Step, payload: Any, further: Callable[[Any], Any]
    ) -> Any:
        if not inspect.iscoroutinefunction(around):
            return around(step, payload, further)
        crossing = Crossing(self._loop())

        async def call(value: Any) -> Any:
            # the handler runs in the thread that waits here: there its limits hold
            return await crossing.back(partial(further, value))

        return crossing.run(around(step, payload, call))

    async def _athrough(
        self,
        depth: int,
        step: Step,
        payload: Any,
        call: Callable[[Any], Awaitable[Any]],
        shown: Callable[[BaseException], BaseException],
    ) -> Any:
        if depth == len(self._layers):
            return await call(payload)
        hook, before, around, after = self._layers[depth]
        if before is not None:
            payload = _either(await there(hook, before, step, payload), payload)
        further = partial(self._athrough, depth + 1, step, call=call, shown=shown)
        try:
            result = await (further(payload) if around is None else around(step, payload, further))
        except GeneratorExit:
            # the loop is gone: nothing can be awaited
            raise
        except BaseException as error:
            if after is not None:
                try:
                    await there(hook, after, step, payload, None, shown(error))
                except GeneratorExit:
                    raise
                except BaseException as fault:  # noqa: BLE001 - the first error stands, whatever follows
                    _note(hook, step, error, fault)
            raise
        if after is None:
            return result
        return _either(await there(hook, after, step, payload, result, None), result)


def largest_of(hooks: Iterable[Hook]) -> int:
    """Return how many bytes of JSON payloads and results may have for these hooks to see them."""
    return max([codec.MAX_BYTES, *(hook.largest for hook in hooks if hook.largest is not None)])


async def there(hook: Hook, method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method of a hook in the running loop; a plain one that waits, in a thread."""
    if inspect.iscoroutinefunction(method):
        return await method(*arguments)
    return await asyncio.to_thread(method, *arguments) if hook.blocking else method(*arguments)


def _either(given: Any, before: Any) -> Any:
    return before if given is None else given


def _layer(hook: Hook, handler: Handler) -> Layer | None:
    if not is_for(hook, handler.name):
        return None
    before, around, after = (getattr(hook, name) if overrides(hook, name) else None for name in WORK)
    if before is around is after is None:
        return None
    if around is not None and handler.is_async and not inspect.iscoroutinefunction(around):
        raise HandlerError(
            f"around_work of hook {hook_name(hook)} is a plain function and cannot wait for {handler.name}, "
            "which is async",
            hint="make it `async def`, which goes around plain handlers too, or limit the hook by its names",
        )
    return Layer(hook, before, around, after)


def _note(hook: Hook, step: Step, error: BaseException, fault: BaseException) -> None:
    """Say of an error what went wrong after it, in its traceback and in the log."""
    error.add_note(f"and after_work of hook {hook_name(hook)} failed: {type(fault).__qualname__}: {fault}")
    tell(hook, "after_work", step.name, fault)


def tell(hook: Hook, method: str, name: str, error: BaseException) -> None:
    """Tell what a hook raised where it changes nothing.

    Args:
        hook: whose method it was.
        method: that failed.
        name: of the handler or workflow; empty for none.
        error: what it raised.
    """
    trace = "".join(traceback.format_exception(error))
    text = f"{type(error).__qualname__}: {error}"
    events.emit(HookFailed(hook_name(hook), method, name, text, trace))
