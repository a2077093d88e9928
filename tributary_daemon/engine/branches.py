"""The coroutines of a workflow function, driven step by step: no event loop, no time of its own."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from tributary_daemon.errors import TributaryError
from tributary_daemon.handlers.pending import Pending

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Halt(BaseException):
    """Leaves a workflow function through whatever it catches: there is no sense in going on."""


class Branches:
    """Runs coroutines that wait for `Pending` alone, in an order that depends on nothing else.

    Attributes:
        halted: what has made all of it stop.
    """

    def __init__(self) -> None:
        self._ready: deque[tuple[Coroutine[Any, Any, Any], Pending[Any]]] = deque()
        self._waiting: dict[Pending[Any], Pending[Any]] = {}
        self._all: list[tuple[Coroutine[Any, Any, Any], Pending[Any]]] = []
        self.halted: Halt | None = None

    def add(self, coroutine: Coroutine[Any, Any, Any]) -> Pending[Any]:
        """Begin a coroutine; what it returns or raises settles the result."""
        outcome: Pending[Any] = Pending()
        self._all.append((coroutine, outcome))
        self._ready.append((coroutine, outcome))
        return outcome

    def run(self) -> None:
        """Go on until all wait."""
        while self._ready and self.halted is None:
            coroutine, outcome = self._ready.popleft()
            self._waiting.pop(outcome, None)
            self._step(coroutine, outcome)

    @property
    def waiting(self) -> list[Pending[Any]]:
        """What is waited for, by one branch each."""
        return list(self._waiting.values())

    def unheard(self) -> list[BaseException]:
        """Return what branches have raised that nobody has awaited."""
        failed = [outcome for _, outcome in self._all if outcome.failed and not outcome.heard]
        return [error for outcome in failed if (error := outcome.error) is not None]

    def close(self) -> None:
        """End what is left: nothing of it runs any more, its ``finally`` blocks excepted."""
        for coroutine, _ in self._all:
            try:
                coroutine.close()
            except BaseException:  # noqa: BLE001, S112 - user code that does not want to end; it is forgotten
                continue

    def _step(self, coroutine: Coroutine[Any, Any, Any], outcome: Pending[Any]) -> None:
        fault: Exception | None = None
        while True:
            try:
                found = coroutine.send(None) if fault is None else coroutine.throw(fault)
            except StopIteration as end:
                outcome.settle(end.value)
                return
            except Halt as halt:
                self.halted = halt
                return
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:  # noqa: BLE001 - user code; whatever it raises is an outcome
                outcome.settle(error=error)
                return
            if isinstance(found, Pending):
                break
            fault = TributaryError(
                f"a workflow function waited for {type(found).__name__}, of which its history knows nothing",
                hint="wait by ctx.sleep, ctx.run, ctx.gather … alone; asyncio belongs into handlers",
            )
        self._waiting[outcome] = found
        found.watch(partial(self._wake, coroutine, outcome))

    def _wake(
        self, coroutine: Coroutine[Any, Any, Any], outcome: Pending[Any], _awaited: Pending[Any]
    ) -> None:
        self._ready.append((coroutine, outcome))
