"""How a wait for a concurrency group is told: who holds its slots, and who comes first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.model import durations
from tributary_daemon.store.groups import WHOLE_RUN

if TYPE_CHECKING:
    from tributary_daemon.store.groups import Standing

_NAMED: Final = 3


def waits_for(place: Standing, now: datetime) -> str:
    """Return one sentence on where a member stands in its group."""
    who = "its run waits" if place.ordinal == WHOLE_RUN else "it waits"
    if place.ousted:
        return (
            f"{who} for the group {place.group}, and a newer one takes its place: it is about to be cancelled"
        )
    held = len(place.holders)
    named = ", ".join(_holder(holder, now) for holder in place.holders[:_NAMED])
    more = f" and {held - _NAMED} more" if held > _NAMED else ""
    slots = f"{held} of {place.slots} slots held" if place.slots else "its slots are held"
    by = f" by {named}{more}" if named else ""
    line = "it is next" if not place.before else f"{place.before} before it"
    return f"{who} for the group {place.group}: {slots}{by}; {line}"


def _holder(holder: dict[str, Any], now: datetime) -> str:
    step = f"/{holder['step']}" if holder["step"] else ""
    since = durations.text(max(0.0, (now - datetime.fromisoformat(holder["since"])).total_seconds()))
    return f"{holder['name'] or 'a run'} {holder['id'][-8:]}{step} for {since}"
