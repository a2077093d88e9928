"""Coroutines that a thread waits for while they run in a loop of another one.

A timeout may be raised in the waiting thread between any two bytecodes, and not while it is within one long
wait. So it waits in short naps, and holds no lock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Coroutine

_FIRST_NAP: Final = 0.0005
_LAST_NAP: Final = 0.05
_TO_END: Final = 5.0


class Crossing:
    """One coroutine in a loop, and the thread that waits for it.

    Args:
        loop: runs in another thread.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._over = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop and return its result; what is raised here meanwhile cancels it."""
        context = copy_context()

        def start() -> None:
            self._task = self._loop.create_task(self._guarded(coroutine), context=context)

        try:
            self._loop.call_soon_threadsafe(start)
            self._wait()
        except BaseException:
            # the loop may have ended with its process
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cancel)
            raise
        if self._error is not None:
            raise self._error
        return self._value

    def back(self, function: Callable[[], Any]) -> Awaitable[Any]:
        """Return what a function returns that the waiting thread calls; for the coroutine."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._asked.append((function, future))
        return future

    def _wait(self) -> None:
        nap = _FIRST_NAP
        while not self._over:
            if self._asked:
                function, future = self._asked.popleft()
                done: tuple[Any, BaseException | None]
                try:
                    done = function(), None
                except BaseException as error:  # noqa: BLE001 - user code; the coroutine gets it
                    done = None, error
                self._loop.call_soon_threadsafe(_settle, future, *done)
                nap = _FIRST_NAP
            time.sleep(nap)
            nap = min(_LAST_NAP, nap * 1.5)

    async def _guarded(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            self._value = await coroutine
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - user code; raised where it is waited for
            self._error = error
        finally:
            self._over = True

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()


class LoopThread:
    """A loop in a thread of its own, for processes that have no other; started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def get(self) -> AbstractEventLoop:
        """Return the loop, running."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="hook-loop", daemon=True
                )
                self._thread.start()
            return self._loop

    def close(self) -> None:
        """End it; nothing happens when it was never needed."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_TO_END)


def _serve(loop: AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, StopIteration):
        # no future takes it, as no coroutine lets it out
        future.set_exception(RuntimeError("the handler raised StopIteration"))
    else:
        future.set_exception(error)
