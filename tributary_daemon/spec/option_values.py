"""Options whose value an expression gives: each must be what could have been written in its place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.fields import OPTIONS
from tributary_daemon.spec.kinds import MOMENT
from tributary_daemon.spec.nodes import Mapping, Scalar, Sequence, kind
from tributary_daemon.spec.problems import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.spec.kinds import Kind
    from tributary_daemon.spec.nodes import Node

_KINDS: Final[dict[str, Kind]] = {
    # `retry` holds no expressions
    **{name: field.kind for name, field in OPTIONS.items() if name != "retry"},
    "run_after": MOMENT,
}
_WHOLE_NUMBERS: Final = frozenset({"priority", "max_attempts"})
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)


def late_options(options: dict[str, Any], run_after: Any) -> Iterator[tuple[str, str]]:
    """Yield the options of a step that are known only when it is due, each with its text.

    Args:
        options: of a step, as a spec or a plan has them.
        run_after: likewise.
    """
    for key, value in (*options.items(), ("run_after", run_after)):
        if key in _KINDS and isinstance(value, str) and "${{" in value:
            yield key, value


def read_option(key: str, value: Any) -> Any:
    """Return the value of an option as it is stored.

    Args:
        key: ``queue``, ``priority``, ``max_attempts``, ``timeout`` or ``run_after``.
        value: JSON, as an expression gave it. Whole numbers may come as text.

    Raises:
        InvalidInput: the loader would refuse it; in its words.
    """
    if key == "queue" and not isinstance(value, str):
        hint = "text around it makes text of it: batch-${{ … }}"
        raise InvalidInput(f"`queue` must be text, not {kind(_node(key, value))}", hint=hint)
    problems = Problems("", "")
    found = _KINDS[key].read(_node(key, value), key, problems)
    for problem in problems.ordered():
        raise InvalidInput(problem.message, hint=problem.hint)
    return found


def _node(key: str, value: Any) -> Node:
    match value:
        case dict():
            return Mapping("")
        case list() | tuple():
            return Sequence("")
        case float() if key in _WHOLE_NUMBERS and value.is_integer():
            return Scalar(int(value), "")
        case str() if key in _WHOLE_NUMBERS and _WHOLE.fullmatch(value.strip()):
            return Scalar(int(value), "")
    return Scalar(value, "")
