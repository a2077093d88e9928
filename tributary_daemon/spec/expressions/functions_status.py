"""Functions that a condition asks about the steps above: evaluated from what the caller says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.spec.expressions.errors import ExpressionError
from tributary_daemon.spec.expressions.function import Function

if TYPE_CHECKING:
    from tributary_daemon.spec.expressions.function import Argument
    from tributary_daemon.spec.expressions.scope import Scope, Status


def _status(scope: Scope, name: str) -> Status:
    if scope.status is None:
        raise ExpressionError(
            "evaluation",
            f"{name}() has an answer in `if` only",
            hint="elsewhere the state of one step is steps.ID.state",
        )
    return scope.status


def _success(scope: Scope, _: tuple[Argument, ...]) -> bool:
    return _status(scope, "success").success


def _failure(scope: Scope, _: tuple[Argument, ...]) -> bool:
    return _status(scope, "failure").failure


def _always(scope: Scope, _: tuple[Argument, ...]) -> bool:
    return _status(scope, "always") is not None


def _cancelled(scope: Scope, _: tuple[Argument, ...]) -> bool:
    return _status(scope, "cancelled").cancelled


STATUS: Final = (
    Function("success", 0, 0, _success, ("Boolean",)),
    Function("failure", 0, 0, _failure, ("Boolean",)),
    Function("always", 0, 0, _always, ("Boolean",)),
    Function("cancelled", 0, 0, _cancelled, ("Boolean",)),
)
