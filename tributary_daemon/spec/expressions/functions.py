"""The functions of the language: one open table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.values import equal, fold, number_text, to_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_BRACE = re.compile(r"[{}]")
Thunk = Callable[[], Any]
_MANY: Final = 255


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language.

    Attributes:
        name: as documented; calls ignore case.
        least: fewest arguments.
        most: most arguments.
        body: called with one thunk per argument, so that a function decides what it evaluates.
        odd: the number of arguments must be odd.
    """

    name: str
    least: int
    most: int
    body: Callable[[tuple[Thunk, ...]], Any]
    odd: bool = False


def _contains(arguments: tuple[Thunk, ...]) -> bool:
    where, what = arguments[0](), arguments[1]()
    if isinstance(where, (list, tuple)):
        return any(equal(item, what) for item in where)
    if isinstance(where, dict) or isinstance(what, (list, tuple, dict)):
        return False
    return fold(to_text(what)) in fold(to_text(where))


def _starts_with(arguments: tuple[Thunk, ...]) -> bool:
    where, what = arguments[0](), arguments[1]()
    if isinstance(where, (list, tuple, dict)) or isinstance(what, (list, tuple, dict)):
        return False
    return fold(to_text(where)).startswith(fold(to_text(what)))


def _ends_with(arguments: tuple[Thunk, ...]) -> bool:
    where, what = arguments[0](), arguments[1]()
    if isinstance(where, (list, tuple, dict)) or isinstance(what, (list, tuple, dict)):
        return False
    return fold(to_text(where)).endswith(fold(to_text(what)))


def _format(arguments: tuple[Thunk, ...]) -> str:
    # each argument once, however often the template names it: nested calls would double without end
    template, *texts = [to_text(argument()) for argument in arguments]
    pieces: list[str] = []
    offset = 0
    made = 0
    while offset < len(template):
        letter = template[offset]
        if letter not in "{}":
            end = min(
                (at for at in (template.find("{", offset), template.find("}", offset)) if at >= 0), default=-1
            )
            end = len(template) if end < 0 else end
            pieces.append(template[offset:end])
            offset = end
        elif template.startswith(letter, offset + 1):
            pieces.append(letter)
            offset += 2
        else:
            number = template[offset + 1 : template.find("}", offset)]
            if letter == "}" or not (number.isascii() and number.isdigit()):
                raise ExpressionError("evaluation", f"The following format string is invalid: {template}")
            if len(number) > len(str(_MANY)) or int(number) >= len(texts):
                raise ExpressionError(
                    "evaluation",
                    f"The following format string references more arguments than were supplied: {template}",
                )
            pieces.append(texts[int(number)])
            offset += len(number) + 2
        made += len(pieces[-1])
        check_size(made)
    return "".join(pieces)


def _join(arguments: tuple[Thunk, ...]) -> str:
    items = arguments[0]()
    if isinstance(items, dict):
        return ""
    if not isinstance(items, (list, tuple)):
        return to_text(items)
    separator: Any = arguments[1]() if len(arguments) > 1 else ","
    glue = "," if isinstance(separator, (list, tuple, dict)) else to_text(separator)
    texts = [to_text(item) for item in items]
    check_size(sum(map(len, texts)) + len(glue) * len(texts))
    return glue.join(texts)


def _to_json(arguments: tuple[Thunk, ...]) -> str:
    try:
        return "".join(_write(arguments[0](), "\n"))
    except RecursionError:
        raise ExpressionError("evaluation", "the value given to toJSON is nested too deeply") from None


def _write(value: Any, line: str) -> Iterable[str]:
    if value is None:
        yield "null"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, (int, float)):
        yield number_text(value)
    elif isinstance(value, str):
        yield json.dumps(value, ensure_ascii=False)
    elif not value:
        yield "{}" if isinstance(value, dict) else "[]"
    elif isinstance(value, dict):
        mark = "{"
        for key, item in value.items():
            yield f"{mark}{line}  {json.dumps(key, ensure_ascii=False)}: "
            yield from _write(item, line + "  ")
            mark = ","
        yield line + "}"
    else:
        mark = "["
        for item in value:
            yield f"{mark}{line}  "
            yield from _write(item, line + "  ")
            mark = ","
        yield line + "]"


def _from_json(arguments: tuple[Thunk, ...]) -> Any:
    text = to_text(arguments[0]())
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ExpressionError("evaluation", f"fromJSON cannot read its text as JSON: {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _case(arguments: tuple[Thunk, ...]) -> Any:
    for index in range(0, len(arguments) - 1, 2):
        condition = arguments[index]()
        if not isinstance(condition, bool):
            raise ExpressionError("evaluation", "case predicate must evaluate to a boolean value")
        if condition:
            return arguments[index + 1]()
    return arguments[-1]()


def _status(_: tuple[Thunk, ...]) -> Any:
    raise ExpressionError(
        "evaluation",
        "a status function can be called in `if` only, where the states of the needs are known",
    )


# in characters: texts made on the way to a result; a payload may have 1 MiB, two bytes a character
MAX_TEXT: Final = 512 * 1024


def check_size(characters: int) -> None:
    """Bound the text that one evaluation makes.

    Raises:
        ExpressionError: more than 512 Ki characters.
    """
    if characters > MAX_TEXT:
        raise ExpressionError("evaluation", "The maximum allowed memory size was exceeded")


FUNCTIONS: Final[dict[str, Function]] = {
    function.name.lower(): function
    for function in (
        Function("contains", 2, 2, _contains),
        Function("startsWith", 2, 2, _starts_with),
        Function("endsWith", 2, 2, _ends_with),
        Function("format", 1, _MANY, _format),
        Function("join", 1, 2, _join),
        Function("toJSON", 1, 1, _to_json),
        Function("fromJSON", 1, 1, _from_json),
        Function("case", 3, _MANY, _case, odd=True),
        Function("success", 0, 0, _status),
        Function("failure", 0, 0, _status),
        Function("always", 0, 0, _status),
        Function("cancelled", 0, 0, _status),
    )
}
