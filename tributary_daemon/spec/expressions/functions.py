"""The functions of the language: one open table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tributary_daemon.spec.expressions.functions_github import GITHUB
from tributary_daemon.spec.expressions.functions_own import OWN
from tributary_daemon.spec.expressions.functions_status import STATUS

if TYPE_CHECKING:
    from tributary_daemon.spec.expressions.function import Function

FUNCTIONS: Final[dict[str, Function]] = {
    function.name.lower(): function for function in (*GITHUB, *OWN, *STATUS)
}
STATUS_FUNCTIONS: Final = frozenset(function.name.lower() for function in STATUS)
