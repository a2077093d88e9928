"""A workflow that was loaded before, against signatures that were not known then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tributary_daemon.errors import InvalidWorkflow
from tributary_daemon.spec.builder import node_of
from tributary_daemon.spec.composer import compose
from tributary_daemon.spec.nodes import Mapping
from tributary_daemon.spec.problems import Problems
from tributary_daemon.spec.signature_check import check_signatures
from tributary_daemon.spec.workflow import HOOKS

if TYPE_CHECKING:
    from collections.abc import Collection

    from tributary_daemon.errors import Problem
    from tributary_daemon.spec.nodes import Node
    from tributary_daemon.spec.signatures import Signatures
    from tributary_daemon.spec.workflow import WorkflowSpec


def recheck(
    spec: WorkflowSpec, signatures: Signatures, *, elsewhere: Collection[str] = ()
) -> tuple[Problem, ...]:
    """Return what does not go with the signatures, by position in the source.

    Args:
        spec: with its source. Inferred graphs were made from signatures, so they are left alone.
        signatures: of handlers.
        elsewhere: ids of steps whose payload does not stand in the source.
    """
    if not spec.source or spec.inferred:
        return ()
    text = spec.source
    try:
        # built in Python: places are paths
        value = json.loads(text)
    except ValueError:
        problems = Problems(spec.name, text)
        documents = compose(text, problems)
        root: Node | None = documents[0].root if documents else None
    else:
        problems = Problems("", "")
        root = node_of(value, problems)
    if not isinstance(root, Mapping):
        return ()
    sections = [root.get(name) for name in ("steps", *HOOKS)]
    nodes = {
        step_id: node
        for section in sections
        if isinstance(section, Mapping)
        for step_id, (_, node) in section.pairs.items()
    }
    check_signatures(spec, nodes, root.get("result"), signatures, problems, elsewhere=elsewhere)
    try:
        return problems.finish(strict=False)
    except InvalidWorkflow as error:
        return error.problems
