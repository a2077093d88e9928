"""A whole document: nodes -> WorkflowSpec. The YAML loader and the Python builder share it."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec import codes, scopes
from tributary_daemon.spec.actions import warn_unversioned
from tributary_daemon.spec.declarations import read_inputs
from tributary_daemon.spec.fields import OPTIONS, WORKFLOW
from tributary_daemon.spec.graph import cycles, topological
from tributary_daemon.spec.mappings import read_fields
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence, kind, to_json
from tributary_daemon.spec.references import References
from tributary_daemon.spec.schedule import check_scheduled_inputs
from tributary_daemon.spec.shell import read_environment
from tributary_daemon.spec.signature_check import check_signatures
from tributary_daemon.spec.steps import StepReader
from tributary_daemon.spec.wants import expand_wants
from tributary_daemon.spec.workflow import HOOKS, StepSpec, WorkflowSpec

if TYPE_CHECKING:
    from collections.abc import Collection

    from tributary_daemon.spec.children import Family
    from tributary_daemon.spec.drafts import Draft
    from tributary_daemon.spec.problems import Problems
    from tributary_daemon.spec.signatures import Signatures

_LONGEST_CYCLE: Final = 12
_SECTIONS: Final = ("steps", *HOOKS)
# what `with_` of a step is made of
_INPUTS: Final = ("with", "env", "dir")
_PLAIN: Final = (False, False)
_CARRIED: Final = frozenset(
    (
        "for_each",
        "matrix",
        "key",
        "max_parallel",
        "fail_fast",
        "tolerate",
        "aggregate",
        "wait",
        "approve",
        "cache",
        "concurrency",
        "undo",
    )
)


def check_document(
    root: Node,
    problems: Problems,
    *,
    default_name: str,
    source: str,
    family: Family,
    any_payload: bool = False,
    is_entry: bool = True,
    signatures: Signatures | None = None,
    elsewhere: Collection[str] = (),
) -> WorkflowSpec | None:
    """Check a document and build the workflow.

    Args:
        root: its root node.
        problems: receives every fault and warning.
        default_name: the workflow's name when the document gives none.
        source: stored as the exact text.
        family: knows the workflows that come with it.
        any_payload: ``with`` may be a bare text or number.
        is_entry: False for a later document, whose name is known in its file only.
        signatures: of handlers, to infer graphs from and to check types against; None for neither.
        elsewhere: ids of steps whose payload is kept outside of the document.

    Returns:
        The workflow without its warnings; None when there are errors.
    """
    if isinstance(root, Scalar) and root.value is None:
        report_empty(root, problems)
        return None
    if not isinstance(root, Mapping):
        message = f"a workflow must be a mapping with steps, not {kind(root)}"
        problems.error(codes.WRONG_TYPE, message, root, hint="steps: {hello: {run: echo hello}}")
        return None
    before = problems.errors
    root, inferred = expand_wants(root, _SECTIONS, signatures, problems)
    values = read_fields(root, WORKFLOW, "the workflow", problems)
    if "name" in values and is_entry:
        warn_unversioned("workflow", values["name"], root.pairs["name"][1], problems)
    inputs = read_inputs(root.get("inputs"), problems)
    variables = read_environment(root.get("env"), problems)
    if "schedule" in values:
        check_scheduled_inputs(root.get("schedule"), values["schedule"], inputs, problems)
    drafts = StepReader(family, problems, any_payload=any_payload).read(root.get("steps"), root)
    secrets = values.get("secrets", ())
    references = References(inputs, drafts, problems, secrets=secrets, variables=variables)
    result = _check_head(root, values, references)
    steps = _tie(drafts, references, problems)
    callers = [draft for draft in drafts if draft.action == "workflow"]
    children = _children(callers, problems)
    incomplete = any(draft.runs is None for draft in callers)
    spec = WorkflowSpec(
        name=values.get("name", default_name),
        steps=tuple(steps),
        inputs=inputs,
        defaults=values.get("defaults", {}),
        result=None if result is None else to_json(result),
        source=source,
        description=values.get("description"),
        labels=values.get("labels", {}),
        secrets=tuple(secrets),
        env=variables,
        timeout=values.get("timeout"),
        max_parallel=values.get("max_parallel"),
        fail_fast=values.get("fail_fast", False),
        concurrency=values.get("concurrency"),
        schedule=tuple(values.get("schedule", ())),
        preconditions=tuple(values.get("preconditions", ())),
        keep=values.get("keep"),
        children=children,
        inferred=inferred,
    )
    if signatures is not None:
        check_signatures(spec, _nodes(root), result, signatures, problems, elsewhere=elsewhere)
    return None if incomplete or problems.errors > before else spec


def _nodes(root: Mapping) -> dict[str, Node]:
    """Return the mapping of every step, by id."""
    sections = [root.get(name) for name in _SECTIONS]
    return {
        step_id: node
        for section in sections
        if isinstance(section, Mapping)
        for step_id, (_, node) in section.pairs.items()
    }


def _check_head(root: Mapping, values: dict[str, Any], references: References) -> Node | None:
    """Check the expressions outside of steps; return the node of ``result``."""
    found: dict[str, None] = {}
    for key, place in (("env", scopes.WORKFLOW_ENV), ("concurrency", scopes.WORKFLOW_CONCURRENCY)):
        if (node := root.get(key)) is not None:
            references.check(node, place, None, found)
    preconditions = root.get("preconditions")
    if preconditions is not None and "preconditions" in values:
        items = preconditions.items if isinstance(preconditions, Sequence) else [preconditions]
        for item, precondition in zip(items, values["preconditions"], strict=True):
            if precondition is None:
                continue
            node = item.get("if") if isinstance(item, Mapping) else item
            if node is not None:
                references.check_condition(node, precondition["if"], scopes.PRECONDITIONS, None, found)
            if isinstance(item, Mapping) and (message := item.get("message")) is not None:
                references.check(message, scopes.PRECONDITIONS, None, found)
    if (result := root.get("result")) is not None:
        references.check(result, scopes.RESULT, None, found)
    return result


def _children(drafts: list[Draft], problems: Problems) -> dict[str, WorkflowSpec]:
    children: dict[str, WorkflowSpec] = {}
    for draft in drafts:
        child, runs = draft.child, draft.runs
        if child is None or runs is None:
            continue
        known = children.setdefault(child.name, child)
        if known is not child and known.revision_hash() != runs["hash"]:
            message = f"two different workflows that steps run are both named {child.name!r}"
            hint = "give one of them another `name`; without one a file is named by its stem"
            problems.error(codes.CHILD_NAME, message, draft.key, hint=hint)
    return children


def report_empty(at: Any, problems: Problems) -> None:
    """Report a document without content."""
    problems.error(codes.EMPTY, "the document is empty", at, hint="steps: {hello: {run: echo hello}}")


def _tie(drafts: list[Draft], references: References, problems: Problems) -> list[StepSpec]:
    """Resolve needs and references, order the steps; what is wrong is reported."""
    indexes = {draft.id: index for index, draft in enumerate(drafts)}
    hooked = bool(drafts) and drafts[-1].hook is not None
    needs: list[list[str]] = []
    traits: list[tuple[bool, bool]] = []
    for draft in drafts:
        found: dict[str, None] = {}
        traits.append(_read_places(draft, references, found) if draft.places else _PLAIN)
        written = []
        for need, node in draft.needs.items():
            if need not in indexes:
                hint = functools.partial(suggest, need, indexes)
                problems.error(codes.UNKNOWN_STEP, f"unknown step {need!r} in needs", node, hint=hint)
            elif hooked and drafts[indexes[need]].hook != draft.hook:
                _report_border(draft, drafts[indexes[need]], node, problems)
            else:
                written.append(need)
        needs.append(written + [need for need in found if need not in draft.needs])
    edges = [[indexes[need] for need in each] for each in needs]
    # hooks come last: they follow in the list, and nothing needs them but themselves
    order = topological(edges)
    for cycle in cycles(edges, order):
        _report_cycle([drafts[index] for index in cycle], problems)
    return [
        _step(drafts[index], ordinal, needs[index], *traits[index]) for ordinal, index in enumerate(order, 1)
    ]


def _read_places(draft: Draft, references: References, found: dict[str, None]) -> tuple[bool, bool]:
    """Check the expressions of a step; return whether its input has one, and whether its ``if`` decides."""
    dynamic = decides = False
    for place, node in draft.places:
        if not place.status:
            if references.check(node, place, draft, found) and place.key in _INPUTS:
                dynamic = True
        elif "if" in draft.values:
            decides = references.check_condition(node, draft.values["if"], place, draft, found)
    return dynamic, decides


def _report_border(draft: Draft, need: Draft, node: Node, problems: Problems) -> None:
    if draft.hook is None:
        message = f"step {draft.id!r} cannot need {need.id!r}, which belongs to {need.hook}"
        hint = "hooks come after all steps; move one of the two"
    elif need.hook is None:
        message = (
            f"step {draft.id!r} of {draft.hook} cannot need {need.id!r}, which is no step of {draft.hook}"
        )
        hint = "all steps have ended when a hook begins: leave the need out"
    else:
        message = f"step {draft.id!r} of {draft.hook} cannot need {need.id!r} of {need.hook}"
        hint = "needs of a hook lead to steps of the same hook"
    problems.error(codes.HOOK_BORDER, message, node, hint=hint)


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


def _step(draft: Draft, ordinal: int, needs: list[str], dynamic: bool, decides: bool) -> StepSpec:  # noqa: FBT001
    values = draft.values
    step = StepSpec(
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
        condition=values.get("if"),
        decides=decides,
        workflow=draft.runs,
        hook=draft.hook,
    )
    if _CARRIED.isdisjoint(values):
        return step
    return replace(step, **{name: values[name] for name in _CARRIED if name in values})
