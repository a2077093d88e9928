"""The hook ``circuit_breaker``: what fails again and again is put off for a while, in all processes."""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import events
from tributary_daemon.config import values
from tributary_daemon.config.values import Refused
from tributary_daemon.engine.failures import type_name
from tributary_daemon.engine.hooking import tell
from tributary_daemon.errors import (
    Abort,
    DatabaseError,
    InvalidInput,
    LeaseLost,
    Snooze,
    StepCancelled,
)
from tributary_daemon.handlers.hook_events import BreakerClosed, BreakerOpened
from tributary_daemon.handlers.hooks import Hook
from tributary_daemon.hooks.keys import Shared
from tributary_daemon.hooks.options import option, seconds
from tributary_daemon.store import flow
from tributary_daemon.store.side import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from tributary_daemon.handlers.hooks import Host
    from tributary_daemon.handlers.step import Step
    from tributary_daemon.store.db import Operation

# say nothing of what the handler talks to: put off, cancelled, or refused for what the work itself is
_NEITHER: Final = (Snooze, StepCancelled, LeaseLost, Abort, InvalidInput)
_MOST_REMEMBERED: Final = 10_000
_DAY: Final = 86_400.0
_JITTER: Final = 0.1
_RANDOM: Final = Random()  # noqa: S311 - jitter, not secrets


class CircuitBreaker(Hook):
    """Puts attempts off while what they need is down.

    Closed, it lets all pass and counts failures. ``failures`` of them within ``window`` open it: for ``wait``
    attempts are snoozed, which uses none up. Then it is half-open: ``probes`` attempts may try; if all of
    them succeed it closes, if one fails it opens again. All processes of all workers share it by the
    database. While that cannot be reached it lets all pass.

    Args:
        failures: that open it, 1 to 1,000.
        window: within which they count, at most a day.
        wait: how long it stays open, and how long probes may take before others are sent.
        probes: attempts that try it when it is half-open.
        group: one breaker under this name for all handlers of the hook, instead of one for each.
        key: path into the payload (``order.bank``): a breaker for each value.
        per_tenant: a breaker for each tenant.
        ignore: class names of errors that do not count, beside aborts, snoozes, cancels and refused input.
        when_open: ``snooze``, or ``abort`` to discard what comes while it is open.
        refresh: how long a process believes that the breaker is closed before it asks again; 0 asks for
            each attempt.

    Raises:
        ConfigError: an option does not fit.
    """

    blocking = True

    def __init__(
        self,
        *,
        failures: int = 5,
        window: float | str | timedelta = "1m",
        wait: float | str | timedelta = "30s",
        probes: int = 1,
        group: str | None = None,
        key: str | None = None,
        per_tenant: bool = False,
        ignore: Iterable[str] = (),
        when_open: str = "snooze",
        refresh: float | str | timedelta = "1s",
    ) -> None:
        self._terms = flow.BreakerTerms(
            option("failures", failures, values.whole(1, 1_000)),
            option("window", seconds("window", window, 0.001), _within_a_day),
            seconds("wait", wait, 0.001),
            option("probes", probes, values.whole(1, 1_000)),
        )
        self._shared = Shared(group, key, per_tenant=option("per_tenant", per_tenant, values.flag))
        self._ignore = frozenset(option("ignore", list(ignore), values.names))
        self._aborts = option("when_open", when_open, values.choice("snooze", "abort")) == "abort"
        self._refresh = seconds("refresh", refresh)
        self._side: Side | None = None
        self._forget()

    def open(self, host: Host) -> None:
        """Find the database; a client has no use for a breaker."""
        self._side = Side(host.url)
        self._forget()

    def close(self) -> None:
        """Close the connections."""
        if self._side is not None:
            self._side.close()

    def before_work(self, step: Step, payload: Any) -> None:
        """Put the attempt off while the breaker is open."""
        shared = self._shared.of(step, payload)
        if self._closed.get(shared, 0.0) > time.monotonic():
            return
        passage = self._run(step, lambda: flow.ask_breaker(*shared, self._terms))
        if passage is None:
            return
        if passage.state == "closed":
            self._believe(shared)
        elif passage.token is not None:
            self._tokens[step.idempotency_token, step.attempt] = passage.token
        elif self._aborts:
            raise Abort(f"circuit breaker {_called(shared)} is open")
        else:
            raise Snooze((passage.opens_in or self._terms.wait) * _RANDOM.uniform(1, 1 + _JITTER))

    def after_work(self, step: Step, payload: Any, result: Any, error: BaseException | None) -> None:  # noqa: ARG002 - see Hook
        """Count how the attempt has ended."""
        token = self._tokens.pop((step.idempotency_token, step.attempt), None)
        good = self._judge(error)
        if token is None and good is not False:
            # what goes well while it is closed is not written down
            return
        shared = self._shared.of(step, payload)
        self._closed.pop(shared, None)
        changed = self._run(step, lambda: flow.tell_breaker(*shared, self._terms, good=good, token=token))
        if changed == "opened":
            events.emit(BreakerOpened(_called(shared), self._terms.wait))
        elif changed == "closed":
            events.emit(BreakerClosed(_called(shared)))

    def _forget(self) -> None:
        # breaker -> until when it is believed to be closed; attempt -> token of its probe
        self._closed: dict[tuple[str, str], float] = {}
        self._tokens: dict[tuple[str, int], int] = {}

    def _judge(self, error: BaseException | None) -> bool | None:
        if error is None:
            return True
        if isinstance(error, _NEITHER):
            return None
        names = {kind.__qualname__ for kind in type(error).__mro__} | {type_name(type(error))}
        return None if names & self._ignore else False

    def _believe(self, shared: tuple[str, str]) -> None:
        if self._refresh:
            if len(self._closed) >= _MOST_REMEMBERED:
                self._closed.clear()
            self._closed[shared] = time.monotonic() + self._refresh

    def _run(self, step: Step, make: Callable[[], Operation[Any]]) -> Any:
        """Run an operation; a database that does not answer is told, and stops nothing."""
        if self._side is None:
            return None
        try:
            return self._side.run(make)
        except DatabaseError as error:
            tell(self, "circuit_breaker", step.name, error)
            return None


def _within_a_day(value: float) -> float:
    if value > _DAY:
        raise Refused("at most a day is expected")
    return value


def _called(shared: tuple[str, str]) -> str:
    tenant, name = shared
    return f"{name} of tenant {tenant}" if tenant else name
