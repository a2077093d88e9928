"""Lines of attempts as people read them: who said it, then what was said."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.cli import looks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self, TextIO

    from tributary_daemon.cli.follow import Progress
    from tributary_daemon.client.log_records import LogRecord

_STEERING: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_HUES: Final = (36, 35, 33, 32, 34, 96, 95, 93, 92, 94)
_FAINT, _RED, _YELLOW = 2, 31, 33
_LOUD: Final = {"warning": _YELLOW, "error": _RED, "critical": _RED}
_WIDEST: Final = 40


class LogLines:
    """Turns records into lines, each after the name of its step (and attempt, from the second on).

    Args:
        colored: with the colours of a terminal: one per step, red for stderr.
        named: with the name of the step; without it where all lines are of the same.
        timed: with the time in front.
    """

    def __init__(self, *, colored: bool, named: bool = True, timed: bool = False) -> None:
        self._colored, self._named, self._timed = colored, named, timed
        self._hues: dict[str, int] = {}
        self._width = 0

    def line(self, record: LogRecord) -> str:
        """Return a record as one line."""
        parts = []
        if self._timed:
            parts.append(self._paint(f"{record.at:%H:%M:%S}.{record.at.microsecond // 1000:03d}Z", _FAINT))
        if label := self._label(record):
            hue = self._hues.setdefault(record.step or "", _HUES[len(self._hues) % len(_HUES)])
            self._width = min(max(self._width, len(label)), _WIDEST)
            parts.append(self._paint(f"{label:<{self._width}} |", hue))
        parts.append(self._said(record))
        return " ".join(parts)

    def _label(self, record: LogRecord) -> str:
        label = ""
        if self._named and record.step is not None:
            label = record.step if record.item is None else f"{record.step}[{looks.visible(record.item)}]"
        return f"{label}#{record.attempt}" if record.attempt > 1 else label

    def _said(self, record: LogRecord) -> str:
        text = looks.visible(cleared(record.text))
        match record.stream:
            case "stderr":
                return self._paint(text, _RED)
            case "dropped":
                return self._paint(f"... {text} ...", _FAINT)
            case "log":
                level = record.level or "info"
                head = self._paint(f"{level:<7}", _LOUD.get(level, _FAINT))
                return f"{head} {text}{self._fields(record.fields or {})}"
        return text

    def _fields(self, fields: dict[str, Any]) -> str:
        told = fields.get("exception")
        rest = " ".join(f"{name}={_value(value)}" for name, value in fields.items() if name != "exception")
        shown = f" {self._paint(looks.visible(rest), _FAINT)}" if rest else ""
        return f"{shown}\n{looks.visible(str(told))}" if told else shown

    def _paint(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colored else text


class WithLines:
    """A progress that also shows what steps write, above what it shows itself.

    Args:
        shown: the progress.
        news: returns what was written since it was last called.
        stream: where the progress goes.
        last: called before the progress shows its end.
    """

    def __init__(
        self,
        shown: Progress,
        news: Callable[[], Iterable[LogRecord]],
        stream: TextIO,
        last: Callable[[], None] = lambda: None,
    ) -> None:
        self._shown, self._news, self._stream, self._last = shown, news, stream, last
        self._lines = LogLines(colored=colors_on(stream))

    def __enter__(self) -> Self:
        self._shown.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._last()
        self._shown.__exit__(kind, error, trace)

    def seen(self, document: dict[str, Any]) -> None:
        """Show what is new of both."""
        above = getattr(self._shown, "above", None)
        for record in self._news():
            line = self._lines.line(record)
            if above is not None:
                above(line)
            else:
                self._stream.write(line + "\n")
        self._stream.flush()
        self._shown.seen(document)


def colors_on(stream: TextIO) -> bool:
    """Whether a stream wants colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def cleared(text: str) -> str:
    """Return a line as a terminal would have left it: no colours, and of what was overwritten the last."""
    plain = _STEERING.sub("", text) if "\x1b" in text else text
    return plain.rstrip("\r").rpartition("\r")[2] if "\r" in plain else plain


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value and " " not in value else looks.compact(value)
