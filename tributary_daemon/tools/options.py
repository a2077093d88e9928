"""The options that a step would run with, each with the level that it comes from."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.model import durations
from tributary_daemon.model.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.spec.workflow import StepSpec

LEVELS: Final = ("step", "handler", "defaults", "config", "built-in")
"""Strongest first; flags of a submit would stand behind ``step``."""
_ONCE: Final = frozenset({"run", "workflow", "wait", "approve"})


def built_in(action: str) -> dict[str, Any]:
    """Return what holds where no level says anything."""
    return {
        "queue": "default",
        "priority": 0,
        "max_attempts": 1 if action in _ONCE else 3,
        "timeout": None,
        "retry": Retry().to_json(),
    }


def resolved(
    step: StepSpec,
    *,
    handler: Mapping[str, Any],
    defaults: Mapping[str, Any],
    config: Mapping[str, Any],
) -> dict[str, dict[str, Any]]:
    """Return ``{option: {"value", "level"}}``, each taken whole from the strongest level that gives it.

    Args:
        step: its own options are the strongest.
        handler: what the handler declares.
        defaults: of the workflow.
        config: of the configuration.
    """
    given = (step.options, handler, defaults, config, built_in(step.action))
    found: dict[str, dict[str, Any]] = {}
    for option in built_in(step.action):
        level, values = next((lv, each) for lv, each in zip(LEVELS, given, strict=True) if option in each)
        value = values[option]
        if option == "retry" and isinstance(value, dict):
            value = Retry.from_json(value).to_json()
        found[option] = {"value": value, "level": level}
    return found


class _Latest(Random):
    """The end of every range: the longest wait that jitter allows."""

    def uniform(self, a: float, b: float) -> float:  # noqa: ARG002 - the face of random
        return b


def longest(options: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Return the most seconds that all attempts of a step take; None without a timeout.

    Time spent waiting for a free slot is not counted: nobody knows it.
    """
    timeout, attempts = options["timeout"]["value"], options["max_attempts"]["value"]
    if not isinstance(timeout, (int, float)) or not isinstance(attempts, int):
        return None
    policy = Retry.from_json(options["retry"]["value"])
    waits = sum(policy.wait(failures, _Latest()) for failures in range(1, min(attempts, _SUMMED)))
    if attempts > _SUMMED:
        waits += (attempts - _SUMMED) * policy.wait(attempts, _Latest())
    total = attempts * timeout + waits
    if policy.budget is not None:
        # the last attempt starts within the budget
        total = min(total, durations.seconds(policy.budget) + timeout)
    return total if math.isfinite(total) else None


_SUMMED: Final = 1_000


def text(option: str, value: Any) -> str:
    """Return the value of an option as people read it."""
    if value is None:
        return "none"
    if option == "timeout" and isinstance(value, (int, float)):
        return durations.text(value)
    if option == "retry" and isinstance(value, dict):
        return _retry_text(value)
    return str(value)


def _retry_text(value: Mapping[str, Any]) -> str:
    policy = Retry.from_json(dict(value))
    parts = [policy.backoff, durations.text(durations.seconds(policy.delay))]
    if policy.backoff == "exponential":
        parts.append(f"x{policy.multiplier:g}")
    if policy.max_delay is not None:
        parts.append(f"up to {durations.text(durations.seconds(policy.max_delay))}")
    if policy.budget is not None:
        parts.append(f"within {durations.text(durations.seconds(policy.budget))}")
    for name, words in (("on", policy.on), ("not on", policy.not_on), ("on exit", policy.on_exit)):
        if words:
            parts.append(f"{name} {', '.join(map(str, words))}")
    return " ".join(parts)
