"""The functions that GitHub's language has."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.function import MANY, Function
from tributary_daemon.spec.expressions.scope import LONG
from tributary_daemon.spec.expressions.values import equal, fold, number_text, to_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.spec.expressions.function import Argument
    from tributary_daemon.spec.expressions.scope import Scope

_CONTAINERS: Final = (list, tuple, dict)
_UNITS_PER_ITEM: Final = 30
_UNITS_PER_PIECE: Final = 110
_UNITS_PER_LETTER_OF_JSON: Final = 8
_LONGEST_SHOWN: Final = 1_000
_PIECE: Final = re.compile(r"[^{}]+|\{\{|\}\}|\{([0-9]+)\}")


def _contains(scope: Scope, arguments: tuple[Argument, ...]) -> bool:
    where, what = arguments[0](scope), arguments[1](scope)
    if isinstance(where, (list, tuple)):
        scope.spend(len(where) * _UNITS_PER_ITEM)
        if isinstance(what, str):
            # texts of another length are unequal without a look at them
            scope.spend(len(where) * len(what) if len(what) > LONG else 0)
        return any(equal(item, what) for item in where)
    if isinstance(where, dict) or isinstance(what, _CONTAINERS):
        return False
    return _folded(scope, what) in _folded(scope, where)


def _starts_with(scope: Scope, arguments: tuple[Argument, ...]) -> bool:
    return _compare(scope, arguments, str.startswith)


def _ends_with(scope: Scope, arguments: tuple[Argument, ...]) -> bool:
    return _compare(scope, arguments, str.endswith)


def _compare(scope: Scope, arguments: tuple[Argument, ...], test: Callable[[str, str], bool]) -> bool:
    where, what = arguments[0](scope), arguments[1](scope)
    if isinstance(where, _CONTAINERS) or isinstance(what, _CONTAINERS):
        return False
    return test(_folded(scope, where), _folded(scope, what))


def _folded(scope: Scope, value: Any) -> str:
    text = to_text(value)
    if len(text) > LONG:
        scope.read(text)
    return fold(text)


def _format(scope: Scope, arguments: tuple[Argument, ...]) -> str:
    # each argument once, however often the template names it: nested calls would double without end
    template, *texts = [to_text(argument(scope)) for argument in arguments]
    pieces: list[str] = []
    offset = 0
    while offset < len(template):
        found = _PIECE.match(template, offset)
        if found is None:
            raise ExpressionError(
                "evaluation",
                f"The following format string is invalid: {_shown(template)}",
                hint="a brace that stands for itself is doubled: {{ and }}",
            )
        if (number := found.group(1)) is not None:
            if len(number) > len(str(MANY)) or int(number) >= len(texts):
                raise ExpressionError(
                    "evaluation",
                    "The following format string references more arguments than were supplied: "
                    f"{_shown(template)}",
                )
            piece = texts[int(number)]
        else:
            piece = found.group()
            piece = piece[0] if piece[0] in "{}" else piece
        pieces.append(piece)
        offset = found.end()
        scope.spend(_UNITS_PER_PIECE)
        scope.make(len(piece))
    return "".join(pieces)


def _shown(template: str) -> str:
    return template if len(template) <= _LONGEST_SHOWN else f"{template[:_LONGEST_SHOWN]}…"


def _join(scope: Scope, arguments: tuple[Argument, ...]) -> str:
    items = arguments[0](scope)
    if isinstance(items, dict):
        return ""
    if not isinstance(items, (list, tuple)):
        return to_text(items)
    separator: Any = arguments[1](scope) if len(arguments) > 1 else ","
    glue = "," if isinstance(separator, _CONTAINERS) else to_text(separator)
    scope.spend(len(items) * _UNITS_PER_ITEM)
    texts = [to_text(item) for item in items]
    scope.make(sum(map(len, texts)) + len(glue) * len(texts))
    return glue.join(texts)


def _to_json(scope: Scope, arguments: tuple[Argument, ...]) -> str:
    pieces: list[str] = []
    try:
        _write(scope, arguments[0](scope), "\n", pieces)
    except RecursionError:
        raise ExpressionError("evaluation", "the value given to toJSON is nested too deeply") from None
    return "".join(pieces)


def _write(scope: Scope, value: Any, line: str, pieces: list[str]) -> None:
    if isinstance(value, dict):
        _write_items(scope, value, "{}", line, pieces)
        return
    if isinstance(value, (list, tuple)):
        _write_items(scope, value, "[]", line, pieces)
        return
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, (int, float)):
        text = number_text(value)
    else:
        scope.make(len(value))
        text = json.dumps(value, ensure_ascii=False)
    scope.make(len(text))
    pieces.append(text)


def _write_items(
    scope: Scope, value: dict[str, Any] | list[Any] | tuple[Any, ...], ends: str, line: str, pieces: list[str]
) -> None:
    if not value:
        pieces.append(ends)
        return
    inner = line + "  "
    mark = ends[0] + inner
    for item in value:
        scope.spend(_UNITS_PER_PIECE)
        scope.make(len(mark))
        pieces.append(mark)
        if isinstance(value, dict):
            _write(scope, item, inner, pieces)
            pieces.append(": ")
            _write(scope, value[item], inner, pieces)
        else:
            _write(scope, item, inner, pieces)
        mark = "," + inner
    pieces.append(line + ends[1])


def _from_json(scope: Scope, arguments: tuple[Argument, ...]) -> Any:
    text = to_text(arguments[0](scope))
    scope.spend(len(text) * _UNITS_PER_LETTER_OF_JSON)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ExpressionError("evaluation", f"fromJSON cannot read its text as JSON: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _case(scope: Scope, arguments: tuple[Argument, ...]) -> Any:
    for index in range(0, len(arguments) - 1, 2):
        condition = arguments[index](scope)
        if not isinstance(condition, bool):
            raise ExpressionError("evaluation", "case predicate must evaluate to a boolean value")
        if condition:
            return arguments[index + 1](scope)
    return arguments[-1](scope)


GITHUB: Final = (
    Function("contains", 2, 2, _contains, ("Boolean",)),
    Function("startsWith", 2, 2, _starts_with, ("Boolean",)),
    Function("endsWith", 2, 2, _ends_with, ("Boolean",)),
    Function("format", 1, MANY, _format, ("String",)),
    Function("join", 1, 2, _join, ("String",)),
    Function("toJSON", 1, 1, _to_json, ("String",)),
    Function("fromJSON", 1, 1, _from_json),
    Function("case", 3, MANY, _case, odd=True),
)
