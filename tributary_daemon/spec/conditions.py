"""Conditions: the expression of ``if`` and of ``preconditions``, with or without its braces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.expressions import ExpressionError, split
from tributary_daemon.spec.kinds import INVALID, Kind, refuse_type
from tributary_daemon.spec.nodes import Node, Scalar
from tributary_daemon.spec.references import lost_text

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems


def _read(node: Node, key: str, problems: Problems) -> Any:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        hint = f"{key}: inputs.day == 'monday'"
        return refuse_type(node, key, "an expression", problems, hint=hint)
    if "${{" in value:
        return _without_braces(node, value, key, problems)
    if not value.strip():
        problems.error(codes.BAD_VALUE, f"`{key}` is empty", node, hint=f"{key}: inputs.day == 'monday'")
        return INVALID
    return value.strip()


def _without_braces(node: Node, text: str, key: str, problems: Problems) -> Any:
    assert isinstance(node, Scalar)
    try:
        pieces = [piece for piece in split(text) if piece.is_expression or piece.text.strip()]
    except ExpressionError as error:
        if not lost_text(node, problems):
            problems.error(codes.BAD_EXPRESSION, error.message, problems.locate(node, "${{"), hint=error.hint)
        return INVALID
    if len(pieces) == 1 and pieces[0].text.strip():
        return pieces[0].text.strip()
    problems.error(
        codes.BAD_EXPRESSION,
        f"`{key}` must be one expression, a text around `${{{{ }}}}` would always be true",
        node,
        hint="put the whole condition inside one `${{ }}`, or leave the braces out",
    )
    return INVALID


CONDITION: Final = Kind({"type": ["string", "boolean"]}, _read)
