"""`Finding`: one line of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor.

    Attributes:
        check: what was looked at.
        level: ``warn`` works but deserves a look; ``fail`` does not work.
        message: what was found.
        hint: what to do about it.
        code: exit code of a failure.
    """

    check: str
    level: Level
    message: str
    hint: str | None = None
    code: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the finding as ``doctor -o json`` prints it."""
        return {"check": self.check, "level": self.level, "message": self.message, "hint": self.hint}
