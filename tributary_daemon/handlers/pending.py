"""What a workflow function waits for: `Pending`, and how several of them are awaited at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType

T_co = TypeVar("T_co", covariant=True)


class Pending(Generic[T_co]):
    """Something that is under way: await it for its result, as often as you like.

    It has begun when it was asked for, so that two of them that are awaited later run side by side.
    """

    __slots__ = ("_convert", "_error", "_trace", "_value", "_watchers", "done", "heard", "waits_for")

    def __init__(self, convert: Callable[[Any], Any] | None = None) -> None:
        self.done = False
        self.heard = False
        self.waits_for: tuple[Pending[Any], ...] = ()
        self._convert = convert
        self._value: Any = None
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None
        self._watchers: list[Callable[[Pending[Any]], None]] = []

    def __await__(self) -> Generator[Pending[Any], None, T_co]:
        if not self.done:
            yield self
        return self.result()

    def result(self) -> T_co:
        """Return its result; for who knows that it has ended.

        Raises:
            StepFailed: it has failed.
        """
        if (error := self.error) is not None:
            raise error
        value: T_co = self._value
        return value

    @property
    def error(self) -> BaseException | None:
        """How it has failed, with the frames in which that was raised first, however often it is awaited."""
        self.heard = True
        return None if self._error is None else self._error.with_traceback(self._trace)

    @property
    def failed(self) -> bool:
        """Whether it has ended badly."""
        return self._error is not None

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        """End it; for the replay."""
        if self.done:
            return
        if error is None and self._convert is not None:
            try:
                value = self._convert(value)
            except Exception as refused:  # noqa: BLE001 - validators are user code
                error = refused
        self.done, self._value, self._error = True, value, error
        self._trace = None if error is None else error.__traceback__
        watchers, self._watchers = self._watchers, []
        for watch in watchers:
            watch(self)

    def watch(self, watcher: Callable[[Pending[Any]], None]) -> None:
        """Call ``watcher`` when it has ended; for the replay."""
        if self.done:
            watcher(self)
        else:
            self._watchers.append(watcher)


def gathered(parts: list[Pending[Any]], *, return_exceptions: bool) -> Pending[list[Any]]:
    """Return what ends with all of these, or with the first that fails."""
    whole: Pending[list[Any]] = Pending()
    whole.waits_for = tuple(parts)
    left = len(parts)

    def ended(part: Pending[Any]) -> None:
        nonlocal left
        left -= 1
        error = part.error
        if error is not None and not return_exceptions:
            whole.settle(error=error)
        elif left == 0:
            whole.settle([other.error if other.failed else other.result() for other in parts])

    for part in parts:
        part.watch(ended)
    if not parts:
        whole.settle([])
    return whole


def first_of(parts: list[Pending[Any]]) -> Pending[int]:
    """Return what ends with the first of these: with its index."""
    first: Pending[int] = Pending()
    for index, part in enumerate(parts):
        part.watch(partial(_settle_as, first, index))
    return first


def _settle_as(first: Pending[int], index: int, _part: Pending[Any]) -> None:
    first.settle(index)
