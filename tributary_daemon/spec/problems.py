"""Collects the faults of one document and places them in its text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tributary_daemon.errors import InvalidWorkflow, Problem
from tributary_daemon.spec import codes
from tributary_daemon.spec.nodes import Place

if TYPE_CHECKING:
    from tributary_daemon.spec.nodes import Node

# a hint that takes time to make is made only for a problem that will be shown
Hint = str | Callable[[], str] | None

MOST_SHOWN: Final = 200
_LONGEST_LINE: Final = 300
_LONGEST_MESSAGE: Final = 1_000
# what YAML counts as a line break; str.splitlines knows more
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


class Problems:
    """The faults and warnings found so far.

    Args:
        file: name shown to the user.
        text: the whole source, empty when there is none.
    """

    def __init__(self, file: str, text: str) -> None:
        self._file = _printable(file)
        self._lines = _BREAK.split(text) if text else []
        self._found: list[Problem] = []
        self._placed_at: set[tuple[str, Place, str]] = set()
        self._files: list[Problems] = []
        self._hidden = 0
        self.errors = 0

    @property
    def failed(self) -> bool:
        """Whether there is an error, here or in a file that came with this one."""
        return self.errors > 0 or any(file.failed for file in self._files)

    def add_file(self, problems: Problems) -> None:
        """Tell the problems of another file behind those of this one."""
        self._files.append(problems)

    def error(self, code: str, message: str, at: Node | Place | str, *, hint: Hint = None) -> None:
        """Record a fault at a node, a place, or a path of a Python value."""
        self.errors += 1
        self._add(code, message, at, hint, "error")

    def warning(self, code: str, message: str, at: Node | Place | str, *, hint: Hint = None) -> None:
        """Record a warning."""
        self._add(code, message, at, hint, "warning")

    def _add(self, code: str, message: str, at: Node | Place | str, hint: Hint, severity: str) -> None:
        # more than are shown, since the first ones by position may be found late
        if len(self._found) >= 2 * MOST_SHOWN:
            self._hidden += 1
            return
        place = at if isinstance(at, (Place, str)) else at.place
        if isinstance(place, Place):
            # what an anchor names is looked at once for each of its users
            key = (code, place, message)
            if key in self._placed_at:
                return
            self._placed_at.add(key)
        problem = Problem(
            code,
            _printable(f"{place}: {message}" if isinstance(place, str) and place else message),
            file=self._file,
            hint=_printable(hint() if callable(hint) else hint) if hint else None,
            severity=severity,
        )
        self._found.append(self._placed(problem, place) if isinstance(place, Place) else problem)

    def _placed(self, problem: Problem, place: Place) -> Problem:
        shown = _printable(self.line(place.line)[:_LONGEST_LINE])
        end = place.end_column if place.end_line == place.line else len(shown.rstrip())
        return replace(
            problem,
            line=place.line + 1,
            column=place.column + 1,
            length=max(1, min(end, len(shown)) - place.column),
            source_line=shown if place.column <= len(shown) else None,
        )

    def locate(self, node: Node, part: str) -> Node | Place:
        """Return the place of ``part`` inside the source of a text node; the node when it is not there."""
        place = node.place
        if isinstance(place, str) or "\n" in part or not part:
            return node
        for number in range(place.line, min(place.end_line + 1, len(self._lines))):
            line = self._lines[number]
            start = place.column if number == place.line else 0
            end = place.end_column if number == place.end_line else len(line)
            column = line.find(part, start, end)
            if column >= 0:
                return Place(number, column, number, column + len(part))
        return node

    def line(self, number: int) -> str:
        """Return a line of the source by its 0-based number, empty past the end."""
        return self._lines[number] if number < len(self._lines) else ""

    def finish(self, *, strict: bool) -> tuple[Problem, ...]:
        """Return the warnings, by position.

        Raises:
            InvalidWorkflow: there are errors, or with ``strict`` warnings; it holds both.
        """
        ordered = self.ordered()
        if strict:
            ordered = [replace(problem, severity="error") for problem in ordered]
        hidden = self.hidden() + max(0, len(ordered) - MOST_SHOWN)
        ordered = ordered[:MOST_SHOWN]
        if hidden:
            severity = "error" if self.failed or strict else "warning"
            message = f"{hidden:,} further problems are not shown"
            ordered.append(Problem(codes.MORE, message, file=self._file, severity=severity))
        if self.failed or (strict and ordered):
            raise InvalidWorkflow(ordered)
        return tuple(ordered)

    def hidden(self) -> int:
        """Return how many problems were counted only."""
        return self._hidden + sum(file.hidden() for file in self._files)

    def ordered(self) -> list[Problem]:
        """Return the problems by position, those of other files behind those of this one."""
        ordered = sorted(self._found, key=lambda problem: (problem.line or 0, problem.column or 0))
        for file in self._files:
            ordered += file.ordered()
        return ordered


def line_starts(text: str) -> list[int]:
    """Return the offset of the first character of every line, as YAML counts lines."""
    return [0, *(found.end() for found in _BREAK.finditer(text))]


def _printable(text: str) -> str:
    if len(text) > _LONGEST_MESSAGE:
        text = f"{text[:_LONGEST_MESSAGE]}…"
    # letter by letter, so that carets stay below what they point at
    return text if text.isprintable() else "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if letter == "\t":
        return " "
    return letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}"
