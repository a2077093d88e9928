"""Checks every expression of a document and collects the steps it refers to."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from tributary_daemon.spec import codes
from tributary_daemon.spec.expressions import ExpressionError, compile_expression, split
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Place, Scalar

if TYPE_CHECKING:
    from collections.abc import Collection

    from tributary_daemon.spec.expressions import Expression, Path
    from tributary_daemon.spec.problems import Hint, Problems

RUN_FIELDS: Final = (
    "id",
    "name",
    "state",
    "error",
    "created_at",
    "started_at",
    "scheduled_for",
    "parent_id",
    "labels",
)
STEP_FIELDS: Final = ("state", "attempt", "result")
_LATER_CONTEXTS: Final = ("item", "index", "matrix", "env", "secrets")
_LATER_STEP_FIELDS: Final = ("items",)
_RESULT_WORDS: Final = ("output", "outputs", "outcome", "value", "returns")
_COMMENT = re.compile(r"\s+#")


@functools.lru_cache(maxsize=1024)
def _compiled(source: str) -> Expression:
    return compile_expression(source)


class _Mention(NamedTuple):
    """An expression and the text node it stands in; its place is looked for only when it is faulty."""

    node: Scalar
    text: str


class References:
    """Checks expressions against what a workflow declares.

    Args:
        inputs: names of the declared inputs.
        step_ids: ids of all steps.
        problems: the collector.
    """

    def __init__(self, inputs: Collection[str], step_ids: Collection[str], problems: Problems) -> None:
        self._inputs = {name.lower(): name for name in inputs}
        self._ids = {step_id.lower(): step_id for step_id in step_ids}
        self._exact = frozenset(step_ids)
        self._problems = problems

    def check(self, root: Node, step_id: str | None) -> tuple[list[str], bool]:
        """Check every text below ``root``.

        Args:
            root: the value of ``with``, ``env`` or ``result``.
            step_id: the step it belongs to; None for ``result``, which may read all steps.

        Returns:
            The ids it refers to, in order, each once; and whether there is an expression at all.
        """
        found: dict[str, None] = {}
        dynamic = False
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Scalar):
                if isinstance(node.value, str) and "${{" in node.value:
                    dynamic = True
                    self._check_text(node, step_id, found)
            elif isinstance(node, Mapping):
                for name, (key, _) in node.pairs.items():
                    if "${{" in name:
                        self._problems.error(
                            codes.EXPRESSION_OUT_OF_PLACE,
                            "a key cannot hold an expression",
                            key,
                            hint="expressions stand in values",
                        )
                waiting.extend(value for _, value in reversed(node.pairs.values()))
            else:
                waiting.extend(reversed(node.items))
        return list(found), dynamic

    def _check_text(self, node: Scalar, step_id: str | None, found: dict[str, None]) -> None:
        try:
            pieces = split(node.value)
        except ExpressionError as error:
            if lost_text(node, self._problems):
                return
            self._problems.error(
                codes.BAD_EXPRESSION, error.message, self._problems.locate(node, "${{"), hint=error.hint
            )
            return
        for piece in pieces:
            if not piece.is_expression:
                continue
            at = _Mention(node, piece.text)
            try:
                expression = _compiled(piece.text)
            except ExpressionError as error:
                if error.unknown_context:
                    message = f"unknown context {error.unknown_context!r} in an expression"
                    self._error(codes.UNKNOWN_CONTEXT, message, at, error.hint)
                else:
                    self._error(codes.BAD_EXPRESSION, error.message, at, error.hint)
                continue
            for path in expression.paths:
                self._check_path(path, at, step_id, found)

    def _check_path(self, path: Path, at: _Mention, step_id: str | None, found: dict[str, None]) -> None:
        if path.root == "steps":
            self._check_step(path, at, step_id, found)
        elif path.root in _LATER_CONTEXTS:
            self._error(
                codes.UNSUPPORTED,
                f"the context `{path.root}` is part of the language but not supported yet",
                at,
                "supported: inputs, steps, run",
            )
        elif path.parts and isinstance(word := path.parts[0], str):
            if path.root == "inputs" and word.lower() not in self._inputs:
                self._error(
                    codes.UNDECLARED_INPUT,
                    f"undeclared input {word!r}",
                    at,
                    functools.partial(suggest, word, list(self._inputs.values()), what="inputs"),
                )
            elif path.root == "run" and word.lower() not in RUN_FIELDS:
                self._error(codes.UNKNOWN_FIELD, f"a run has no {word!r}", at, suggest(word, RUN_FIELDS))

    def _check_step(self, path: Path, at: _Mention, step_id: str | None, found: dict[str, None]) -> None:
        if not path.parts or not isinstance(word := path.parts[0], str):
            if step_id is not None:
                self._error(
                    codes.WHOLE_STEPS,
                    "inside a step, `steps` must be followed by the id of one step",
                    at,
                    "write steps.ID.result: the reference decides what this step waits for",
                )
            return
        target = word if word in self._exact else self._ids.get(word.lower())
        if target is None:
            hint = functools.partial(suggest, word, self._ids.values())
            self._error(codes.UNKNOWN_STEP, f"unknown step {word!r} in an expression", at, hint)
            return
        if target == step_id:
            message = f"step {step_id!r} refers to itself"
            self._error(codes.SELF_NEED, message, at, "its result exists only when it has ended")
            return
        found[target] = None
        if len(path.parts) > 1 and isinstance(field := path.parts[1], str):
            self._check_field(field, target, at)

    def _check_field(self, field: str, target: str, at: _Mention) -> None:
        word = field.lower()
        if word in _LATER_STEP_FIELDS:
            message = f"`steps.{target}.{field}` is part of the language but not supported yet"
            self._error(codes.UNSUPPORTED, message, at, None)
        elif word in _RESULT_WORDS:
            hint = f"Tributary says `result`; known: {', '.join(STEP_FIELDS)}"
            self._error(codes.UNKNOWN_FIELD, f"a step has no {field!r}", at, hint)
        elif word not in STEP_FIELDS:
            hint = f"{suggest(field, STEP_FIELDS)}; what it returned is steps.{target}.result.{field}"
            self._error(codes.UNKNOWN_FIELD, f"a step has no {field!r}", at, hint)

    def _error(self, code: str, message: str, at: _Mention, hint: Hint) -> None:
        place = self._problems.locate(at.node, f"${{{{{at.text}}}}}")
        self._problems.error(code, message, place, hint=hint)


def lost_text(node: Scalar, problems: Problems) -> bool:
    """Report a plain text that YAML cut at `` #``; return whether it was so."""
    place = node.place
    if not node.plain or not isinstance(place, Place):
        return False
    line = problems.line(place.end_line)
    comment = _COMMENT.match(line, place.end_column)
    if comment is None:
        return False
    problems.error(
        codes.LOST_TEXT,
        "the text ends at ` #`, YAML takes the rest of the line as a comment",
        Place(place.end_line, comment.end() - 1, place.end_line, len(line.rstrip())),
        hint="quote the whole value, or write it as a block after `|`",
    )
    return True
