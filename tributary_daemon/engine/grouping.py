"""The concurrency group of a step or a run: its name is known once its expressions are evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tributary_daemon.errors import InvalidInput
from tributary_daemon.spec.expressions import resolve
from tributary_daemon.spec.expressions.values import to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST = 200


class Group(NamedTuple):
    """A concurrency group as somebody asks for it."""

    name: str
    limit: int
    on_limit: str


def group_of(concurrency: Mapping[str, Any], seen: Mapping[str, Any]) -> Group:
    """Return the group that a plan asks for.

    Args:
        concurrency: ``{"group", "limit", "on_limit"}`` of a plan.
        seen: contexts of expressions.

    Raises:
        ExpressionError: an expression cannot be evaluated.
        InvalidInput: the name is empty or too long.
    """
    name = to_text(resolve(concurrency["group"], seen, strict_missing=True))
    if not 0 < len(name) <= _LONGEST or "\0" in name:
        raise InvalidInput(
            f"a concurrency group needs a name of 1 to {_LONGEST} characters, not {name[:60]!r}",
            hint="look at the expression in `concurrency.group`",
        )
    return Group(name, concurrency.get("limit") or 1, concurrency.get("on_limit") or "queue")
