"""What is said when a workflow function does not do what its history says: both, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.errors import NonDeterminism

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN: Final = 6


def deviation(
    name: str, events: Sequence[Mapping[str, Any]], position: int, asked: Sequence[str], what: str
) -> NonDeterminism:
    """Return the error.

    Args:
        name: of the workflow.
        events: as recorded.
        position: of the event at which they part.
        asked: what the code has asked for so far.
        what: the code does instead, as the rest of a sentence.
    """
    recorded = told(events[position]) if position < len(events) else "nothing more"
    before = [told(event) for event in events[max(0, position - _SHOWN) : position]]
    history = " → ".join([*(["…"] if position > _SHOWN else []), *before, f"[{recorded}]"])
    code = " → ".join([*(["…"] if len(asked) > _SHOWN else []), *asked[-_SHOWN:], f"[{what}]"])
    return NonDeterminism(
        f"the code of {name} has changed: at event {position + 1} its history has {recorded}, but {what}\n"
        f"  history: {history}\n  code:    {code}",
        hint="guard what is new with ctx.patched(…), or give the changed workflow a new name (…v2)",
    )


def told(event: Mapping[str, Any]) -> str:
    """Return an event in a few words."""
    match event["type"]:
        case "asked":
            return f"{event['kind']} {event['name']}"
        case "ended":
            return f"end of {event['n']} ({event['state']})"
        case "did":
            return f"end of {event['n']} ({'failed' if 'error' in event else 'completed'})"
        case "patched":
            return f"the patch {event['id']}"
        case "undo":
            return f"undo by {event['name']}"
        case other:
            return str(other)
