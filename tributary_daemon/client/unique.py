"""`Unique`: under which key work is the same as other work, and what a submit does when there is some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

MODES: Final = ("keep", "replace", "debounce")
_FIELDS: Final = ("key", "by", "period", "on_conflict", "max_wait")
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """Work of a name of which there is one at a time.

    Args:
        key: which it is; of one name and tenant.
        by: ``"payload"`` instead of a key: equal payloads (or inputs) are the same work.
        period: once in this time, counted from when it was recorded, whatever became of it; None: as long as
            it has not ended.
        on_conflict: ``keep`` the one there is; ``replace`` payload, options and time of one that waits; or
            ``debounce``: the same, for submits with ``run_after`` that push the time back.
        max_wait: how long a debounce pushes back in all; None for ever.

    Raises:
        InvalidInput: the fields do not go together.
    """

    key: str | None = None
    by: str | None = None
    period: float | str | timedelta | None = None
    on_conflict: str = "keep"
    max_wait: float | str | timedelta | None = None

    def __post_init__(self) -> None:
        fault = self._fault()
        if fault is not None:
            raise InvalidInput(fault, hint="docs/intents.md tells what goes together")

    def _fault(self) -> str | None:
        if (self.key is None) == (self.by is None):
            return "unique work needs a key, or by='payload'"
        if self.key is not None and (not isinstance(self.key, str) or not 1 <= len(self.key) <= _LONGEST):
            return f"{self.key!r} is not a unique key; use a text of 1 to {_LONGEST} characters"
        if self.by not in {None, "payload"}:
            return f"work is unique by 'payload', not by {self.by!r}"
        if self.on_conflict not in MODES:
            return f"on_conflict must be {', '.join(MODES[:-1])} or {MODES[-1]}, not {self.on_conflict!r}"
        if self.by is not None and self.on_conflict != "keep":
            return f"{self.on_conflict} needs a key: with by='payload' there is nothing to replace"
        if self.max_wait is not None and self.on_conflict != "debounce":
            return "max_wait belongs to on_conflict='debounce'"
        return None

    @classmethod
    def of(cls, given: Unique | Mapping[str, Any] | str) -> Unique:
        """Return what a caller means: fields, or a key alone.

        Raises:
            InvalidInput: an unknown field, or fields that do not go together.
        """
        if isinstance(given, Unique):
            return given
        if isinstance(given, str):
            return cls(key=given)
        unknown = [name for name in given if name not in _FIELDS]
        if unknown:
            raise InvalidInput(f"unknown key {unknown[0]!r} in unique", hint=f"known: {', '.join(_FIELDS)}")
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """Return it as SQL takes it: times in seconds, nothing that was left out."""
        plain = {
            "key": self.key,
            "by": self.by,
            "period": _seconds("period", self.period),
            "on_conflict": self.on_conflict,
            "max_wait": _seconds("max_wait", self.max_wait),
        }
        return {name: value for name, value in plain.items() if value is not None}


def _seconds(what: str, value: float | str | timedelta | None) -> float | None:
    if value is None:
        return None
    seconds = durations.seconds(value)
    if seconds <= 0:
        raise InvalidInput(f"{what} must be longer than 0")
    return seconds
