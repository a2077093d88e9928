"""The resources of one process: each opened on first use, once, and closed in the reverse order.

A sync resource is opened by the thread that asks first; whoever asks meanwhile waits, in short naps: a
timeout may be raised in it. That may happen between any two bytecodes, so no lock is taken here but plain
ones in `with`, which cannot be left locked; those of `threading.Condition`, and of all that is made of it,
can. An async one is opened, kept and closed by a task of its own in the loop that asks, as much code (task
groups, cancel scopes) has to be left where it was entered.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import events
from tributary_daemon.errors import Abort, LeaseLost, ResourceFailed, RetryAfter, Snooze
from tributary_daemon.handlers import overrides

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Hashable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from tributary_daemon.handlers.resources import Resource

_NAP: Final = 0.05
_STEERING: Final = (Abort, Snooze, RetryAfter, LeaseLost, ResourceFailed)


@dataclass(eq=False)
class _Opening:
    """A resource that is being opened.

    Attributes:
        over: whether that has come to its end.
        failure: what went wrong; None for nothing.
        waiting: attempts that wait for it.
        task: which opens an async one.
    """

    over: bool = False
    failure: BaseException | None = None
    waiting: int = 0
    task: asyncio.Task[None] | None = None


@dataclass(eq=False)
class _Open:
    """A resource that is open.

    Attributes:
        value: what handlers get.
        close: closes it, in any thread but that of its loop; None where nothing is to be done.
        loop: of an async one.
    """

    resource: Resource
    value: Any
    close: Callable[[], None] | None
    loop: AbstractEventLoop | None = None


class Pool:
    """Resources of scope ``process``. For any thread, and for any loop, as long as the loop runs.

    Args:
        replaced: what stands in for what as long as this pool lives; `overrides` come on top.
    """

    def __init__(self, replaced: Mapping[Resource, Resource] | None = None) -> None:
        self._given = replaced or {}
        self._lock = threading.Lock()
        self._opening: dict[Hashable, _Opening] = {}
        # in the order of opening
        self._open: dict[Hashable, _Open] = {}
        self._closed = False
        self._closing: Resource | None = None

    @property
    def closing(self) -> str | None:
        """Name of the resource that is being closed at this moment; None for none."""
        return None if self._closing is None else self._closing.name

    @property
    def is_empty(self) -> bool:
        """Whether nothing is open."""
        return not self._open

    @property
    def replaced(self) -> Mapping[Resource, Resource]:
        """What stands in for what at this moment."""
        in_force = overrides.in_force()
        return {**self._given, **in_force} if in_force else self._given

    @property
    def needs_loop(self) -> bool:
        """Whether an async resource is open: its loop has to run while this pool is closed."""
        with self._lock:
            return any(entry.loop is not None for entry in self._open.values())

    def get(self, wanted: Resource) -> Any:
        """Return the value of a sync resource, opening it if nobody has.

        Raises:
            ResourceFailed: it did not open; the next call tries again.
        """
        found, key = self._find(wanted, None)
        while (entry := self._open.get(key)) is None:
            opening = _Opening()
            try:
                other = self._enter(found, key, opening)
                if other is opening:
                    return self._open_here(found, key, opening)
            except BaseException as error:
                # an interrupt may come at any place: nobody must wait for an opening that has ended
                self._over(key, opening, error)
                raise
            other.waiting += 1
            for nap in _naps():
                if other.over:
                    break
                time.sleep(nap)
            _share(other.failure)
        return entry.value

    async def aget(self, wanted: Resource) -> Any:
        """Return the value of any resource, opening it if nobody has; never blocks the running loop.

        Raises:
            ResourceFailed: it did not open; the next call tries again.
        """
        loop = asyncio.get_running_loop()
        found, key = self._find(wanted, loop)
        while (entry := self._open.get(key)) is None:
            opening = _Opening()
            other = self._enter(found, key, opening)
            if other is opening:
                self._begin(found, key, opening, loop)
            failure = await self._wait(key, other)
            if other is opening and failure is not None and not isinstance(failure, ResourceFailed):
                # what steers the attempt that asked first is not meant for the others
                raise failure
            _share(failure)
        return entry.value

    def close(self, loop: AbstractEventLoop | None = None) -> None:
        """Close what is open, the last first; what goes wrong is told, not raised.

        Not for the thread of a loop in which async resources are open: `aclose`.

        Args:
            loop: close only what is open in this loop, which is about to end; otherwise all, for good.
        """
        with self._lock:
            self._closed = self._closed or loop is None
            taken = [(key, e) for key, e in self._open.items() if loop is None or e.loop is loop]
            for key, _ in taken:
                del self._open[key]
        for _, entry in reversed(taken):
            self._closing = entry.resource
            _close(entry)
        self._closing = None

    async def aclose(self, loop: AbstractEventLoop | None = None) -> None:
        """Do the same from a loop, which goes on meanwhile."""
        await _in_thread(lambda: self.close(loop))

    def _find(self, wanted: Resource, loop: AbstractEventLoop | None) -> tuple[Resource, Hashable]:
        """Return what is really to be opened, and under which key.

        What was opened with one replacement beneath it is another thing than what was without.
        """
        replaced = self.replaced
        found = replaced.get(wanted, wanted)
        place = loop if found.is_async else None
        if not replaced:
            return found, (found, place)
        beneath = frozenset(_beneath(wanted, replaced))
        return found, (found, place, beneath)

    def _enter(self, found: Resource, key: Hashable, opening: _Opening) -> _Opening:
        """Begin to open, unless somebody has; return the opening that counts."""
        with self._lock:
            if self._closed:
                raise ResourceFailed(found.name, "its process ends")
            if key in self._open:
                return _Opening(over=True)
            return self._opening.setdefault(key, opening)

    def _over(self, key: Hashable, opening: _Opening, failure: BaseException | None) -> None:
        with self._lock:
            if self._opening.get(key) is opening:
                del self._opening[key]
            if not opening.over:
                opening.failure, opening.over = failure, True

    def _keep(self, key: Hashable, opening: _Opening, entry: _Open, since: float) -> bool:
        """Take what was opened; False when the pool was closed meanwhile."""
        with self._lock:
            if self._closed:
                return False
            self._open[key] = entry
        self._over(key, opening, None)
        events.emit(events.ResourceOpened(entry.resource.name, round(time.monotonic() - since, 6)))
        return True

    def _open_here(self, found: Resource, key: Hashable, opening: _Opening) -> Any:
        since = time.monotonic()
        with naming(found):
            arguments = {name: self.get(needed) for name, needed in found.wants.resources.items()}
            manager = found.manager(**arguments) if found.closes else None
            value = found.function(**arguments) if manager is None else manager.__enter__()
        entry = _Open(found, value, None if manager is None else _leaving(manager))
        if not self._keep(key, opening, entry, since):
            _close(entry)
            raise ResourceFailed(found.name, "its process ends")
        return value

    def _begin(self, found: Resource, key: Hashable, opening: _Opening, loop: AbstractEventLoop) -> None:
        if found.is_async:
            # it outlives the attempt that asks first, and is none of its doing
            opening.task = loop.create_task(self._host(found, key, opening), context=Context())
            return

        def run() -> None:
            try:
                self._open_here(found, key, opening)
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                self._over(key, opening, error)

        threading.Thread(target=copy_context().run, args=(run,), name="opening", daemon=True).start()

    async def _host(self, found: Resource, key: Hashable, opening: _Opening) -> None:
        """Open an async resource, keep it until it is to be closed, close it: all in one task."""
        since = time.monotonic()
        loop = asyncio.get_running_loop()
        leave, gone = asyncio.Event(), threading.Event()
        manager: AbstractAsyncContextManager[Any] | None = None
        try:
            with naming(found):
                arguments = {name: await self.aget(needed) for name, needed in found.wants.resources.items()}
                if found.closes:
                    manager = found.amanager(**arguments)
                value = await (found.function(**arguments) if manager is None else manager.__aenter__())
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            self._over(key, opening, error)
            return

        def close() -> None:
            loop.call_soon_threadsafe(leave.set)
            gone.wait()

        entry = _Open(found, value, None if manager is None else close, loop)
        if self._keep(key, opening, entry, since):
            if manager is None:
                return
            # cancelled: its loop ends without having closed it
            with suppress(asyncio.CancelledError):
                await leave.wait()
        else:
            self._over(key, opening, ResourceFailed(found.name, "its process ends"))
        try:
            if manager is not None:
                await manager.__aexit__(None, None, None)
        except BaseException as error:  # noqa: BLE001 - user code; the end of a process is not stopped by it
            not_closed(found, error)
        finally:
            gone.set()

    async def _wait(self, key: Hashable, opening: _Opening) -> BaseException | None:
        opening.waiting += 1
        try:
            for nap in _naps():
                if opening.over:
                    break
                await asyncio.sleep(nap)
        finally:
            opening.waiting -= 1
            if not opening.waiting and opening.task is not None and not opening.over:
                # an opening takes the time of the attempts that wait for it, and ends with the last of them
                self._over(key, opening, asyncio.CancelledError())
                opening.task.cancel()
        return opening.failure


@contextmanager
def naming(found: Resource) -> Iterator[None]:
    """Say of what fails inside that this resource did not open; what steers an attempt passes.

    Raises:
        ResourceFailed: from the exception.
    """
    try:
        yield
    except _STEERING:
        raise
    except Exception as error:
        raise ResourceFailed(found.name, _words(error)) from error


def not_closed(found: Resource, error: BaseException) -> None:
    """Tell that what closes a resource has failed."""
    trace = "".join(traceback.format_exception(error))
    events.emit(events.ResourceNotClosed(found.name, _words(error), trace))


def _words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - user code
        text = "(its text cannot be made)"
    kind = type(error).__qualname__
    return f"{kind}: {text}" if text else kind


def _naps() -> Iterator[float]:
    nap = _NAP / 50
    while True:
        yield nap
        nap = min(_NAP, nap * 1.5)


def _share(failure: BaseException | None) -> None:
    """Fail like the one that tried, if what it met concerns the resource; else it is our turn to try."""
    if isinstance(failure, ResourceFailed):
        raise ResourceFailed(failure.resource, failure.why) from failure.__cause__


def _beneath(wanted: Resource, replaced: Mapping[Resource, Resource]) -> Iterator[Resource]:
    found = replaced.get(wanted, wanted)
    if found is not wanted:
        yield found
    for needed in found.wants.resources.values():
        yield from _beneath(needed, replaced)


def _leaving(manager: AbstractContextManager[Any]) -> Callable[[], None]:
    def close() -> None:
        manager.__exit__(None, None, None)

    return close


def _close(entry: _Open) -> None:
    if entry.close is None:
        return
    try:
        entry.close()
    except BaseException as error:  # noqa: BLE001 - user code; the others are to be closed all the same
        not_closed(entry.resource, error)
    else:
        events.emit(events.ResourceClosed(entry.resource.name))


async def _in_thread(work: Callable[[], None]) -> None:
    """Run something in a thread of its own: those of the loop's executor may keep a program from ending."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def run() -> None:
        try:
            work()
        finally:
            # a loop that has ended meanwhile waits for nothing
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, done)

    threading.Thread(target=run, name="closing", daemon=True).start()
    await done


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
