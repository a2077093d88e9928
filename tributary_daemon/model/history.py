"""The history of a workflow function: what it has asked for, and how that ended, in the order of its notice.

Events are JSON objects with a ``type``:

    began      at                                the first of all
    continued  count, first                      begins it instead, after ctx.continue_as_new
    asked      n, kind, name, id, ordinal        a step, a wait, a child; without ordinal it is done in place
    ended      n, ordinal, state, at             the function took note of the end of a step
    did        n, at, result or error            what was asked for in place is done
    patched    id                                ctx.patched said yes
    undo       id, name, payload                 ctx.on_failure
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST: Final = 3
"""Ordinal of the first step that a workflow function asks for; 1 is its own, 2 of no step."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a step has ended.

    Attributes:
        state: ``completed``, ``discarded``, ``cancelled``.
        at: when, RFC 3339.
        result: of a completed one.
        error: record of the others, as `model.outcome.ErrorRecord.to_json`; None where there is none.
    """

    state: str
    at: str
    result: Any = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What is recorded of a run of a workflow function.

    Attributes:
        events: in order, see above.
        endings: ordinal -> how the step has ended, of all that have.
        number: under which its next events are recorded.
        made: ordinal of the first step that does not exist yet, asked for or not.
    """

    events: Sequence[Mapping[str, Any]] = ()
    endings: Mapping[int, Ending] = field(default_factory=dict)
    number: int = 1
    made: int = FIRST

    @property
    def last_at(self) -> str:
        """When its last event was, RFC 3339; 1970 where there is none: nothing has happened yet."""
        times = (event["at"] for event in reversed(self.events) if "at" in event)
        return str(next(times, "1970-01-01T00:00:00+00:00"))

    def cut(self, length: int) -> History:
        """Return the history as it was when only the first ``length`` events had been recorded.

        Steps that had been asked for by then have ended as they have ended by now.
        """
        events = self.events[:length]
        asked = {event["ordinal"] for event in events if event["type"] == "asked" and "ordinal" in event}
        endings = {ordinal: ending for ordinal, ending in self.endings.items() if ordinal in asked}
        return History(events, endings, self.number, self.made)

    def to_json(self) -> dict[str, Any]:
        """Return it as ``trib replay -o json`` writes it."""
        return {
            "events": [dict(event) for event in self.events],
            "endings": {
                str(ordinal): {
                    "state": ending.state,
                    "at": ending.at,
                    "result": ending.result,
                    "error": None if ending.error is None else dict(ending.error),
                }
                for ordinal, ending in self.endings.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> History:
        """Rebuild from `to_json`."""
        return cls(
            value["events"],
            {int(ordinal): Ending(**ending) for ordinal, ending in value["endings"].items()},
        )
