"""Values as people are shown them: JSON on one line, cut, without secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.masking import masked
from tributary_daemon.spec.expressions.values import number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MARK: Final = "…"


def shown(value: Any, secrets: Sequence[str], limit: int) -> str:
    """Return a JSON value on one line of at most ``limit`` characters.

    Args:
        value: whose size does not matter: what is not shown is not looked at.
        secrets: texts that are masked, also as parts of texts.
        limit: longest text, an ellipsis included.
    """
    made: list[str] = []
    length = 0
    # each level writes a bracket first, so the bound on the length is one on the depth
    for piece in _pieces(value, secrets, limit):
        made.append(piece)
        length += len(piece)
        if length > limit:
            break
    return cut("".join(made), limit)


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of a text, free of what a database refuses in JSON."""
    short = text if len(text) <= limit else f"{text[: limit - 1]}{MARK}"
    return short.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _pieces(value: Any, secrets: Sequence[str], limit: int) -> Iterator[str]:
    if isinstance(value, str):
        yield json.dumps(masked(value, secrets)[: limit + 1], ensure_ascii=False)
    elif value is None or isinstance(value, bool):
        yield json.dumps(value)
    elif isinstance(value, (int, float)):
        yield masked(_number(value), secrets)
    elif isinstance(value, dict):
        mark = "{"
        for key, item in value.items():
            yield f"{mark}{json.dumps(masked(key, secrets)[: limit + 1], ensure_ascii=False)}: "
            yield from _pieces(item, secrets, limit)
            mark = ", "
        yield "}" if value else "{}"
    else:
        mark = "["
        for item in value:
            yield mark
            yield from _pieces(item, secrets, limit)
            mark = ", "
        yield "]" if value else "[]"


def _number(value: float) -> str:
    try:
        return number_text(value)
    except ExpressionError:
        return MARK
