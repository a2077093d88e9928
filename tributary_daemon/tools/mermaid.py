"""A graph for Mermaid, as forges and editors draw it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tributary_daemon.tools import captions
from tributary_daemon.tools.colours import COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.tools.graphs import Graph, Node

MOST_EDGES: Final = 500
"""More than these Mermaid refuses to draw unless whoever embeds it allows more."""
MOST_CHARACTERS: Final = 50_000
"""The same for the whole text."""

_SHAPES: Final = {
    "task": ("[", "]"),
    "run": ("[/", "/]"),
    "workflow": ("[[", "]]"),
    "wait": ("([", "])"),
    "approve": ("{{", "}}"),
}
_EDGES: Final = {"needs": "-->", "implied": "-.->", "child": "--o"}
# what ends a quoted label, begins markup or an entity, or is read as HTML
_SPECIAL = re.compile(r"""["#&<>`\\\n]""")


def draw(graph: Graph) -> str:
    """Return the graph as a flowchart of Mermaid.

    A fan-out has a thick border, an implied edge is dotted, hooks and children stand in boxes of their own.
    """
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield "flowchart LR"
    names = {node_id: f"n{number}" for number, node_id in enumerate(graph.nodes, 1)}
    classes: dict[str, list[str]] = {}
    for number, ((parent, hook), nodes) in enumerate(graph.parts().items(), 1):
        apart = parent is not None or hook is not None
        indent = "    " if apart else "  "
        if apart:
            yield f'  subgraph part{number}["{escaped(captions.part_title(graph, parent, hook))}"]'
        for node in nodes:
            name = names[node.id]
            yield f"{indent}{_node(node, name)}"
            for word in _classes(node):
                classes.setdefault(word, []).append(name)
        if apart:
            yield "  end"
            if hook is not None:
                yield f"  style part{number} stroke-dasharray:5 5"
    for edge in graph.edges:
        yield f"  {names[edge.source]} {_EDGES[edge.kind]} {names[edge.target]}"
    yield from _styles(classes)


def _node(node: Node, name: str) -> str:
    opening, closing = _SHAPES.get(node.action, _SHAPES["task"])
    label = "<br/>".join(escaped(line) for line in captions.lines(node))
    return f'{name}{opening}"{label}"{closing}'


def _classes(node: Node) -> Iterator[str]:
    if node.state in COLOURS:
        yield str(node.state)
    if node.fan_out is not None:
        yield "fan_out"
    if node.hook is not None:
        yield "hook"


def _styles(classes: dict[str, list[str]]) -> Iterator[str]:
    for word, names in classes.items():
        if word in COLOURS:
            fill, stroke = COLOURS[word]
            yield f"  classDef {word} fill:{fill},stroke:{stroke},color:#222222"
        else:
            yield f"  classDef {word} {'stroke-width:4px' if word == 'fan_out' else 'stroke-dasharray:5 5'}"
        yield f"  class {','.join(names)} {word}"


def escaped(text: str) -> str:
    """Return a text for a quoted label; what means something to Mermaid or HTML becomes its code."""
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};" if found[0] != "\n" else " ", text)
