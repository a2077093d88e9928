"""What one evaluation sees, and what it may use up: text and elements made, work done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.spec.expressions.errors import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Mapping

# characters and elements made on the way to a result; a payload may have 1 MiB, two bytes a character
MAX_MADE: Final = 512 * 1024
# units of about 10 ns: what looks at large values counts what it looks at. Counted, not timed, so that an
# expression that passes on one machine passes on all
MAX_WORK: Final = 4_000_000
# texts up to this length are compared without counting
LONG: Final = 256
# a letter whose upper case is longer makes folding go letter by letter
_UNITS_PER_ODD_LETTER: Final = 20
_ASCII_PER_UNIT: Final = 4


class Status(NamedTuple):
    """What the status functions of a condition answer; decided by whoever evaluates it.

    Attributes:
        success: all needs are good.
        failure: a step above was discarded and not tolerated.
        cancelled: the run is being cancelled.
    """

    success: bool
    failure: bool
    cancelled: bool


class Scope:
    """What one evaluation sees and may use up.

    Args:
        contexts: name in lower case -> value.
        strict: a path that leads nowhere is an error, see ``strict_missing`` of ``resolve``.
        status: of a condition; None everywhere else.

    Attributes:
        names: id of an object -> the object, and its values by name as names are compared; made for large
            objects on first need.
    """

    __slots__ = ("contexts", "made", "names", "status", "strict", "work")

    def __init__(self, contexts: Mapping[str, Any], *, strict: bool, status: Status | None = None) -> None:
        self.contexts = contexts
        self.strict = strict
        self.status = status
        self.made = 0
        self.work = 0
        self.names: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}

    def make(self, amount: int) -> None:
        """Count characters or elements that are made.

        Raises:
            ExpressionError: more than 512 Ki.
        """
        self.made += amount
        check_size(self.made)

    def spend(self, units: int) -> None:
        """Count work before it is done.

        Raises:
            ExpressionError: more than an expression may do.
        """
        self.work += units
        if self.work > MAX_WORK:
            raise ExpressionError(
                "evaluation",
                "The expression has too much to look at",
                hint="let a step prepare the value: handlers have no such bound",
            )

    def read(self, text: str) -> None:
        """Count the work of going through a text once."""
        if text.isascii():
            self.spend(len(text) // _ASCII_PER_UNIT)
        elif len(text.upper()) == len(text):
            self.spend(len(text))
        else:
            self.spend(len(text) * _UNITS_PER_ODD_LETTER)


def check_size(amount: int) -> None:
    """Bound what is made.

    Raises:
        ExpressionError: more than 512 Ki characters or elements.
    """
    if amount > MAX_MADE:
        raise ExpressionError(
            "evaluation",
            "The maximum allowed memory size was exceeded",
            hint=f"one evaluation makes at most {MAX_MADE:,} characters and elements",
        )
