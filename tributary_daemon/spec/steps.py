"""The ``steps`` section: each step by itself, before they are tied together."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.fields import ACTIONS, ID_PATTERN, STEP, read_fields
from tributary_daemon.spec.kinds import refuse_expression, refuse_type, scalar_text
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence, to_json
from tributary_daemon.spec.references import lost_text

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems

SHELL_NAME: Final = "trib.shell.v1"

_ID = re.compile(ID_PATTERN)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERSIONED = re.compile(r".+\.v\d+", re.DOTALL)
_NO_LETTER = re.compile(r"[^A-Za-z0-9]+")
_OUR_VARIABLES: Final = "TRIB_"


@dataclass(slots=True)
class Draft:
    """A step as far as it is known by itself.

    Attributes:
        id: its key.
        key: node of that key.
        values: valid values of its keys.
        name: of the handler.
        action: ``task`` or ``run``.
        input: node of ``with``, or of ``env`` for a shell step; its expressions are still to be checked.
        with_: the payload template.
        needs: id -> node that names it.
    """

    id: str
    key: Scalar
    values: dict[str, Any]
    name: str = ""
    action: str = "task"
    input: Node | None = None
    with_: Any = field(default_factory=dict)
    needs: dict[str, Node] = field(default_factory=dict)


def read_steps(node: Node | None, root: Mapping, problems: Problems, *, any_payload: bool) -> list[Draft]:
    """Return the drafts of all steps in the order of the file.

    Args:
        node: the value of ``steps``.
        root: the document, named when ``steps`` is missing.
        problems: the collector.
        any_payload: ``with`` may be a bare text or number.
    """
    example = "steps: {hello: {run: echo hello}}"
    if node is None:
        problems.error(codes.MISSING_KEY, "the workflow has no steps", root, hint=example)
        return []
    if not isinstance(node, Mapping):
        hint = f"the id of a step is its key: {example}"
        refuse_type(node, "steps", "a mapping", problems, hint=hint)
        return []
    drafts: list[Draft] = []
    for step_id, (key, value) in node.pairs.items():
        if step_id.startswith("x-"):
            continue
        if not _ID.fullmatch(step_id):
            hint = "letters, digits, `_` and `-`, not beginning with a digit, at most 100"
            problems.error(codes.BAD_ID, f"{step_id!r} is not an id for a step", key, hint=hint)
        drafts.append(_read_step(step_id, key, value, problems, any_payload=any_payload))
    if not drafts:
        problems.error(codes.MISSING_KEY, "the workflow has no steps", node, hint=example)
    return drafts


def _read_step(step_id: str, key: Scalar, node: Node, problems: Problems, *, any_payload: bool) -> Draft:
    draft = Draft(step_id, key, {})
    if not isinstance(node, Mapping):
        hint = f"{step_id}: {{task: shop.import_orders.v1}} or {step_id}: {{run: echo hello}}"
        refuse_type(node, step_id, "a mapping", problems, hint=hint)
        return draft
    draft.values = read_fields(node, STEP, f"step {step_id!r}", problems)
    written: list[str] = [action for action in ACTIONS if action in node.pairs]
    if len(written) != 1:
        _refuse_actions(draft, node, written, problems)
    _read_needs(draft, node.get("needs"), problems)
    if "run" in written:
        _read_shell(draft, node, problems)
    elif "task" in written:
        # a `want` that is left has a fault, which is reported
        _read_task(draft, node, problems, any_payload=any_payload)
    return draft


def _refuse_actions(draft: Draft, node: Mapping, written: list[str], problems: Problems) -> None:
    if written:
        second = node.pairs[written[1]][0]
        actions = " and ".join(f"`{action}`" for action in written)
        message = f"step {draft.id!r} has {actions}, it must have exactly one action"
        problems.error(codes.ONE_ACTION, message, second, hint="make two steps of it")
        return
    hint = "task: a handler's name, or run: a shell script"
    problems.error(codes.ONE_ACTION, f"step {draft.id!r} has no action", draft.key, hint=hint)


def _read_needs(draft: Draft, node: Node | None, problems: Problems) -> None:
    if node is None:
        return
    for item in node.items if isinstance(node, Sequence) else [node]:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            hint = "needs: a or needs: [a, b]"
            refuse_type(item, "needs", "the id of a step or a list of ids", problems, hint=hint)
        elif refuse_expression(item, "needs", problems, later=False):
            continue
        elif item.value == draft.id:
            message = f"step {draft.id!r} needs itself"
            problems.error(codes.SELF_NEED, message, item, hint="remove it from needs")
        elif item.value in draft.needs:
            problems.warning(codes.DUPLICATE_NEED, f"{item.value!r} is written twice in needs", item)
        else:
            draft.needs[item.value] = item


def _read_task(draft: Draft, node: Mapping, problems: Problems, *, any_payload: bool) -> None:
    draft.name = draft.values.get("task", "")
    if draft.name:
        warn_unversioned("task", draft.name, node.pairs["task"][1], problems)
    if "env" in node.pairs and "run" not in node.pairs:
        hint = "a handler gets its input by with"
        problems.error(
            codes.KEY_OUT_OF_PLACE, "`env` belongs to run, not to task", node.pairs["env"][0], hint=hint
        )
    payload = node.get("with")
    if payload is None:
        return
    draft.input = payload
    draft.with_ = to_json(payload)
    if isinstance(payload, Scalar) and not any_payload and not _is_expression(payload.value):
        hint = "with: {email: …}, or one expression"
        refuse_type(payload, "with", "a mapping, a list or one expression", problems, hint=hint)


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.strip().startswith("${{")


def warn_unversioned(what: str, name: str, node: Node, problems: Problems) -> None:
    """Warn about a name that does not end in ``.vN``."""
    if not _VERSIONED.fullmatch(name):
        hint = f"{name}.v1: a version lets old runs go on when the meaning changes"
        problems.warning(codes.NO_VERSION, f"the {what} name {name!r} does not end in .vN", node, hint=hint)


def _read_shell(draft: Draft, node: Mapping, problems: Problems) -> None:
    draft.name, draft.action = SHELL_NAME, "run"
    script = node.get("run")
    environment = _read_environment(draft, node.get("env"), problems)
    draft.with_ = {"run": "", "env": environment}
    if script is not None:
        draft.with_["run"] = _read_script(script, problems)
    if "with" in node.pairs:
        key, value = node.pairs["with"]
        names = list(value.pairs) if isinstance(value, Mapping) else ["name"]
        rewrite = ", ".join(f"{_variable(name)}: …" for name in names[:4])
        hint = f'write env: {{{rewrite}}} and use "${_variable(names[0] if names else "name")}" in the script'
        problems.error(codes.KEY_OUT_OF_PLACE, "`with` belongs to task, not to run", key, hint=hint)


def _read_script(node: Node, problems: Problems) -> str:
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        hint = 'quote it: run: "true"' if isinstance(node, Scalar) and node.value is not None else None
        refuse_type(node, "run", "a shell script", problems, hint=hint)
        return ""
    script: str = node.value
    if not script.strip():
        problems.error(codes.BAD_VALUE, "`run` is empty", node, hint="run: echo hello")
    start = script.find("${{")
    end = script.find("}}", start)
    if 0 <= start < end:
        expression = script[start + 3 : end].strip()
        name = _variable(expression.rpartition(".")[2] or "value")
        problems.error(
            codes.EXPRESSION_IN_RUN,
            "`${{ }}` in `run` would splice text into the script",
            problems.locate(node, script[start : end + 2]),
            hint=f'write env: {{{name}: "${{{{ {expression} }}}}"}} and use "${name}" in the script',
        )
    elif start >= 0 and not lost_text(node, problems):
        at = problems.locate(node, "${{")
        problems.error(codes.EXPRESSION_IN_RUN, "`${{` in `run` is not closed, and not allowed", at)
    elif script.count('"') % 2 or script.count("'") % 2:
        lost_text(node, problems)
    return script


def _variable(word: str) -> str:
    name = _NO_LETTER.sub("_", word).strip("_").upper()
    return name if _VARIABLE.fullmatch(name) else "VALUE"


def _read_environment(draft: Draft, node: Node | None, problems: Problems) -> dict[str, str]:
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        refuse_type(node, "env", "a mapping of texts", problems, hint="env: {DAY: …}")
        return {}
    draft.input = node
    environment: dict[str, str] = {}
    for name, (key, value) in node.pairs.items():
        if not _VARIABLE.fullmatch(name):
            hint = "letters, digits and `_`, not beginning with a digit"
            problems.error(
                codes.BAD_NAME, f"{name!r} is not a name for an environment variable", key, hint=hint
            )
        elif name.startswith(_OUR_VARIABLES):
            hint = "Tributary sets these itself; use another name"
            problems.error(codes.BAD_NAME, f"the variable {name!r} is reserved", key, hint=hint)
        text = scalar_text(value)
        if text is None:
            refuse_type(value, f"env.{name}", "text", problems, hint='quote it, or "" for an empty one')
        else:
            environment[name] = text
    return environment
