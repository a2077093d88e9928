"""A step as far as it is known by itself, before the steps are tied together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tributary_daemon.spec.nodes import Node, Scalar
    from tributary_daemon.spec.scopes import Place
    from tributary_daemon.spec.workflow import WorkflowSpec


@dataclass(slots=True)
class Draft:
    """A step as far as it is known by itself.

    Attributes:
        id: its key.
        key: node of that key.
        values: valid values of its keys.
        hook: the hook it belongs to; None for a step of the workflow itself.
        name: of the handler.
        action: ``task``, ``run``, ``workflow``, ``wait`` or ``approve``.
        with_: the payload template.
        needs: id -> node that names it.
        places: values that may hold expressions, each with its key.
        fan: ``for_each`` or ``matrix``; None when it runs once.
        axes: names that ``matrix.NAME`` may have.
        runs: for ``workflow``: the name, and the hash of a workflow that came with this one.
        child: the workflow that came with this one.
    """

    id: str
    key: Scalar
    values: dict[str, Any]
    hook: str | None = None
    name: str = ""
    action: str = "task"
    with_: Any = field(default_factory=dict)
    needs: dict[str, Node] = field(default_factory=dict)
    places: list[tuple[Place, Node]] = field(default_factory=list)
    fan: str | None = None
    axes: frozenset[str] = frozenset()
    runs: dict[str, str] | None = None
    child: WorkflowSpec | None = None
