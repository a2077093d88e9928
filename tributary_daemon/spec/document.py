"""A whole document: nodes -> WorkflowSpec. The YAML loader and the Python builder share it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.declarations import read_inputs
from tributary_daemon.spec.fields import OPTIONS, WORKFLOW, read_fields
from tributary_daemon.spec.graph import cycles, topological
from tributary_daemon.spec.kinds import refuse_type
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, to_json
from tributary_daemon.spec.references import References
from tributary_daemon.spec.signature_check import check_signatures
from tributary_daemon.spec.steps import Draft, read_steps, warn_unversioned
from tributary_daemon.spec.wants import expand_wants
from tributary_daemon.spec.workflow import StepSpec, WorkflowSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from tributary_daemon.spec.problems import Problems
    from tributary_daemon.spec.signatures import Signatures

_LONGEST_CYCLE: Final = 12


def check_document(
    root: Node,
    problems: Problems,
    *,
    default_name: str,
    source: str,
    any_payload: bool = False,
    signatures: Signatures | None = None,
    elsewhere: Collection[str] = (),
) -> WorkflowSpec | None:
    """Check a document and build the workflow.

    Args:
        root: its root node.
        problems: receives every fault and warning.
        default_name: the workflow's name when the document gives none.
        source: stored as the exact text.
        any_payload: ``with`` may be a bare text or number.
        signatures: of handlers, to infer graphs from and to check types against; None for neither.
        elsewhere: ids of steps whose payload is kept outside of the document.

    Returns:
        The workflow without its warnings; None when there are errors.
    """
    if isinstance(root, Scalar) and root.value is None:
        report_empty(root, problems)
        return None
    if not isinstance(root, Mapping):
        hint = "steps: {hello: {run: echo hello}}"
        refuse_type(root, "a workflow", "a mapping with steps", problems, hint=hint)
        return None
    values = read_fields(root, WORKFLOW, "the workflow", problems)
    if "name" in values:
        warn_unversioned("workflow", values["name"], root.pairs["name"][1], problems)
    inputs = read_inputs(root.get("inputs"), problems)
    inferred: list[str] = []
    written = expand_wants(root.get("steps"), signatures, problems, inferred)
    drafts = read_steps(written, root, problems, any_payload=any_payload)
    references = References(inputs, [draft.id for draft in drafts], problems)
    result = root.get("result")
    if result is not None:
        references.check(result, None)
    steps = _tie(drafts, references, problems)
    spec = WorkflowSpec(
        name=values.get("name", default_name),
        steps=tuple(steps),
        inputs=inputs,
        defaults=values.get("defaults", {}),
        result=None if result is None else to_json(result),
        source=source,
        description=values.get("description"),
        labels=values.get("labels", {}),
        inferred=tuple(inferred),
    )
    if signatures is not None and isinstance(written, Mapping):
        nodes = {step_id: node for step_id, (_, node) in written.pairs.items()}
        check_signatures(spec, nodes, result, signatures, problems, elsewhere=elsewhere)
    return None if problems.failed else spec


def report_empty(at: Any, problems: Problems) -> None:
    """Report a document without content."""
    problems.error(codes.EMPTY, "the document is empty", at, hint="steps: {hello: {run: echo hello}}")


def _tie(drafts: list[Draft], references: References, problems: Problems) -> list[StepSpec]:
    """Resolve needs and references, order the steps; what is wrong is reported."""
    indexes = {draft.id: index for index, draft in enumerate(drafts)}
    needs: list[list[str]] = []
    dynamic: list[bool] = []
    for draft in drafts:
        implied, is_dynamic = references.check(draft.input, draft.id) if draft.input else ([], False)
        written = []
        for need, node in draft.needs.items():
            if need in indexes:
                written.append(need)
            else:
                hint = functools.partial(suggest, need, indexes)
                problems.error(codes.UNKNOWN_STEP, f"unknown step {need!r} in needs", node, hint=hint)
        needs.append(written + [need for need in implied if need not in draft.needs])
        dynamic.append(is_dynamic)
    edges = [[indexes[need] for need in each] for each in needs]
    order = topological(edges)
    for cycle in cycles(edges, order):
        _report_cycle([drafts[index] for index in cycle], problems)
    return [
        _step(drafts[index], ordinal, needs[index], dynamic=dynamic[index])
        for ordinal, index in enumerate(order, 1)
    ]


def _report_cycle(cycle: list[Draft], problems: Problems) -> None:
    ids = [draft.id for draft in cycle]
    if len(ids) > _LONGEST_CYCLE:
        half = _LONGEST_CYCLE // 2
        ids = [*ids[:half], f"({len(ids) - _LONGEST_CYCLE:,} more)", *ids[-half:]]
    first, second = cycle[0], cycle[1]
    problems.error(
        codes.CYCLE,
        f"steps need each other in a cycle: {' -> '.join([*ids, ids[0]])}",
        first.needs.get(second.id, first.key),
        hint="`a -> b` reads: a needs b; remove one of these needs or references",
    )


def _step(draft: Draft, ordinal: int, needs: list[str], *, dynamic: bool) -> StepSpec:
    values = draft.values
    return StepSpec(
        id=draft.id,
        ordinal=ordinal,
        name=draft.name,
        action=draft.action,
        needs=tuple(needs),
        implied=frozenset(need for need in needs if need not in draft.needs),
        with_=draft.with_,
        dynamic=dynamic,
        options={name: values[name] for name in OPTIONS if name in values},
        run_after=values.get("run_after"),
        continue_on_error=values.get("continue_on_error", False),
        description=values.get("description"),
        labels=values.get("labels", {}),
    )
