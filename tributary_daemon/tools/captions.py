"""The words on a node, the same in every drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tributary_daemon.tools.graphs import Graph, Node

TIMES: Final = "\N{MULTIPLICATION SIGN}"
_LONGEST: Final = 60
_ACTIONS: Final = {"run": "shell", "wait": "wait", "approve": "approval"}


def fan_out(node: Node) -> str:
    """Return the number of items behind a times sign, ``n`` where only the run knows; empty for none."""
    if node.fan_out is None:
        return ""
    return f"{TIMES}{'n' if node.items is None else node.items}"


def lines(node: Node) -> list[str]:
    """Return the lines of a label: id, what it does, condition, state."""
    done = f"workflow {node.child}" if node.child else _ACTIONS.get(node.action, node.name)
    found = [f"{node.label} {fan_out(node)}".rstrip(), shortened(done)]
    if node.condition is not None:
        found.append(shortened(f"if {node.condition}"))
    if node.undo is not None:
        found.append(shortened(f"undo {node.undo}"))
    if node.state is not None:
        found.append(node.state)
    return list(dict.fromkeys(found))


def part_title(graph: Graph, parent: str | None, hook: str | None) -> str:
    """Return what stands above the steps of a hook or a child."""
    if parent is None:
        return str(hook)
    title = f"{parent} runs {graph.nodes[parent].child}"
    return title if hook is None else f"{title}, {hook}"


def shortened(text: str) -> str:
    """Return a text on one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
