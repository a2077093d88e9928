"""Where nodes and lines of a small graph go, from left to right on a grid of characters.

Sources of one level with the same targets share one line (a bus), so that a join reads as a join. Every
other line has a track of its own between two levels: lines cross, but never seem to lead to what they do not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SWEEPS: Final = 6


class Tangled(Exception):  # noqa: N818 - an answer, not a failure
    """Two lines would have to run on top of each other; the graph is listed instead."""


@dataclass(eq=False, slots=True)
class Item:
    """A node, or a line on its way through a level.

    Attributes:
        node: id of the node; None for a line.
        level: 0-based.
        row: the first row.
        incoming: the lines that end here, from the top.
    """

    node: str | None
    level: int
    row: int = 0
    incoming: list[Line] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Rows it takes: one per line that comes in."""
        return max(1, len(self.incoming))

    @property
    def middle(self) -> int:
        """The row of its label, where its own line begins."""
        return self.row + (self.height - 1) // 2


@dataclass(eq=False, slots=True)
class Line:
    """What leads from one level to the next.

    Attributes:
        level: of its sources.
        sources: where it begins.
        targets: where it ends, with the kind of the edge.
        track: its column between the levels; None when it runs straight.
    """

    level: int
    sources: list[Item]
    targets: list[tuple[Item, str]]
    track: int | None = None

    def starts(self) -> list[int]:
        """Return the rows where it begins."""
        return [item.middle for item in self.sources]

    def ends(self) -> list[int]:
        """Return the rows where it ends."""
        return [item.row + item.incoming.index(self) for item, _ in self.targets]


@dataclass(frozen=True, slots=True)
class Layout:
    """Items by level, from the top; lines by the level they start from; tracks beside each level."""

    levels: list[list[Item]]
    lines: list[list[Line]]
    tracks: list[int]

    @property
    def height(self) -> int:
        """Rows in all."""
        return max(item.row + item.height for level in self.levels for item in level)


def lay_out(levels: Mapping[str, int], needs: Mapping[str, Mapping[str, str]]) -> Layout:
    """Return places for nodes and lines.

    Args:
        levels: id -> 0-based level; a need lies in an earlier one.
        needs: id -> ids it needs, with the kind of the edge.

    Raises:
        Tangled: it cannot be drawn without ambiguity.
    """
    columns: list[list[Item]] = [[] for _ in range(max(levels.values()) + 1)]
    items = {node: Item(node, level) for node, level in levels.items()}
    for item in items.values():
        columns[item.level].append(item)
    lines: list[list[Line]] = [[] for _ in columns]
    for sources, targets in _buses(levels, needs):
        _lead(
            [items[source] for source in sources],
            {items[t]: kind for t, kind in targets.items()},
            columns,
            lines,
        )
    _order(columns, lines)
    _place(columns)
    tracks = [_assign_tracks(between) for between in lines]
    return Layout(columns, lines, tracks)


def _buses(
    levels: Mapping[str, int], needs: Mapping[str, Mapping[str, str]]
) -> Iterable[tuple[list[str], dict[str, str]]]:
    targets: dict[str, dict[str, str]] = {}
    for target, sources in needs.items():
        for source, kind in sources.items():
            targets.setdefault(source, {})[target] = kind
    grouped: dict[tuple[object, ...], list[str]] = {}
    for source in levels:
        if source in targets:
            key = (levels[source], *sorted(targets[source].items()))
            grouped.setdefault(key, []).append(source)
    return [(sources, targets[sources[0]]) for sources in grouped.values()]


def _lead(
    sources: list[Item], targets: dict[Item, str], columns: list[list[Item]], lines: list[list[Line]]
) -> None:
    level, last = sources[0].level, max(target.level for target in targets)
    while level < last:
        here: list[tuple[Item, str]] = [(t, kind) for t, kind in targets.items() if t.level == level + 1]
        further = {kind for t, kind in targets.items() if t.level > level + 1}
        through = Item(None, level + 1)
        if further:
            columns[level + 1].append(through)
            here.append((through, further.pop() if len(further) == 1 else "needs"))
        line = Line(level, sources, here)
        for target, _ in here:
            target.incoming.append(line)
        lines[level].append(line)
        sources = [through]
        level += 1


def _order(columns: list[list[Item]], lines: list[list[Line]]) -> None:
    """Sort each level by where its lines come from and lead to, in turns, so that few of them cross."""
    outgoing: dict[Item, list[Line]] = {}
    for between in lines:
        for line in between:
            for source in line.sources:
                outgoing.setdefault(source, []).append(line)
    place = {item: float(number) for column in columns for number, item in enumerate(column)}
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            wanted = {}
            for item in column:
                near = (
                    [source for line in item.incoming for source in line.sources]
                    if forward
                    else [target for line in outgoing.get(item, ()) for target, _ in line.targets]
                )
                wanted[item] = sum(place[other] for other in near) / len(near) if near else place[item]
            column.sort(key=wanted.__getitem__)
            place.update({item: float(number) for number, item in enumerate(column)})
    for column in columns:
        for item in column:
            item.incoming.sort(key=lambda line: min(place[source] for source in line.sources))


def _place(columns: list[list[Item]]) -> None:
    for column in columns:
        free = 0
        for item in column:
            before = sorted(row for line in item.incoming for row in line.starts())
            wanted = before[(len(before) - 1) // 2] - (item.height - 1) // 2 if before else free
            item.row = max(free, wanted)
            free = item.row + item.height


def _assign_tracks(lines: Sequence[Line]) -> int:
    """Give every line that bends a column; return how many columns there are."""
    bent: list[tuple[Line, list[int], list[int]]] = []
    for line in lines:
        starts, ends = line.starts(), line.ends()
        if len({*starts, *ends}) > 1:
            bent.append((line, starts, ends))
    straight = {line.starts()[0] for line in lines if len({*line.starts(), *line.ends()}) == 1}
    if any(straight.intersection(starts, ends) for _, starts, ends in bent):
        raise Tangled
    # on a row where one line begins and another ends, the first must turn off before the second comes in
    starting = {row: number for number, (_, starts, _) in enumerate(bent) for row in starts}
    after: dict[int, set[int]] = {number: set() for number in range(len(bent))}
    for number, (_, _, ends) in enumerate(bent):
        after[number] = {starting[row] for row in ends if row in starting} - {number}
    taken: list[list[tuple[int, int]]] = []
    waiting = sorted(range(len(bent)), key=lambda number: min(bent[number][1]))
    while waiting:
        free = [n for n in waiting if all(bent[other][0].track is not None for other in after[n])]
        if not free:
            raise Tangled
        number = free[0]
        waiting.remove(number)
        line, starts, ends = bent[number]
        low, high = min(*starts, *ends), max(*starts, *ends)
        column = max((1 + (bent[other][0].track or 0) for other in after[number]), default=0)
        while column < len(taken) and any(low <= b and a <= high for a, b in taken[column]):
            column += 1
        while column >= len(taken):
            taken.append([])
        taken[column].append((low, high))
        line.track = column
    return len(taken)
