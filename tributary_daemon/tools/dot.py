"""A graph for Graphviz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.tools import captions
from tributary_daemon.tools.colours import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.tools.graphs import Graph, Node

_SHAPES: Final = {
    "task": "box",
    "run": "note",
    "workflow": "component",
    "wait": "ellipse",
    "approve": "hexagon",
}
_EDGES: Final = {"needs": "", "implied": " [style=dashed]", "child": ' [style=dotted, arrowhead="onormal"]'}


def draw(graph: Graph) -> str:
    """Return the graph in the DOT language.

    A fan-out has a double border, an implied edge is dashed, hooks and children stand in boxes of their own.
    """
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield f"digraph {quoted(graph.name)} {{"
    yield "  rankdir=LR;"
    yield '  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="sans-serif"];'
    yield '  edge [color="#555555"];'
    names = {node_id: f"n{number}" for number, node_id in enumerate(graph.nodes, 1)}
    parts = graph.parts()
    for number, ((parent, hook), nodes) in enumerate(parts.items(), 1):
        if parent is None and hook is None:
            for node in nodes:
                yield f"  {_node(node, names[node.id])}"
            continue
        yield f"  subgraph cluster_{number} {{"
        yield f"    label={quoted(captions.part_title(graph, parent, hook))};"
        style = "dashed" if hook is not None else "rounded"
        yield f'    style="{style}"; color="#888888"; fontname="sans-serif";'
        for node in nodes:
            yield f"    {_node(node, names[node.id])}"
        yield "  }"
    for edge in graph.edges:
        yield f"  {names[edge.source]} -> {names[edge.target]}{_EDGES[edge.kind]};"
    yield "}"


def _node(node: Node, name: str) -> str:
    # \n in a label is a line break of Graphviz, so only what is not one of ours is escaped
    label = "\\n".join(_escaped(line) for line in captions.lines(node))
    attributes = [
        f'label="{label}"',
        f"tooltip={quoted(node.id)}",
        f"shape={_SHAPES.get(node.action, 'box')}",
    ]
    if node.fan_out is not None:
        attributes.append("peripheries=2")
    if node.hook is not None:
        attributes.append('style="rounded,filled,dashed"')
    if (colours := COLOURS.get(node.state or "")) is not None:
        attributes.append(f'fillcolor="{colours[0]}", color="{colours[1]}"')
    return f"{name} [{', '.join(attributes)}];"


def quoted(text: str) -> str:
    """Return a text as a quoted string of DOT."""
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
