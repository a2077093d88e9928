"""Contexts of spans of other processes, as traceparents name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tributary_daemon.observers.span_ids import span_of_step, trace_of

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLED: Final = 1
"""The trace flag that says so."""


class Upper(NamedTuple):
    """A span of another process, as far as others know it.

    Attributes:
        trace_id: of its trace.
        span_id: its own; 0 where only a trace is named.
        flags: its trace flags.
    """

    trace_id: int
    span_id: int
    flags: int


def named(traceparent: str) -> Upper:
    """Return the span that a traceparent names, as W3C Trace Context writes it."""
    return Upper(int(traceparent[3:35], 16), int(traceparent[36:52], 16), int(traceparent[53:], 16))


def remote(trace: Any, upper: Upper) -> Any:
    """Return the SpanContext of a span of another process.

    Args:
        trace: the module of OpenTelemetry of that name.
        upper: the span.
    """
    return trace.SpanContext(upper.trace_id, upper.span_id, True, trace.TraceFlags(upper.flags))


def above(attempt: Any, *, steps: bool = True) -> Upper | None:
    """Return the span above that of an attempt: of its step or its submit; None where there is none.

    Args:
        attempt: a lease, or what a span keeps of one.
        steps: whether steps have spans.
    """
    ids = attempt.correlation
    parent = None if ids is None or ids.traceparent is None else named(ids.traceparent)
    if steps and attempt.ordinal:
        trace_id = trace_of(attempt.run_id) if parent is None else parent.trace_id
        return Upper(trace_id, span_of_step(attempt.run_id, attempt.ordinal, attempt.attempt_base), SAMPLED)
    return parent if parent is not None and parent.span_id else None


def unsampled(trace: Any) -> Callable[[str], Any]:
    """Return what makes a span of a traceparent that it reads when somebody asks for it, which few do."""

    class Unsampled(trace.NonRecordingSpan):  # type: ignore[misc]
        """A span that is not sampled; the rest of it reads ``_context``."""

        def __init__(self, traceparent: str) -> None:
            self._traceparent = traceparent

        @property
        def _context(self) -> Any:
            return remote(trace, named(self._traceparent))

    return Unsampled
