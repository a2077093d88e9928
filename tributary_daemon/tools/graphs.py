"""The graph of a workflow or a run: nodes and edges, each of its kind, ready to be drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.workflow import HOOKS
from tributary_daemon.tools import items

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec

MOST_NODES: Final = 200_000
"""Steps of children are left out past this: workflows that run each other multiply."""
_DEEPEST: Final = 8
_SEPARATOR: Final = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One step.

    Attributes:
        id: of the step; behind the ids of the steps that lead to it for a step of a child: ``train/fit``.
        name: of the handler.
        action: ``task``, ``run``, ``workflow``, ``wait`` or ``approve``.
        level: 1 for steps without needs, else one more than the deepest need.
        hook: the hook it belongs to.
        parent: the node whose child workflow it belongs to.
        condition: its ``if``.
        fan_out: ``for_each`` or ``matrix``.
        items: how many items it fans out to, where that is known.
        child: name of the workflow that it runs.
        undo: the handler that compensates it.
        tolerated: its failure does not fail the run.
        state: of a run.
    """

    id: str
    name: str
    action: str = "task"
    level: int = 1
    hook: str | None = None
    parent: str | None = None
    condition: str | None = None
    fan_out: str | None = None
    items: int | None = None
    child: str | None = None
    undo: str | None = None
    tolerated: bool = False
    state: str | None = None

    @property
    def label(self) -> str:
        """The id of the step in its own file."""
        return self.id.rpartition(_SEPARATOR)[2]

    def to_json(self) -> dict[str, Any]:
        """Return what is known of it."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in ("id", "name", "action", "level")}
        for name in ("hook", "parent", "condition", "fan_out", "items", "child", "undo", "state"):
            if (value := getattr(self, name)) is not None:
                plain[name] = value
        return {**plain, "tolerated": True} if self.tolerated else plain


@dataclass(frozen=True, slots=True)
class Edge:
    """``target`` needs ``source``.

    Attributes:
        source: id of a node.
        target: id of a node.
        kind: ``needs``, ``implied`` (by a reference only) or ``child`` (from a step to the first steps of
            the workflow that it runs).
    """

    source: str
    target: str
    kind: str = "needs"

    def to_json(self) -> dict[str, str]:
        """Return it as ``{from, to, kind}``."""
        return {"from": self.source, "to": self.target, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class Graph:
    """What is drawn.

    Attributes:
        name: of the workflow.
        nodes: by id, needs first.
        edges: in the order of their targets.
        state: of the run; None for a workflow.
    """

    name: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    state: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return ``{name, nodes, edges}``, of a run with its ``state``."""
        head = {"name": self.name} if self.state is None else {"name": self.name, "state": self.state}
        return {
            **head,
            "nodes": [node.to_json() for node in self.nodes.values()],
            "edges": [edge.to_json() for edge in self.edges],
        }

    def parts(self) -> dict[tuple[str | None, str | None], list[Node]]:
        """Return the nodes by (parent, hook): what is drawn together, the workflow's own steps first."""
        found: dict[tuple[str | None, str | None], list[Node]] = {}
        for node in self.nodes.values():
            found.setdefault((node.parent, node.hook), []).append(node)
        return found


def graph_of(
    spec: WorkflowSpec,
    *,
    inputs: Mapping[str, Any] | None = None,
    steps: Mapping[str, Mapping[str, Any]] | None = None,
    state: str | None = None,
) -> Graph:
    """Return the graph of a workflow.

    Args:
        spec: the workflow.
        inputs: known inputs, for the number of items.
        steps: ``steps`` of the status document, when it is the graph of a run.
        state: of that run.
    """
    nodes: dict[str, Node] = {}
    edges: list[Edge] = []
    _add(spec, nodes, edges, inputs=inputs, states=steps or {}, parent=None, above=(), known=spec.children)
    return Graph(spec.name, nodes, tuple(edges), state)


def graph_of_intent(document: Mapping[str, Any]) -> Graph:
    """Return the graph of an intent: one node."""
    node = Node(id=document["name"], name=document["name"], state=document["state"])
    return Graph(document["name"], {node.id: node}, (), document["state"])


def levels(steps: Iterable[StepSpec]) -> dict[str, int]:
    """Return the level of each step by id: 1 without needs, else one more than the deepest need."""
    found: dict[str, int] = {}
    for step in steps:
        found[step.id] = 1 + max((found.get(need, 0) for need in step.needs), default=0)
    return found


def _add(
    spec: WorkflowSpec,
    nodes: dict[str, Node],
    edges: list[Edge],
    *,
    inputs: Mapping[str, Any] | None,
    states: Mapping[str, Mapping[str, Any]],
    parent: str | None,
    above: tuple[str, ...],
    known: Mapping[str, WorkflowSpec],
) -> None:
    prefix = f"{parent}{_SEPARATOR}" if parent is not None else ""
    depth = levels(spec.steps)
    for step in sorted(spec.steps, key=lambda step: (_hook_place(step), step.ordinal)):
        state = states.get(step.id, {}).get("state")
        node = _node(step, prefix, parent, level=depth[step.id], inputs=inputs, state=state)
        nodes[node.id] = node
        edges.extend(
            Edge(prefix + need, node.id, "implied" if need in step.implied else "needs")
            for need in step.needs
        )
    for step in spec.steps:
        child = known.get(step.workflow["name"]) if step.workflow else None
        if child is None or child.name in above or len(above) >= _DEEPEST or len(nodes) >= MOST_NODES:
            continue
        own = prefix + step.id
        further = (*above, spec.name)
        if child.name in further:
            continue
        edges.extend(
            Edge(own, f"{own}{_SEPARATOR}{first.id}", "child")
            for first in child.steps
            if not first.needs and first.hook is None
        )
        _add(
            child,
            nodes,
            edges,
            inputs=None,
            states={},
            parent=own,
            above=further,
            known={**known, **child.children},
        )


def _hook_place(step: StepSpec) -> int:
    return HOOKS.index(step.hook) + 1 if step.hook in HOOKS else 0


def _node(
    step: StepSpec,
    prefix: str,
    parent: str | None,
    *,
    level: int,
    inputs: Mapping[str, Any] | None,
    state: str | None,
) -> Node:
    return Node(
        id=prefix + step.id,
        name=step.name,
        action=step.action,
        level=level,
        hook=step.hook,
        parent=parent,
        condition=step.condition,
        fan_out="matrix" if step.matrix is not None else "for_each" if step.fans_out else None,
        items=items.count(step, inputs) if step.fans_out else None,
        child=step.workflow["name"] if step.workflow else None,
        undo=step.undo["name"] if step.undo else None,
        tolerated=step.continue_on_error,
        state=state,
    )
