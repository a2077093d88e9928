"""The options of a step that expressions give: decided when it is due, before its task may be claimed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.expressions import compile_expression, resolve, split
from tributary_daemon.spec.option_values import late_options, read_option
from tributary_daemon.spec.scopes import PER_ITEM

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_SHOWN: Final = 100


def values_of(options: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the expressions among the options of a step give, without those that give null.

    Args:
        options: as they are stored with the step: ``{"expressions": {key: {"text": …}}}``.
        seen: contexts of expressions.

    Raises:
        InvalidInput: an expression cannot be evaluated, or gives what cannot be written in its place; the
            message names option, expression and value.
    """
    found: dict[str, Any] = {}
    for key, expression in sorted(options.get("expressions", {}).items()):
        text = expression["text"]
        try:
            value = resolve(text, seen, strict_missing=True)
        except InvalidInput as error:
            raise InvalidInput(f"`{key}`: {error.message}", hint=error.hint) from error
        if value is None:
            continue
        try:
            found[key] = read_option(key, value)
        except InvalidInput as error:
            shown = _cut(json.dumps(value, ensure_ascii=False, default=str))
            message = f"`{key}`: {_cut(text)} gives {shown}: {error.message}"
            raise InvalidInput(message, hint=error.hint) from error
    return found


def for_items_only(step: Mapping[str, Any]) -> list[str]:
    """Return the options of a fan-out whose expressions mean nothing to what aggregates its items.

    Args:
        step: of a plan.
    """
    return [
        key
        for key, text in late_options(step.get("options", {}), step.get("run_after"))
        if key == "run_after" or _names_items(text)
    ]


def _names_items(text: str) -> bool:
    return any(
        path.root in PER_ITEM
        for piece in split(text)
        if piece.is_expression
        for path in compile_expression(piece.text).paths
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
