"""Order and cycles of a graph given as lists of indexes; iterative, since chains may be 10,000 long."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def topological(needs: Sequence[Sequence[int]]) -> list[int]:
    """Return node indexes so that every node follows its needs; the smallest index first where free.

    Nodes on a cycle, or above one, are left out.

    Args:
        needs: per node the indexes of the nodes it needs, each at most once.
    """
    unmet = [len(each) for each in needs]
    above: list[list[int]] = [[] for _ in needs]
    for node, below in enumerate(needs):
        for need in below:
            above[need].append(node)
    ready = [node for node, count in enumerate(unmet) if count == 0]
    order: list[int] = []
    while ready:
        node = heapq.heappop(ready)
        order.append(node)
        for next_node in above[node]:
            unmet[next_node] -= 1
            if unmet[next_node] == 0:
                heapq.heappush(ready, next_node)
    return order


def cycles(needs: Sequence[Sequence[int]], ordered: Sequence[int]) -> list[list[int]]:
    """Return cycles among the nodes that ``topological`` left out, no node in two of them.

    Each begins with its smallest index and follows the needs; at least one is returned if any exists.
    """
    left = set(range(len(needs))).difference(ordered)
    # every node left has a need that is left, so following one need each must come round
    following = {node: next(need for need in needs[node] if need in left) for node in left}
    seen: dict[int, int] = {}
    found: list[list[int]] = []
    for start in sorted(left):
        node = start
        while node not in seen:
            seen[node] = start
            node = following[node]
        if seen[node] == start:
            found.append(_round(node, following))
    return found


def _round(start: int, following: dict[int, int]) -> list[int]:
    cycle = [start]
    while (node := following[cycle[-1]]) != start:
        cycle.append(node)
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]
