"""What a test case expects against what its run came to: every difference by its path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tributary_daemon.tools.cases import Expected, ExpectedStep

ABSENT: Final = object()
"""Stands for a value that is not there at all."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where both differ.

    Attributes:
        path: ``steps.charge.result.payment``.
        expected: JSON value, or `ABSENT`.
        actual: JSON value, or `ABSENT`.
    """

    path: str
    expected: Any
    actual: Any

    def to_json(self) -> dict[str, Any]:
        """Return path and both values; what is absent is left out."""
        sides = {"expected": self.expected, "actual": self.actual}
        return {"path": self.path, **{side: value for side, value in sides.items() if value is not ABSENT}}


def differences(
    expected: Expected, run: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]
) -> list[Difference]:
    """Compare a whole run.

    Args:
        expected: of the case.
        run: document as ``status`` prints it.
        steps: documents of its steps and items by id; ``with`` is the input that their bodies got last.
    """
    found = list(_compare("state", expected.state, run["state"]))
    for key in ("result", "warnings"):
        if expected.gives(key):
            found += _compare(key, getattr(expected, key), run[key])
    for name, step in expected.steps.items():
        if name in steps:
            found += _step(f"steps.{name}", step, steps[name])
        else:
            found.append(
                Difference(f"steps.{name}", step.model_dump(exclude_unset=True, by_alias=True), ABSENT)
            )
    return found


def _step(path: str, expected: ExpectedStep, actual: Mapping[str, Any]) -> Iterator[Difference]:
    for key in ("state", "attempt", "result"):
        if expected.gives(key):
            yield from _compare(f"{path}.{key}", getattr(expected, key), actual[key])
    if expected.gives("reason"):
        error = actual["error"] or {}
        yield from _compare(f"{path}.reason", expected.reason, actual["reason"] or error.get("reason"))
    if expected.gives("with_"):
        yield from _compare(f"{path}.with", expected.with_, actual.get("with", ABSENT))


def _compare(path: str, expected: Any, actual: Any) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in {**expected, **actual}:
            yield from _compare(f"{path}.{key}", expected.get(key, ABSENT), actual.get(key, ABSENT))
    elif isinstance(expected, list) and isinstance(actual, list):
        for index in range(max(len(expected), len(actual))):
            sides = [side[index] if index < len(side) else ABSENT for side in (expected, actual)]
            yield from _compare(f"{path}[{index}]", *sides)
    # to Python true is 1, to JSON it is not
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield Difference(path, expected, actual)
