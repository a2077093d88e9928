"""The live tree on a terminal: redrawn in place until the work has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TextIO

from rich.console import Group
from rich.live import Live
from rich.text import Text

from tributary_daemon.cli import looks, records, tree
from tributary_daemon.cli.output import unicode_on
from tributary_daemon.cli.paint import console, text

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from tributary_daemon.cli.blocks import Line

_REDRAWS_PER_SECOND: Final = 8
_MARGIN: Final = 4
_URGENT: Final = {"running": 0, "discarded": 1, "failed": 1, "scheduled": 2, "waiting": 3, "available": 4}


class LiveTree:
    """Draws a status document as a tree, durations ticking; the last drawing stays.

    Args:
        stream: a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = console(stream)
        self._unicode = unicode_on(stream)
        self._document: dict[str, Any] = {}
        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_REDRAWS_PER_SECOND,
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.vertical_overflow = "visible"
        self._live.stop()

    def seen(self, document: dict[str, Any]) -> None:
        """Draw the newest document from now on."""
        self._document = document

    def above(self, line: str) -> None:
        """Print a line above the tree, from any thread."""
        self._console.print(Text.from_ansi(line), soft_wrap=True)

    def _draw(self) -> Group:
        if not self._document:
            return Group()
        height = None if self._ended() else max(self._console.height - _MARGIN, 1)
        return Group(*map(_whole, lines(self._document, height, unicode=self._unicode)))

    def _ended(self) -> bool:
        return self._document["state"] in looks.ENDED


def _whole(line: Line) -> Text:
    """Return a line that is cut at the edge of the terminal: a wrapped one would upset the redrawing."""
    drawn = text(line)
    drawn.no_wrap, drawn.overflow = True, "ellipsis"
    return drawn


def lines(document: dict[str, Any], height: int | None, *, unicode: bool = True) -> list[Line]:
    """Return the head line and the steps; when these are more than ``height``, the most urgent of them.

    Args:
        document: a status document.
        height: lines available for steps; None for as many as there are.
        unicode: whether glyphs outside ASCII can be shown.
    """
    now = looks.now()
    head = records.summary(document, now, unicode=unicode)
    steps: dict[str, dict[str, Any]] = document.get("steps") or {}
    if height is None or len(steps) <= height:
        return [head, *records.step_lines(document, now, unicode=unicode)]
    urgent = sorted(steps, key=lambda step_id: _URGENT.get(steps[step_id]["state"], 9))
    chosen = set(urgent[: height - 1])
    width = max(map(len, chosen), default=0)
    shown = [
        records.step_line(
            tree.Place(step_id, "", None), {**step, "needs": []}, now, width=width, unicode=unicode
        )
        for step_id, step in steps.items()
        if step_id in chosen
    ]
    return [head, *shown, records.more(len(steps) - len(chosen))]
