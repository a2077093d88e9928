"""Fan-outs: ``for_each`` and ``matrix``, which make a step run once per item."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec import codes
from tributary_daemon.spec.kinds import (
    EXPRESSION_SCHEMA,
    INVALID,
    Kind,
    holds_expression,
    refuse_type,
    sole_expression,
)
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.spec.nodes import Mapping, Node, Scalar, Sequence, to_json

if TYPE_CHECKING:
    from tributary_daemon.spec.problems import Problems

_AXIS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_EXPRESSION = re.compile(r"(?:inputs|steps|run|env|matrix)\b|\w+\(")
_EXAMPLE: Final = "matrix: {model: [small, large], region: ${{ inputs.regions }}}"
_SELECTIONS: Final = {
    "include": "Combinations to complete with further names, or to add.",
    "exclude": "Combinations to leave out: those that agree in all that is named.",
}


def _read_list(node: Node, key: str, problems: Problems) -> Any:
    if isinstance(node, Sequence):
        return to_json(node)
    if holds_expression(node):
        assert isinstance(node, Scalar)
        if (expression := sole_expression(node.value)) is not None:
            return expression
        hint = f"write {key}: ${{{{ … }}}} alone"
        message = f"`{key}` must be one expression, text around it makes it no list"
        problems.error(codes.BAD_FAN_OUT, message, node, hint=hint)
        return INVALID
    word = node.value.strip() if isinstance(node, Scalar) and isinstance(node.value, str) else ""
    name = key.rpartition(".")[2]
    if _EXPRESSION.match(word):
        hint = f"write {name}: ${{{{ {word[:60]} }}}}"
    elif word:
        hint = f"write {name}: [{word[:60]}]"
    elif isinstance(node, Scalar) and isinstance(node.value, int) and not isinstance(node.value, bool):
        hint = f"for a number of times write {name}: ${{{{ range({node.value}) }}}}"
    else:
        hint = f"{name}: [eu, us] or {name}: ${{{{ inputs.regions }}}}"
    return refuse_type(node, key, "a list or one expression", problems, hint=hint)


_LIST_SCHEMA: Final[dict[str, Any]] = {"anyOf": [{"type": "array"}, EXPRESSION_SCHEMA]}
FOR_EACH: Final = Kind(_LIST_SCHEMA, _read_list)


def _read_matrix(node: Node, key: str, problems: Problems) -> Any:
    if not isinstance(node, Mapping):
        return refuse_type(node, key, "a mapping of lists", problems, hint=_EXAMPLE)
    axes: dict[str, Any] = {}
    chosen: dict[str, Any] = {}
    sound = True
    for name, (at, value) in node.pairs.items():
        if name.startswith("x-"):
            continue
        if name in _SELECTIONS:
            read = _read_selection(value, f"{key}.{name}", problems)
            chosen[name] = read
        else:
            if not _AXIS.fullmatch(name):
                hint = "letters, digits, `_` and `-`, not beginning with a digit, at most 100"
                problems.error(codes.BAD_ID, f"{name!r} is not a name for an axis", at, hint=hint)
            read = axes[name] = _read_list(value, f"{key}.{name}", problems)
        sound = sound and read is not INVALID
    if sound and not axes and not chosen.get("include"):
        problems.error(codes.BAD_FAN_OUT, "the matrix has no axis", node, hint=_EXAMPLE)
        return INVALID
    excluded = node.get("exclude")
    if isinstance(excluded, Sequence):
        _check_excluded(excluded, axes, problems)
    return {"axes": axes, **chosen} if sound else INVALID


def _read_selection(node: Node, key: str, problems: Problems) -> Any:
    if isinstance(node, Sequence):
        wrong = next((item for item in node.items if not isinstance(item, Mapping)), None)
        if wrong is None:
            return to_json(node)
        node = wrong
    return refuse_type(
        node, key, "a list of mappings", problems, hint=f"{key}: [{{model: small, region: us}}]"
    )


def _check_excluded(excluded: Sequence, axes: dict[str, Any], problems: Problems) -> None:
    for item in excluded.items:
        for name, (at, _) in item.pairs.items() if isinstance(item, Mapping) else ():
            if name not in axes:
                message = f"`exclude` names {name!r}, which is no axis of this matrix"
                problems.error(codes.BAD_FAN_OUT, message, at, hint=suggest(name, list(axes), what="axes"))


MATRIX: Final = Kind(
    {
        "type": "object",
        "properties": {
            name: {
                "description": doc,
                "type": "array",
                "items": {"type": "object"},
                "examples": [[{"model": "small", "region": "us"}]],
            }
            for name, doc in _SELECTIONS.items()
        },
        "additionalProperties": _LIST_SCHEMA,
        "minProperties": 1,
    },
    _read_matrix,
)


def matrix_names(matrix: dict[str, Any]) -> frozenset[str]:
    """Return the names that ``matrix.NAME`` may have: the axes, and what ``include`` adds."""
    added = (name for item in matrix.get("include", ()) if isinstance(item, dict) for name in item)
    return frozenset(name.lower() for name in (*matrix["axes"], *added))
