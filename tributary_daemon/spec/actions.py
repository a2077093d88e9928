"""The actions of a step: what each of them reads, and which other keys go with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tributary_daemon.model.control import APPROVE_NAME, WAIT_NAME, WORKFLOW_NAME
from tributary_daemon.spec import codes
from tributary_daemon.spec.children import check_call
from tributary_daemon.spec.declarations import read_inputs
from tributary_daemon.spec.kinds import holds_expression, refuse_type, sole_expression
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, to_json
from tributary_daemon.spec.shell import SHELL_NAME, read_shell, refuse_spliced

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.spec.children import Family
    from tributary_daemon.spec.drafts import Draft
    from tributary_daemon.spec.problems import Problems

_VERSIONED = re.compile(r".+\.v\d+", re.DOTALL)
_FANNED: Final = ("for_each", "matrix")
# key -> the actions it goes with, and how its absence is made good
_BELONGS: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "env": (("run",), "a handler gets its input by with"),
    "dir": (("run",), "only a script runs in a directory"),
    "shell": (("run",), "only a script has a shell"),
    "given": (("want",), "a handler gets its input by with"),
    "cache": (("task", "run", "workflow", "want"), "there is no result to be used again"),
    "timeout": (("task", "run", "workflow", "want"), "how long it waits at most stands in wait or approve"),
    "concurrency": (("task", "run", "workflow", "want"), "what waits holds no slot; a group of the run does"),
}
_OF_FANS: Final = ("key", "max_parallel", "fail_fast", "tolerate", "aggregate")
UNUSUAL: Final = frozenset((*_BELONGS, *_FANNED, *_OF_FANS, "undo"))
"""Keys that do not go with every step."""


def check_company(draft: Draft, node: Mapping, action: str, problems: Problems) -> None:
    """Report keys that do not go with the action, and settle how the step fans out.

    Args:
        draft: the step.
        node: its mapping, which has at least one of ``UNUSUAL``.
        action: its only action.
        problems: the collector.
    """
    for name, (actions, reason) in _BELONGS.items():
        if name in node.pairs and action not in actions:
            owners = " or ".join(", ".join(actions).rsplit(", ", 1))
            message = f"`{name}` belongs to {owners}, not to {action}"
            problems.error(codes.KEY_OUT_OF_PLACE, message, node.pairs[name][0], hint=reason)
    fans = [name for name in _FANNED if name in node.pairs]
    if len(fans) > 1:
        at = node.pairs[max(fans, key=list(node.pairs).index)][0]
        message = f"step {draft.id!r} has `for_each` and `matrix`, it can fan out by one of them only"
        hint = "make the list an axis of the matrix: matrix: {item: ${{ … }}, …}"
        problems.error(codes.TWO_FAN_OUTS, message, at, hint=hint)
    # those of a `want` are told by itself
    for name in () if fans or action == "want" else _OF_FANS:
        if name in node.pairs:
            hint = "without one of these it has no items"
            if name in ("max_parallel", "fail_fast"):
                hint = f"for the whole run write `{name}` beside `steps`"
            message = f"`{name}` belongs to a step with for_each or matrix"
            problems.error(codes.KEY_OUT_OF_PLACE, message, node.pairs[name][0], hint=hint)
    if "undo" in node.pairs and draft.hook is not None:
        message = f"`undo` belongs to steps of the workflow, not to those of {draft.hook}"
        hint = "what a hook does is never undone"
        problems.error(codes.KEY_OUT_OF_PLACE, message, node.pairs["undo"][0], hint=hint)


def read_task(draft: Draft, node: Mapping, problems: Problems, *, any_payload: bool) -> None:
    """Read a step whose action is ``task``."""
    draft.name = draft.values.get("task", "")
    if draft.name:
        warn_unversioned("task", draft.name, node.pairs["task"][1], problems)
    payload = node.get("with")
    if payload is None:
        return
    draft.with_ = to_json(payload)
    if draft.name == SHELL_NAME:
        refuse_spliced(payload, problems)
    if not isinstance(payload, Scalar) or any_payload:
        return
    draft.with_ = _sole_expression(payload)
    if draft.with_ is None:
        hint = "with: {email: …}, or one expression"
        refuse_type(payload, "with", "a mapping, a list or one expression", problems, hint=hint)


def _sole_expression(node: Node) -> str | None:
    return sole_expression(str(node.value)) if isinstance(node, Scalar) and holds_expression(node) else None


def warn_unversioned(what: str, name: str, node: Node, problems: Problems) -> None:
    """Warn about a name that does not end in ``.vN``."""
    if not _VERSIONED.fullmatch(name):
        hint = f"{name}.v1: a version lets old runs go on when the meaning changes"
        problems.warning(codes.NO_VERSION, f"the {what} name {name!r} does not end in .vN", node, hint=hint)


def _read_workflow(draft: Draft, node: Mapping, family: Family, problems: Problems) -> None:
    draft.name, draft.action = WORKFLOW_NAME, "workflow"
    given = node.get("with")
    if given is not None:
        draft.with_ = to_json(given) if isinstance(given, Mapping) else _sole_expression(given)
        if draft.with_ is None:
            hint = "with: {email: …}: the inputs of the workflow by name"
            refuse_type(given, "with", "a mapping or one expression", problems, hint=hint)
            given = None
    target = draft.values.get("workflow")
    if target is None:
        return
    at = node.pairs["workflow"][1]
    if not target.strip():
        hint = "workflow: ./train.yaml, or the name of a registered one"
        problems.error(codes.BAD_VALUE, "`workflow` is empty", at, hint=hint)
        return
    child = family.child(target, at)
    if child is None:
        return
    draft.runs = {"name": child.name}
    if child.spec is None:
        warn_unversioned("workflow", child.name, at, problems)
        return
    draft.child = child.spec
    draft.runs["hash"] = child.hash
    if given is not None or node.get("with") is None:
        check_call(child.spec, given, at, problems)


def _read_wait(draft: Draft, node: Mapping, _: Family, problems: Problems) -> None:
    draft.name, draft.action = WAIT_NAME, "wait"
    _refuse_with(node, "wait", "what it waits for stands in wait itself", problems)


def _read_approve(draft: Draft, node: Mapping, _: Family, problems: Problems) -> None:
    draft.name, draft.action = APPROVE_NAME, "approve"
    _refuse_with(node, "approve", "what people are shown stands in approve.prompt", problems)
    value = node.get("approve")
    form = value.get("form") if isinstance(value, Mapping) else None
    if form is not None and "approve" in draft.values:
        declared = read_inputs(form, problems, key="form", what="field")
        draft.values["approve"]["form"] = {name: spec.to_json() for name, spec in declared.items()}


def _refuse_with(node: Mapping, action: str, hint: str, problems: Problems) -> None:
    if "with" in node.pairs:
        message = f"`with` belongs to task or workflow, not to {action}"
        problems.error(codes.KEY_OUT_OF_PLACE, message, node.pairs["with"][0], hint=hint)


def _read_run(draft: Draft, node: Mapping, _: Family, problems: Problems) -> None:
    read_shell(draft, node, problems)


READERS: Final[dict[str, Callable[[Draft, Mapping, Family, Problems], None]]] = {
    "run": _read_run,
    "workflow": _read_workflow,
    "wait": _read_wait,
    "approve": _read_approve,
}
"""Every action but ``task``, which has a path of its own since most steps have it."""
