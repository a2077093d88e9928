"""A graph as text: drawn from left to right where it fits, else listed level by level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tributary_daemon.tools import captions
from tributary_daemon.tools.rows import Layout, Tangled, lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tributary_daemon.tools.graphs import Graph, Node
    from tributary_daemon.tools.rows import Item, Line

_MOST_DRAWN: Final = 100
_NEEDS_SHOWN: Final = 8
# columns before a caption: where lines meet, the arrow, a space
_PORTS: Final = 3
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_CORNERS: Final = {
    _LEFT | _RIGHT: "─",
    _UP | _DOWN: "│",
    _LEFT | _DOWN: "┐",
    _LEFT | _UP: "┘",
    _RIGHT | _DOWN: "┌",
    _RIGHT | _UP: "└",
    _LEFT | _RIGHT | _DOWN: "┬",
    _LEFT | _RIGHT | _UP: "┴",
    _UP | _DOWN | _LEFT: "┤",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}


class Pen(NamedTuple):
    """The characters that lines are made of."""

    line: str
    implied: str
    arrow: str
    implied_arrow: str
    corners: Mapping[int, str]


UNICODE: Final = Pen("─", "╌", "▶", "▷", _CORNERS)
PLAIN: Final = Pen(
    "-",
    "~",
    ">",
    ">",
    {arms: "|" if arms == _UP | _DOWN else "+" for arms in _CORNERS} | {_LEFT | _RIGHT: "-"},
)


def draw(graph: Graph, glyph: Callable[[str], str], *, width: int = 160, unicode: bool = True) -> str:
    """Return the graph as text.

    Args:
        graph: what to draw.
        glyph: returns the mark of a state.
        width: columns at most; what needs more is listed.
        unicode: whether box characters can be shown.
    """
    pen = UNICODE if unicode else PLAIN
    blocks: list[str] = []
    needs = _needs(graph)
    for (parent, hook), nodes in graph.parts().items():
        inside = {node.id for node in nodes}
        own = {node.id: {n: k for n, k in needs[node.id].items() if n in inside} for node in nodes}
        lines = _drawn(nodes, own, glyph, pen, width) if len(nodes) <= _MOST_DRAWN else None
        if lines is None:
            lines = list(_listed(nodes, own, glyph))
        if parent is not None or hook is not None:
            lines = [
                f"{captions.part_title(graph, parent, hook)}:",
                *(f"  {line}".rstrip() for line in lines),
            ]
        blocks.append("\n".join(lines))
    if (key := _key(graph, pen)) is not None:
        blocks.append(key)
    text = "\n\n".join(blocks) + "\n"
    return text if unicode else text.replace(captions.TIMES, "x")


def _needs(graph: Graph) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {node: {} for node in graph.nodes}
    for edge in graph.edges:
        if edge.kind != "child":
            found[edge.target][edge.source] = edge.kind
    return found


def _caption(node: Node, glyph: Callable[[str], str]) -> str:
    """Return what stands in a drawing: state, id, and a word for what is not an ordinary step."""
    parts = [glyph(node.state)] if node.state is not None else []
    parts.append(node.label)
    if node.condition is not None:
        parts[-1] += "?"
    if node.fan_out is not None:
        parts.append(captions.fan_out(node))
    if node.child is not None:
        parts.append(f"[{node.child}]")
    elif node.action in ("wait", "approve"):
        parts.append(f"({node.action})")
    return " ".join(parts)


def _key(graph: Graph, pen: Pen) -> str | None:
    nodes = graph.nodes.values()
    said = []
    if any(edge.kind == "implied" for edge in graph.edges):
        said.append(f"{pen.implied}{pen.implied_arrow} implied by a reference")
    if any(node.condition is not None for node in nodes):
        said.append("a? has a condition")
    if any(node.fan_out is not None for node in nodes):
        said.append(f"{captions.TIMES}n runs once per item")
    if any(node.child is not None for node in nodes):
        said.append("[b] runs workflow b")
    return "   ".join(said) or None


def _listed(
    nodes: Sequence[Node], needs: Mapping[str, Mapping[str, str]], glyph: Callable[[str], str]
) -> Iterator[str]:
    levels: dict[int, list[Node]] = {}
    for node in nodes:
        levels.setdefault(node.level, []).append(node)
    labels = {node.id: node.label for node in nodes}
    for level, members in sorted(levels.items()):
        beside = f" ({len(members):,} steps, none needs another)" if len(members) > 1 else ""
        yield f"level {level}{beside}"
        for node in members:
            named = [
                labels[need] + (" (implied)" if kind == "implied" else "")
                for need, kind in needs[node.id].items()
            ]
            more = f" and {len(named) - _NEEDS_SHOWN:,} more" if len(named) > _NEEDS_SHOWN else ""
            behind = f"  needs {', '.join(named[:_NEEDS_SHOWN])}{more}" if named else ""
            yield f"  {_caption(node, glyph)}{behind}"


def _drawn(
    nodes: Sequence[Node],
    needs: Mapping[str, Mapping[str, str]],
    glyph: Callable[[str], str],
    pen: Pen,
    width: int,
) -> list[str] | None:
    """Return the lines of a drawing; None when it would be too wide or unclear."""
    levels: dict[str, int] = {}
    for node in nodes:
        levels[node.id] = 1 + max((levels[need] for need in needs[node.id]), default=-1)
    try:
        layout = lay_out(levels, needs)
    except Tangled:
        return None
    labels = {node.id: _caption(node, glyph) for node in nodes}
    canvas = _Canvas(layout, labels, pen)
    return canvas.drawn() if canvas.width <= width else None


class _Canvas:
    """A grid of characters with a column for each level, and between two of them room for lines."""

    def __init__(self, layout: Layout, labels: Mapping[str, str], pen: Pen) -> None:
        self._layout = layout
        self._labels = labels
        self._pen = pen
        self._starts: list[int] = []
        self._ends: list[int] = []
        at = -_PORTS  # nothing leads into the first level
        for level, column in enumerate(layout.levels):
            widest = max((len(labels[item.node]) for item in column if item.node is not None), default=1)
            self._starts.append(at)
            self._ends.append(at + _PORTS + widest)
            at = self._ends[-1] + 2 * max(layout.tracks[level], 1) + 2
        self.width = self._ends[-1]
        self._grid: list[list[str]] = []

    def drawn(self) -> list[str]:
        self._grid = [[" "] * (self.width + 1) for _ in range(self._layout.height)]
        for between in self._layout.lines:
            for line in between:
                self._level_parts(line)
            # what goes down is drawn over what it crosses
            for line in between:
                if line.track is not None:
                    self._upright_part(line, line.track)
        for column in self._layout.levels:
            for item in column:
                self._item(item)
        return ["".join(row).rstrip() for row in self._grid]

    def _item(self, item: Item) -> None:
        left = self._starts[item.level]
        kinds = [next(kind for target, kind in line.targets if target is item) for line in item.incoming]
        if item.node is None:
            self._fill(item.row, left, self._ends[item.level], self._stroke(kinds[0]))
            return
        caption = self._labels[item.node]
        if kinds:
            self._ports(item, left, kinds)
        self._grid[item.middle][left + _PORTS : left + _PORTS + len(caption)] = caption

    def _ports(self, item: Item, left: int, kinds: Sequence[str]) -> None:
        """Draw what leads into a node: an arrow, in front of it the lines that meet there."""
        implied = set(kinds) == {"implied"}
        last = item.row + item.height - 1
        for row in range(item.row, last + 1):
            arms = _LEFT | (_UP if row > item.row else 0) | (_DOWN if row < last else 0)
            arms |= _RIGHT if row == item.middle else 0
            self._grid[row][left] = self._pen.corners[arms] if item.height > 1 else self._stroke(kinds[0])
        self._grid[item.middle][left + 1] = self._pen.implied_arrow if implied else self._pen.arrow

    def _level_parts(self, line: Line) -> None:
        column = None if line.track is None else self._column(line, line.track)
        for item in line.sources:
            begin = self._ends[line.level]
            if item.node is not None:
                begin = self._starts[line.level] + _PORTS + len(self._labels[item.node]) + 1
            if column is None:
                # a straight line has one source
                column = begin
            self._fill(item.middle, begin, column, self._pen.line)
        assert column is not None
        for row, (_, kind) in zip(line.ends(), line.targets, strict=True):
            self._fill(row, column, self._starts[line.level + 1], self._stroke(kind))

    def _upright_part(self, line: Line, track: int) -> None:
        begins, finishes = set(line.starts()), set(line.ends())
        low, high = min(begins | finishes), max(begins | finishes)
        column = self._column(line, track)
        for row in range(low, high + 1):
            arms = (_UP if row > low else 0) | (_DOWN if row < high else 0)
            arms |= (_LEFT if row in begins else 0) | (_RIGHT if row in finishes else 0)
            self._grid[row][column] = self._pen.corners[arms]

    def _column(self, line: Line, track: int) -> int:
        return self._ends[line.level] + 2 + 2 * track

    def _stroke(self, kind: str) -> str:
        return self._pen.implied if kind == "implied" else self._pen.line

    def _fill(self, row: int, start: int, end: int, character: str) -> None:
        for column in range(max(start, 0), end):
            self._grid[row][column] = character
