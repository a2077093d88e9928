"""What a function of the language is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tributary_daemon.spec.expressions.scope import Scope

    Argument = Callable[[Scope], Any]
    Body = Callable[[Scope, tuple[Argument, ...]], Any]

MANY: Final = 255


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the language.

    Attributes:
        name: as documented; calls ignore case.
        least: fewest arguments.
        most: most arguments.
        body: called with the scope and one closure per argument, so that a function decides what it
            evaluates; it evaluates each at most once, and counts what it makes and goes through.
        gives: kinds of its result; empty when any.
        takes: kinds that each argument may have, the last for all that follow; empty when any.
        odd: the number of arguments must be odd.
    """

    name: str
    least: int
    most: int
    body: Body
    gives: tuple[str, ...] = ()
    takes: tuple[tuple[str, ...], ...] = ()
    odd: bool = False
