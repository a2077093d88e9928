"""What worker processes of `trib run` print stands aside: never amid the data, never across the live tree."""

from __future__ import annotations

import os
import sys
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self, TextIO

_OUT: Final = 1
_ERR: Final = 2
_LAST_LINES_SECONDS: Final = 1.0
# written behind what children have written; no line of theirs holds a NUL
_MARK: Final = "\0so far"


class Aside:
    """Leads the output that child processes inherit away from stdout, as long as it is entered.

    ``sys.stdout`` alone still leads there. Output of children goes to stderr; when this process draws on a
    terminal, it goes line by line, like this process's own messages, to `above`.

    Args:
        drawn: whether something is drawn in place on stdout.
    """

    def __init__(self, *, drawn: bool) -> None:
        self._drawn = drawn
        self._kept: tuple[int, int] = (-1, -1)
        self._stdout: TextIO = sys.stdout
        self._reader: Thread | None = None
        self._above: Callable[[str], None] = self._plain
        self._read = Event()

    def __enter__(self) -> Self:
        self._stdout = sys.stdout
        self._stdout.flush()
        sys.stderr.flush()
        self._kept = os.dup(_OUT), os.dup(_ERR)
        sys.stdout = os.fdopen(
            os.dup(_OUT), "w", encoding=self._stdout.encoding, errors=self._stdout.errors, buffering=1
        )
        if self._drawn:
            source, sink = os.pipe()
            os.dup2(sink, _OUT)
            os.dup2(sink, _ERR)
            os.close(sink)
            self._reader = Thread(target=self._relay, args=(source,), name="trib output", daemon=True)
            self._reader.start()
        else:
            os.dup2(_ERR, _OUT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        own, sys.stdout = sys.stdout, self._stdout
        own.close()
        sys.stderr.flush()
        os.dup2(self._kept[0], _OUT)
        os.dup2(self._kept[1], _ERR)
        os.close(self._kept[0])
        if self._reader is not None:
            # a process that outlives the worker may hold the pipe open for ever
            self._reader.join(_LAST_LINES_SECONDS)
        if self._reader is None or not self._reader.is_alive():
            os.close(self._kept[1])

    def show(self, above: Callable[[str], None] | None) -> None:
        """Hand the lines to ``above`` from now on; None leaves them as they are."""
        if above is not None:
            self._above = above

    def caught_up(self) -> None:
        """Wait until all is shown that children have written by now; a second at most."""
        if self._reader is not None:
            self._read.clear()
            os.write(_OUT, f"{_MARK}\n".encode())
            self._read.wait(_LAST_LINES_SECONDS)

    def _relay(self, source: int) -> None:
        with os.fdopen(source, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                said, mark, _ = line.rstrip("\n").partition(_MARK)
                try:
                    if said or not mark:
                        self._above(said)
                except OSError:
                    # the terminal is gone; the pipe must be read on, or the children would stand still
                    self._above = _nowhere
                if mark:
                    self._read.set()

    def _plain(self, line: str) -> None:
        os.write(self._kept[1], f"{line}\n".encode())


def _nowhere(_line: str) -> None:
    return
