"""The logger of a step: its lines go to the worker's own log as any other, and are kept with the attempt."""

from __future__ import annotations

import logging
import sys
import traceback
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from tributary_daemon.model.masking import Mask

_KEPT: Final = logging.INFO
_LEVELS: Final = {"warn": "warning", "exception": "error", "fatal": "critical", "msg": "info"}


class Output(Protocol):
    """The bytes of one stream."""

    def feed(self, data: bytes) -> bytes:
        """Take what was read; return it as it may be shown: secrets masked, their beginnings held back."""

    def close(self) -> bytes:
        """Nothing follows; return what was held back."""


class Lines(Protocol):
    """Where the lines of an attempt go. None of it waits for anything."""

    def line(self, text: str, level: str, fields: Mapping[str, Any]) -> None:
        """Take one line of a log."""

    def output(self, stream: str) -> Output:
        """Return where the bytes of ``stdout`` or ``stderr`` go."""


class Nowhere:
    """Lines that nobody keeps, and an output of such.

    Args:
        mask: of the attempt's secrets: what is not kept is still shown, in the message of a failure.
    """

    def __init__(self, mask: Mask | None = None) -> None:
        self._mask = mask

    def line(self, text: str, level: str, fields: Mapping[str, Any]) -> None:
        """Take no notice."""

    def output(self, stream: str) -> Output:  # noqa: ARG002 - one of two that are alike
        """Return itself, or what masks only."""
        return self if self._mask is None else self._mask.stream()

    def feed(self, data: bytes) -> bytes:
        """Return the data as they are."""
        return data

    def close(self) -> bytes:
        """Return nothing."""
        return b""


NOWHERE: Final = Nowhere()


class Silence:
    """A logger that says nothing, whatever it is told."""

    def __getattr__(self, _method: str) -> Any:
        return self._nothing

    def _nothing(self, *_: Any, **__: Any) -> Self:
        return self


SILENT: Final = Silence()


def logger(name: str, lines: Lines) -> Any:
    """Return a structlog logger that also keeps its lines.

    Args:
        name: of the handler.
        lines: where those from ``info`` on are kept.
    """
    usual = structlog.get_logger(name)
    if isinstance(lines, Nowhere):
        return usual
    return structlog.wrap_logger(_Both(usual, lines), processors=_PROCESSORS, wrapper_class=_wrapper()).bind()


@cache
def _wrapper() -> type[Any]:
    # what is below `info` is for the log of the worker to decide
    return structlog.make_filtering_bound_logger(logging.DEBUG)


class _Both:
    """The end of such a logger: the kept lines, then the log of the worker."""

    def __init__(self, usual: Any, lines: Lines) -> None:
        self._usual, self._lines = usual, lines

    def keep(self, method: str, event: str, fields: Mapping[str, Any]) -> None:
        """Keep a line of at least `_KEPT`."""
        level = _LEVELS.get(method, method)
        if logging.getLevelNamesMapping().get(level.upper(), _KEPT) < _KEPT:
            return
        kept = {name: value for name, value in fields.items() if name not in ("exc_info", "stack_info")}
        if (exc_info := fields.get("exc_info")) and (told := _told(exc_info)):
            kept["exception"] = told
        self._lines.line(event, level, kept)

    def __getattr__(self, method: str) -> Any:
        return getattr(self._usual, method)


def _keep(both: Any, method: str, line: MutableMapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Keep a line, and hand it on as it was written."""
    event = line.pop("event", "")
    both.keep(method, str(event), line)
    return (event,), dict(line)


def _told(exc_info: Any) -> str | None:
    match exc_info:
        case BaseException():
            error: BaseException | None = exc_info
        case (_, error, _):
            pass
        case _:
            error = sys.exc_info()[1]
    try:
        return None if error is None else "".join(traceback.format_exception(error)).rstrip()
    except Exception:  # noqa: BLE001 - user code (__str__ of an error); the line matters more
        return type(error).__qualname__


_PROCESSORS: Final = [_keep]
