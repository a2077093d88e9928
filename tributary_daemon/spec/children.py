"""Workflows that a step runs: where they come from, and whether ``with`` fits them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tributary_daemon.spec import codes
from tributary_daemon.spec.inputs import check_value
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tributary_daemon.spec.nodes import Place
    from tributary_daemon.spec.problems import Problems
    from tributary_daemon.spec.workflow import WorkflowSpec

_SUFFIXES = (".yaml", ".yml")


class Child(NamedTuple):
    """A workflow that a step runs: its name; itself and its hash when it came with the file."""

    name: str
    spec: WorkflowSpec | None = None
    hash: str = ""


class Family(Protocol):
    """Knows the workflows that come with a document."""

    def child(self, target: str, node: Node) -> Child | None:
        """Return what ``workflow: target`` means; None when it is refused, which is reported at ``node``."""
        ...


class GivenFamily:
    """Workflows built in Python that come with another one; every other name is a registered workflow's.

    Args:
        children: these workflows.
        problems: the collector.
    """

    def __init__(self, children: Iterable[WorkflowSpec], problems: Problems) -> None:
        self._children = {child.name: Child(child.name, child, child.revision_hash()) for child in children}
        self._problems = problems

    def child(self, target: str, node: Node) -> Child | None:
        """See `Family`."""
        if is_path(target):
            self._problems.error(
                codes.CHILD_UNREADABLE,
                f"the workflow file {target!r} cannot be looked for: this workflow is no file itself",
                node,
                hint="load it with load_file and give it as a child, or name a registered workflow",
            )
            return None
        return self._children.get(target) or Child(target)


def is_path(target: str) -> bool:
    """Return whether ``workflow: target`` names a file: names have neither slashes nor YAML suffixes."""
    return "/" in target or os.sep in target or target.lower().endswith(_SUFFIXES)


def check_call(child: WorkflowSpec, given: Node | None, at: Node | Place | str, problems: Problems) -> None:
    """Report a ``with`` that the workflow would not take, as far as it is written out.

    Args:
        child: the workflow that is run.
        given: the value of ``with``.
        at: where a missing input is reported when there is no ``with``.
        problems: the collector.
    """
    if isinstance(given, Scalar):
        # one expression: known only when it runs
        return
    pairs = given.pairs if isinstance(given, Mapping) else {}
    for name, (key, value) in pairs.items():
        spec = child.inputs.get(name)
        if spec is None:
            hint = suggest(name, list(child.inputs), what="inputs")
            message = f"the workflow {child.name} has no input {name!r}"
            problems.error(codes.CHILD_INPUT, message, key, hint=hint)
        elif not _is_open(value) and not (_is_null(value) and not spec.required):
            for fault in check_value(spec, to_json(value)):
                problems.error(codes.CHILD_INPUT, f"input {name!r} of {child.name} {fault}", value)
    missing = [name for name, spec in child.inputs.items() if spec.required and name not in pairs]
    if missing:
        names = ", ".join(f"{name!r} ({child.inputs[name].type})" for name in missing)
        message = f"the workflow {child.name} needs the {'inputs' if len(missing) > 1 else 'input'} {names}"
        problems.error(codes.CHILD_INPUT, message, given or at, hint=f"with: {{{missing[0]}: …}}")


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _is_open(node: Node) -> bool:
    """Return whether an expression stands anywhere in a value."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Scalar):
            if isinstance(part.value, str) and "${{" in part.value:
                return True
        elif isinstance(part, Mapping):
            waiting.extend(value for _, value in part.pairs.values())
        else:
            waiting.extend(part.items)
    return False
