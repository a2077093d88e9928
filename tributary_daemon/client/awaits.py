"""What a step says of its wait for a time, a signal or an answer, and who could end it."""

from __future__ import annotations

import json
import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tributary_daemon.client.documents import rfc3339
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from tributary_daemon.client.reasons import Reason
    from tributary_daemon.store import runs
    from tributary_daemon.store.facts import StepFacts


def reason(fact: StepFacts, made: Any, run: runs.RunRow | None) -> Reason:
    """Return why a step waits that has terms.

    Args:
        fact: the step.
        made: makes a reason of code, message and hint.
        run: its run.
    """
    wait = fact.wait or {}
    until = _until(wait, fact.now)
    run_id = run.run_id if run is not None else "ID"
    told: Reason
    match wait["for"]:
        case "timer":
            told = made("timer", f"it waits{until}")
        case "signal":
            holding = (
                f" that holds {json.dumps(wait['payload'], ensure_ascii=False)}" if "payload" in wait else ""
            )
            told = made(
                "signal",
                f"it waits for the signal {wait['signal']!r}{holding}{until}",
                f"`trib signal {run_id} {shlex.quote(wait['signal'])}`",
            )
        case _:
            asked = f": {wait['prompt']}" if "prompt" in wait else ""
            # an item is addressed with brackets, which shells read as patterns
            name = shlex.quote(
                str(fact.step_id) if fact.item_key is None else f"{fact.step_id}[{fact.item_key}]"
            )
            told = made(
                "approval",
                f"it asks for an answer{until}{asked}",
                f"`trib approve {run_id} {name}`, or `trib reject {run_id} {name}`",
            )
    return told


def _until(wait: dict[str, Any], now: datetime) -> str:
    if wait["until"] is None:
        return ""
    at = datetime.fromisoformat(wait["until"])
    left = f", in {durations.text((at - now).total_seconds())}" if at > now else ""
    return f" until {rfc3339(at)}{left}"
