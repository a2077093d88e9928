"""The resources of one attempt, as arguments of its handler.

Those of scope ``process`` come from the pool of the process; those of scope ``attempt`` are opened here, and
closed when the block ends, whatever happens. What the block raises is raised at their ``yield`` too, so that
a transaction around it is rolled back; what their closing raises is told, and changes nothing.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from tributary_daemon.engine.pool import naming, not_closed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from tributary_daemon.engine.pool import Pool
    from tributary_daemon.handlers.resources import Resource
    from tributary_daemon.handlers.step import Step


@contextmanager
def opened(wanted: Mapping[str, Resource], step: Step, pool: Pool) -> Iterator[dict[str, Any]]:
    """Yield the arguments that a sync handler gets beside its payload and the step.

    Args:
        wanted: by parameter, as `Signature.resources` has them.
        step: of the attempt, for those that ask for it.
        pool: of the process.

    Raises:
        ResourceFailed: one of them did not open.
    """
    own = _Own(step, pool)
    try:
        yield {name: own.get(found) for name, found in wanted.items()}
    except BaseException as error:
        own.close(error)
        raise
    own.close(None)


@asynccontextmanager
async def aopened(wanted: Mapping[str, Resource], step: Step, pool: Pool) -> AsyncIterator[dict[str, Any]]:
    """Do the same for an async handler."""
    own = _AsyncOwn(step, pool)
    try:
        yield {name: await own.get(found) for name, found in wanted.items()}
    except GeneratorExit:
        # the loop is gone: nothing can be awaited
        raise
    except BaseException as error:
        await own.close(error)
        raise
    await own.close(None)


class _Own:
    """What one attempt has opened for itself, in a thread."""

    def __init__(self, step: Step, pool: Pool) -> None:
        self._step = step
        self._pool = pool
        self._replaced = pool.replaced
        self._values: dict[Resource, Any] = {}
        self._managers: list[tuple[Resource, AbstractContextManager[Any]]] = []

    def get(self, wanted: Resource) -> Any:
        if wanted.scope == "process":
            return self._pool.get(wanted)
        if wanted not in self._values:
            found = self._replaced.get(wanted, wanted)
            with naming(found):
                self._values[wanted] = self._open(found)
        return self._values[wanted]

    def _open(self, found: Resource) -> Any:
        arguments = {name: self.get(needed) for name, needed in found.wants.resources.items()}
        if found.wants.step_name is not None:
            arguments[found.wants.step_name] = self._step
        if not found.closes:
            return found.function(**arguments)
        manager = found.manager(**arguments)
        value = manager.__enter__()
        self._managers.append((found, manager))
        return value

    def close(self, error: BaseException | None) -> None:
        while self._managers:
            found, manager = self._managers.pop()
            try:
                manager.__exit__(
                    type(error) if error else None, error, error.__traceback__ if error else None
                )
            except BaseException as fault:  # noqa: BLE001 - an outcome is not changed by it, not even by a timeout
                if fault is not error:
                    not_closed(found, fault)


class _AsyncOwn:
    """The same in a loop. A sync resource is opened in the loop's thread, which is that of its attempt."""

    def __init__(self, step: Step, pool: Pool) -> None:
        self._step = step
        self._pool = pool
        self._replaced = pool.replaced
        self._values: dict[Resource, Any] = {}
        self._leaving: list[tuple[Resource, Callable[..., Any]]] = []

    async def get(self, wanted: Resource) -> Any:
        if wanted.scope == "process":
            return await self._pool.aget(wanted)
        if wanted not in self._values:
            found = self._replaced.get(wanted, wanted)
            with naming(found):
                self._values[wanted] = await self._open(found)
        return self._values[wanted]

    async def _open(self, found: Resource) -> Any:
        arguments = {name: await self.get(needed) for name, needed in found.wants.resources.items()}
        if found.wants.step_name is not None:
            arguments[found.wants.step_name] = self._step
        if not found.closes:
            value = found.function(**arguments)
            return await value if found.is_async else value
        if found.is_async:
            amanager = found.amanager(**arguments)
            value = await amanager.__aenter__()
            self._leaving.append((found, amanager.__aexit__))
        else:
            manager = found.manager(**arguments)
            value = manager.__enter__()
            self._leaving.append((found, manager.__exit__))
        return value

    async def close(self, error: BaseException | None) -> None:
        raised = (type(error) if error else None, error, error.__traceback__ if error else None)
        while self._leaving:
            found, leave = self._leaving.pop()
            try:
                left = leave(*raised)
                if found.is_async:
                    await left
            except BaseException as fault:  # noqa: BLE001 - an outcome is not changed by it, not even by a cancel
                if fault is not error:
                    not_closed(found, fault)
