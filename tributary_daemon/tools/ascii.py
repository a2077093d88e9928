"""A graph as text: drawn from left to right where it fits, else listed level by level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tributary_daemon.tools import captions
from tributary_daemon.tools.rows import Layout, Tangled, lay_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tributary_daemon.tools.graphs import Graph, Node
    from tributary_daemon.tools.rows import Line

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
    "-", "~", ">", ">", {arms: "|" if arms == _UP | _DOWN else "+" for arms in _CORNERS} | {_LEFT | _RIGHT: "-"}
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
            lines = [f"{captions.part_title(graph, parent, hook)}:", *(f"  {line}".rstrip() for line in lines)]
        blocks.append("\n".join(lines))
    if (key := _key(graph, pen)) is not None:
        blocks.append(key)
    text = "\n\n".join(blocks) + "\n"
    return text if unicode else text.replace("×", "x")


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
        said.append("×n runs once per item")
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
                labels[need] + (" (implied)" if kind == "implied" else "") for need, kind in needs[node.id].items()
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
    starts, ends = _columns(layout, labels)
    if ends[-1] > width:
        return None
    grid = [[" "] * (ends[-1] + 1) for _ in range(layout.height)]
    for between in layout.lines:
        _draw_lines(grid, between, starts, ends, labels, pen)
    for column in layout.levels:
        for item in column:
            left = starts[item.level]
            if item.node is None:
                kind = next(k for line in item.incoming for t, k in line.targets if t is item)
                _fill(grid[item.row], left, ends[item.level], pen.implied if kind == "implied" else pen.line)
                continue
            _draw_ports(grid, item.row, item.height, item.middle, left, pen, kinds=[
                next(kind for target, kind in line.targets if target is item) for line in item.incoming
            ])  # fmt: skip
            caption = labels[item.node]
            grid[item.middle][left + _PORTS : left + _PORTS + len(caption)] = caption
    return ["".join(row).rstrip() for row in grid]


def _columns(layout: Layout, labels: Mapping[str, str]) -> tuple[list[int], list[int]]:
    """Return where each level begins and ends, ports and captions included."""
    starts, ends = [], []
    at = -_PORTS  # nothing leads into the first level
    for level, column in enumerate(layout.levels):
        widest = max((len(labels[item.node]) for item in column if item.node is not None), default=1)
        starts.append(at)
        ends.append(at + _PORTS + widest)
        at = ends[-1] + 2 * max(layout.tracks[level], 1) + 2
    return starts, ends


def _draw_lines(
    grid: list[list[str]],
    lines: Sequence[Line],
    starts: Sequence[int],
    ends: Sequence[int],
    labels: Mapping[str, str],
    pen: Pen,
) -> None:
    bent = [line for line in lines if line.track is not None]
    columns = {id(line): ends[line.level] + 2 + 2 * (line.track or 0) for line in bent}
    for line in lines:
        goal = starts[line.level + 1]
        column = columns.get(id(line))
        for item in line.sources:
            begin = ends[line.level]
            if item.node is not None:
                begin = starts[line.level] + _PORTS + len(labels[item.node]) + 1
            if column is None:
                column = begin
            _fill(grid[item.middle], begin, column, pen.line)
        assert column is not None
        for row, (_, kind) in zip(line.ends(), line.targets, strict=True):
            _fill(grid[row], column, goal, pen.implied if kind == "implied" else pen.line)
    for line in bent:
        begins, finishes = set(line.starts()), set(line.ends())
        low, high = min(begins | finishes), max(begins | finishes)
        for row in range(low, high + 1):
            arms = (
                (_UP if row > low else 0)
                | (_DOWN if row < high else 0)
                | (_LEFT if row in begins else 0)
                | (_RIGHT if row in finishes else 0)
            )
            grid[row][columns[id(line)]] = pen.corners[arms]


def _fill(row: list[str], start: int, end: int, character: str) -> None:
    for column in range(max(start, 0), end):
        row[column] = character


def _draw_ports(
    grid: list[list[str]], top: int, height: int, middle: int, left: int, pen: Pen, *, kinds: Sequence[str]
) -> None:
    """Draw what leads into a node: an arrow, in front of it the lines that meet there."""
    if not kinds:
        return
    implied = set(kinds) == {"implied"}
    for row in range(top, top + height):
        arms = _LEFT | (_UP if row > top else 0) | (_DOWN if row < top + height - 1 else 0)
        arms |= _RIGHT if row == middle else 0
        straight = pen.implied if implied else pen.line
        grid[row][left] = straight if height == 1 else pen.corners[arms]
    grid[middle][left + 1] = pen.implied_arrow if implied else pen.arrow
