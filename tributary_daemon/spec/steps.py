"""The ``steps`` section and the hooks: each step by itself, before they are tied together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tributary_daemon.spec import codes, scopes
from tributary_daemon.spec.actions import READERS, UNUSUAL, check_company, read_task
from tributary_daemon.spec.drafts import Draft
from tributary_daemon.spec.fanout import matrix_names
from tributary_daemon.spec.fields import ACTIONS, ID_PATTERN, STEP
from tributary_daemon.spec.foreign import FOREIGN
from tributary_daemon.spec.kinds import refuse_expression, refuse_type
from tributary_daemon.spec.mappings import read_fields
from tributary_daemon.spec.nearest import nearest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence
from tributary_daemon.spec.workflow import HOOKS

if TYPE_CHECKING:
    from tributary_daemon.spec.children import Family
    from tributary_daemon.spec.problems import Problems

_ID = re.compile(ID_PATTERN)
_EXAMPLE: Final = "steps: {hello: {run: echo hello}}"


class StepReader:
    """Reads the steps of one document.

    Args:
        family: knows the workflows that steps may run.
        problems: the collector.
        any_payload: ``with`` may be a bare text or number.
    """

    def __init__(self, family: Family, problems: Problems, *, any_payload: bool) -> None:
        self._family = family
        self._problems = problems
        self._any_payload = any_payload

    def read(self, node: Node | None, root: Mapping) -> list[Draft]:
        """Return the drafts of all steps in the order of the file, those of hooks behind all others.

        Args:
            node: the value of ``steps``.
            root: the document.
        """
        drafts: list[Draft] = []
        if node is None:
            self._problems.error(codes.MISSING_KEY, "the workflow has no steps", root, hint=_EXAMPLE)
        else:
            drafts = self._read_section(node, "steps", None)
        taken = {draft.id: draft for draft in drafts}
        for hook in HOOKS:
            if (steps := root.get(hook)) is None:
                continue
            for draft in self._read_section(steps, hook, hook):
                if draft.id in taken:
                    self._report_taken(draft, taken[draft.id])
                else:
                    taken[draft.id] = draft
                    drafts.append(draft)
        return drafts

    def _report_taken(self, draft: Draft, first: Draft) -> None:
        where = f"a step of {first.hook}" if first.hook else "one of the steps"
        self._problems.error(
            codes.SAME_ID,
            f"the step {draft.id!r} of {draft.hook} has the id of {where}",
            draft.key,
            hint="ids are unique in the whole file, so that steps.ID means one step",
        )

    def _read_section(self, node: Node, section: str, hook: str | None) -> list[Draft]:
        if not isinstance(node, Mapping):
            example = _EXAMPLE if hook is None else f"{hook}: {{tell: {{task: notify.chat.v1}}}}"
            hint = f"the id of a step is its key: {example}"
            refuse_type(node, section, "a mapping", self._problems, hint=hint)
            return []
        drafts: list[Draft] = []
        for step_id, (key, value) in node.pairs.items():
            if step_id.startswith("x-"):
                continue
            if not _ID.fullmatch(step_id):
                hint = "letters, digits, `_` and `-`, not beginning with a digit, at most 100"
                self._problems.error(codes.BAD_ID, f"{step_id!r} is not an id for a step", key, hint=hint)
            drafts.append(self._read_step(step_id, key, value, hook))
        if not drafts:
            what = "the workflow has no steps" if hook is None else f"`{hook}` has no steps"
            hint = _EXAMPLE if hook is None else "write a step into it, or leave it out"
            self._problems.error(codes.MISSING_KEY, what, node, hint=hint)
        return drafts

    def _read_step(self, step_id: str, key: Scalar, node: Node, hook: str | None) -> Draft:
        problems = self._problems
        draft = Draft(step_id, key, {}, hook)
        if not isinstance(node, Mapping):
            hint = f"{step_id}: {{task: shop.import_orders.v1}} or {step_id}: {{run: echo hello}}"
            refuse_type(node, step_id, "a mapping", problems, hint=hint)
            return draft
        pairs = node.pairs
        draft.values = read_fields(node, STEP, "a step", problems)
        written: list[str] = [action for action in ACTIONS if action in pairs]
        if len(written) != 1:
            self._refuse_actions(draft, node, written)
        _read_needs(draft, node.get("needs"), problems)
        draft.places = [
            (place, pair[1])
            for name, pair in pairs.items()
            if (place := scopes.OF_A_STEP.get(name)) is not None
        ]
        if not UNUSUAL.isdisjoint(pairs):
            _read_fan(draft, node)
            if len(written) == 1:
                check_company(draft, node, written[0], problems)
        if len(written) != 1:
            return draft
        if "task" in pairs:
            read_task(draft, node, problems, any_payload=self._any_payload)
        elif "want" in pairs:
            self._read_want(draft, node)
        else:
            READERS[written[0]](draft, node, self._family, problems)
        return draft

    def _read_want(self, draft: Draft, node: Mapping) -> None:
        """Report a ``want``: the place where the steps of an inferred graph take its place."""
        self._problems.error(
            codes.UNSUPPORTED,
            f"step {draft.id!r}: graphs cannot be inferred yet",
            node.pairs["want"][0],
            hint="write the steps out",
        )

    def _refuse_actions(self, draft: Draft, node: Mapping, written: list[str]) -> None:
        if written:
            second = node.pairs[written[1]][0]
            actions = " and ".join(f"`{action}`" for action in written)
            message = f"step {draft.id!r} has {actions}, it must have exactly one action"
            self._problems.error(codes.ONE_ACTION, message, second, hint="make two steps of it")
            return
        if any(_means_action(key) for key in node.pairs):
            # told already, with the right word
            return
        hint = "task: a handler's name, run: a shell script; or workflow, wait, approve, want"
        self._problems.error(codes.ONE_ACTION, f"step {draft.id!r} has no action", draft.key, hint=hint)


def _means_action(key: str) -> bool:
    if key in STEP:
        return False
    word = FOREIGN.get(key.lower().replace("-", "_")) or nearest(key, list(STEP))
    return word in ACTIONS


def _read_fan(draft: Draft, node: Mapping) -> None:
    if "matrix" in node.pairs:
        draft.fan = "matrix"
        matrix = draft.values.get("matrix")
        # of a faulty matrix all names are taken for known
        draft.axes = matrix_names(matrix) if matrix is not None else _Everything()
    elif "for_each" in node.pairs:
        draft.fan = "for_each"


class _Everything(frozenset[str]):
    """Holds every name."""

    def __contains__(self, _: object) -> bool:
        return True


def _read_needs(draft: Draft, node: Node | None, problems: Problems) -> None:
    if node is None:
        return
    for item in node.items if isinstance(node, Sequence) else [node]:
        if not isinstance(item, Scalar) or not isinstance(item.value, str):
            hint = "needs: a or needs: [a, b]"
            refuse_type(item, "needs", "the id of a step or a list of ids", problems, hint=hint)
        elif refuse_expression(item, "needs", problems):
            continue
        elif item.value == draft.id:
            message = f"step {draft.id!r} needs itself"
            problems.error(codes.SELF_NEED, message, item, hint="remove it from needs")
        elif item.value in draft.needs:
            problems.warning(codes.WRITTEN_TWICE, f"{item.value!r} is written twice in needs", item)
        else:
            draft.needs[item.value] = item
