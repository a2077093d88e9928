"""Retry policies: when the next attempt of a failed step is due. Arithmetic only."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, fields
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Literal

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model import durations

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta
    from random import Random

Backoff = Literal["exponential", "fixed", "quadratic"]
_CAP = 300.0
_STEEPEST = 100.0
_WILD = frozenset("*?[")
BACKOFFS: tuple[Backoff, ...] = ("exponential", "fixed", "quadratic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How long to wait between the attempts of one step.

    Durations may be given as seconds, timedelta or text (``"5m"``); they are kept in seconds.

    Attributes:
        backoff: ``exponential`` waits delay * multiplier**(n-1) after the n-th failure, ``quadratic``
            delay * n**2, ``fixed`` always delay.
        delay: the first wait.
        multiplier: growth of ``exponential``.
        max_delay: upper bound of every wait; None for five minutes, or ``delay`` where that is longer.
        jitter: share of the wait by which it varies at random, 0.1 for ±10%.
        budget: no attempt starts later than this after the first one started; None for no bound.
        on: names or patterns of the only errors to retry; empty for all.
        not_on: names or patterns of errors that are never retried.
        on_exit: the only exit codes of a shell step to retry; empty for all.
    """

    backoff: Backoff = "exponential"
    delay: float | str | timedelta = 1.0
    multiplier: float = 2.0
    max_delay: float | str | timedelta | None = None
    jitter: float = 0.1
    budget: float | str | timedelta | None = None
    on: tuple[str, ...] = field(default=())
    not_on: tuple[str, ...] = field(default=())
    on_exit: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.backoff not in BACKOFFS:
            raise InvalidInput(f"unknown backoff {self.backoff!r}", hint=f"use one of: {', '.join(BACKOFFS)}")
        if not 0 <= self.jitter <= 1:
            raise InvalidInput(f"retry jitter {self.jitter!r} is out of range", hint="0.1 means ±10%")
        if not 1 <= self.multiplier <= _STEEPEST:
            raise InvalidInput(f"retry multiplier {self.multiplier!r} is out of range", hint="use 1 to 100")
        object.__setattr__(self, "delay", durations.seconds(self.delay))
        for name in ("max_delay", "budget"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, durations.seconds(value))
        for name in ("on", "not_on", "on_exit"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def wait(self, failures: int, random: Random) -> float:
        """Return the seconds to wait after the ``failures``-th failure (1-based), jitter included."""
        base = durations.seconds(self.delay)
        cap = max(_CAP, base) if self.max_delay is None else durations.seconds(self.max_delay)
        match self.backoff:
            case "fixed":
                wait = base
            case "quadratic":
                wait = base * failures**2
            case "exponential":
                # past 64 doublings the cap holds anyway, and floats would overflow
                wait = base * self.multiplier ** min(failures - 1, 64)
        return min(wait, cap) * (1 + self.jitter * random.uniform(-1, 1))

    def retries(self, names: Collection[str], message: str = "", exit_code: int | None = None) -> bool:
        """Return whether this policy retries an error.

        An entry of ``on`` or ``not_on`` is a name, or a pattern (``*``, ``?``, ``[…]``) that one of the names
        has to match as a whole. One with ``": "`` in it has to match name and message: ``*: *deadlock*``.

        Args:
            names: what the error's class and its bases are called, bare and dotted.
            message: its text.
            exit_code: of a shell step.
        """
        if any(_matches(entry, names, message) for entry in self.not_on):
            return False
        if self.on_exit and exit_code is not None:
            return exit_code in self.on_exit
        return not self.on or any(_matches(entry, names, message) for entry in self.on)

    def to_json(self) -> dict[str, Any]:
        """Return the whole policy as stored in options; what bounds nothing is left out."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in plain.items() if v not in (None, ())}

    @classmethod
    def from_json(cls, value: dict[str, Any], base: Retry | None = None) -> Retry:
        """Build a policy from stored fields; what is missing comes from ``base``, else the built-in."""
        start = {f.name: getattr(base or _BUILTIN, f.name) for f in fields(cls)}
        return cls(**{**start, **value})


def _matches(entry: str, names: Collection[str], message: str) -> bool:
    if not _WILD.intersection(entry):
        return entry in names
    pattern = _compiled(entry)
    if ": " not in entry:
        return any(pattern.match(name) for name in names)
    return any(pattern.match(f"{name}: {message}") for name in names)


@functools.lru_cache(512)
def _compiled(entry: str) -> re.Pattern[str]:
    return re.compile(translate(entry))


_BUILTIN = Retry()
STEP_RETRY = _BUILTIN
INTENT_RETRY = Retry(backoff="quadratic", delay=60.0, max_delay=86_400.0)
