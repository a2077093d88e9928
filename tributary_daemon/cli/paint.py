"""Blocks on a stream, by rich: colours and widths of a terminal, plain text elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from tributary_daemon.cli.blocks import Lines, Table, plain
from tributary_daemon.cli.looks import STYLES, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.cli.blocks import Block, Line, Span

# without a terminal nothing may be cut: whoever reads the pipe wants the words whole
_UNBOUNDED = 10_000
_LEAST = 10


def console(stream: TextIO) -> Console:
    """Return a console for ``stream``: as styled and wide as the terminal, else plain, unbounded."""
    colourless = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    terminal = stream.isatty()
    return Console(
        file=stream,
        width=None if terminal else _UNBOUNDED,
        force_terminal=terminal,
        no_color=bool(colourless) or not terminal,
        color_system="auto" if terminal and not colourless else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def paint(blocks: Iterable[Block], stream: TextIO) -> None:
    """Write the blocks to ``stream``, a blank line between two of them."""
    out = console(stream)
    for position, block in enumerate(blocks):
        if position:
            out.print()
        match block:
            case Lines() if not out.is_terminal:
                # there is nothing to style, and rich takes half of the time that a run of many steps needs
                stream.writelines(f"{visible(plain(line))}\n" for line in block.lines)
            case Lines():
                for line in block.lines:
                    out.print(text(line), soft_wrap=True)
            case Table():
                _table(block, out)


def text(line: Line) -> Text:
    """Return a line as rich's text."""
    return Text.assemble(*(_styled(span) for span in line))


def _styled(span: Span) -> tuple[str, str]:
    return visible(span.text), STYLES.get(span.style, "")


def _widths(table: Table, out: Console) -> dict[str, int]:
    """Return the widths of columns, of which some give way until the table fits."""
    widths = {
        name: max(cell_len(name), *(cell_len(visible(row[place].text)) for row in table.rows))
        for place, name in enumerate(table.columns)
    }
    # the box puts a space on either side, and two between columns
    excess = sum(widths.values()) + 2 * len(widths) + 1 - out.width
    for name in sorted(table.giving, key=lambda name: -widths[name]):
        cut = min(max(0, excess), max(0, widths[name] - _LEAST))
        widths[name] -= cut
        excess -= cut
    return widths


def _table(table: Table, out: Console) -> None:
    if not table.rows:
        out.print(Text(table.empty, style=STYLES["faint"]))
        return
    grid = RichTable(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, header_style="bold")
    widths = _widths(table, out) if table.giving and out.is_terminal else {}
    if widths:
        grid.padding = (0, 1, 0, 0)
    for name in table.columns:
        grid.add_column(
            width=widths.get(name),
            header=name,
            justify="right" if name in table.right else "left",
            overflow="ellipsis" if out.is_terminal else "fold",
            no_wrap=True,
        )
    for row in table.rows:
        grid.add_row(*(Text(*_styled(span)) for span in row))
    if out.is_terminal:
        out.print(grid)
        return
    with out.capture() as capture:
        out.print(grid)
    # padding up to the edge of a table means nothing to whoever reads a pipe
    out.file.writelines(f"{row.rstrip()}\n" for row in capture.get().splitlines())
