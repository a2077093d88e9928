"""What a step waits for, once its expressions are evaluated: a time, a signal, an answer of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import codec
from tributary_daemon.engine.inputs import contexts, decide
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.control import APPROVE_NAME, Flag, is_asked
from tributary_daemon.model.outcome import Outcome, Waits
from tributary_daemon.spec.expressions import resolve
from tributary_daemon.spec.expressions.values import to_text
from tributary_daemon.spec.option_values import read_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.engine.surroundings import Surroundings

_LONGEST_NAME: Final = 300


def begin_wait(lease: Lease, around: Surroundings) -> Outcome:
    """Return what a step begins to wait for, or `Skipped` when its condition does not hold.

    Raises:
        ExpressionError: an expression cannot be evaluated.
        InvalidInput: it gives what is no duration, no time, or no name.
        CodecError: the payload that a signal has to hold cannot be stored.
    """
    if is_asked(lease.flags):
        return Waits(lease.payload)
    seen = contexts(around, codec.loads(lease.payload) if lease.flags & Flag.ITEM else None)
    if lease.flags & Flag.CONDITION and (skipped := decide(around, seen)) is not None:
        return skipped
    if lease.name == APPROVE_NAME:
        terms = _asked(around.step.get("approve") or {}, seen)
    else:
        terms = _awaited(around.step["wait"], seen)
    return Waits(codec.dumps(terms))


def _awaited(wait: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    if "for" in wait:
        return {"kind": "timer", "seconds": _read("wait.for", "timeout", wait["for"], seen)}
    if "until" in wait:
        at = _read("wait.until", "run_after", wait["until"], seen)
        if not isinstance(at, str):
            raise InvalidInput(
                f"`wait.until` gives {at!r}, which is no time",
                hint="write 2026-12-24T18:00:00Z; a duration stands in for",
            )
        return {"kind": "timer", "at": at}
    name = to_text(resolve(wait["signal"], seen, strict_missing=True))
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise InvalidInput(
            f"a signal needs a name of 1 to {_LONGEST_NAME} characters, not {name[:60]!r}",
            hint="look at the expression in `wait.signal`",
        )
    terms = {"kind": "signal", "signal": name, **_limits(wait)}
    if "payload" in wait:
        terms["payload"] = resolve(wait["payload"], seen, strict_missing=True)
    return terms


def _asked(approve: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    terms = {"kind": "approval", **_limits(approve)}
    if "prompt" in approve:
        terms["prompt"] = to_text(resolve(approve["prompt"], seen, strict_missing=True))
    if "form" in approve:
        terms["form"] = approve["form"]
    return terms


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {"goes_on": given.get("on_timeout") == "continue"}
    if "timeout" in given:
        limits["seconds"] = given["timeout"]
    return limits


def _read(key: str, option: str, value: Any, seen: Mapping[str, Any]) -> Any:
    """Return a duration in seconds or a time, as written or as its expression gives it."""
    found = resolve(value, seen, strict_missing=True)
    if found is None:
        raise InvalidInput(f"`{key}` gives null", hint="give a default in the expression: ${{ … ?? '5m' }}")
    try:
        return read_option(option, found)
    except InvalidInput as error:
        raise InvalidInput(f"`{key}`: {error.message}", hint=error.hint) from error
