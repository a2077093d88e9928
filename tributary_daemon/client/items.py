"""`ItemDocument`: one item of a fan-out, as it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tributary_daemon.client.documents import ErrorDocument, rfc3339

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDocument:
    """One item of a fan-out.

    Attributes:
        key: what it is addressed by: ``STEP[KEY]``.
        index: its place, from 0.
        item: of ``for_each``, its value; of ``matrix`` its combination.
        child: of a sub-workflow, id of the run that it started last.
    """

    key: str
    index: int
    item: Any
    state: str
    reason: str | None
    attempt: int
    result: Any
    error: ErrorDocument | None
    started_at: datetime | None
    finished_at: datetime | None
    child: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the item as ``status --items`` prints it."""
        plain: dict[str, Any] = {
            "key": self.key,
            "index": self.index,
            "item": self.item,
            "state": self.state,
            "reason": self.reason,
            "attempt": self.attempt,
            "result": self.result,
            "error": None if self.error is None else self.error.to_json(),
            "started_at": rfc3339(self.started_at),
            "finished_at": rfc3339(self.finished_at),
        }
        if self.child is not None:
            plain["child"] = self.child
        return plain
