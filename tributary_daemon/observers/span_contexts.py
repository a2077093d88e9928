"""Contexts of spans of other processes, as traceparents name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tributary_daemon.observers.span_ids import span_of_step, trace_of

if TYPE_CHECKING:
    from collections.abc import Callable


def remote(trace: Any, traceparent: str) -> Any:
    """Return the SpanContext that a traceparent names.

    Args:
        trace: the module of OpenTelemetry of that name.
        traceparent: as W3C Trace Context writes it.
    """
    return trace.SpanContext(
        int(traceparent[3:35], 16),
        int(traceparent[36:52], 16),
        True,
        trace.TraceFlags(int(traceparent[53:], 16)),
    )


def above(trace: Any, attempt: Any, *, steps: bool = True) -> Any:
    """Return the SpanContext above that of an attempt: of its step or its submit; None where there is none.

    Args:
        trace: the module of OpenTelemetry of that name.
        attempt: a lease, or what a span keeps of one.
        steps: whether steps have spans.
    """
    ids = attempt.correlation
    parent = None if ids is None or ids.traceparent is None else remote(trace, ids.traceparent)
    if steps and attempt.ordinal:
        trace_id = trace_of(attempt.run_id) if parent is None else parent.trace_id
        step = span_of_step(attempt.run_id, attempt.ordinal, attempt.attempt_base)
        return trace.SpanContext(trace_id, step, True, trace.TraceFlags(trace.TraceFlags.SAMPLED))
    return parent if parent is not None and parent.span_id else None


def unsampled(trace: Any) -> Callable[[str], Any]:
    """Return what makes a span of a traceparent that it reads when somebody asks for it, which few do."""

    class Unsampled(trace.NonRecordingSpan):  # type: ignore[misc]
        """A span that is not sampled; the rest of it reads ``_context``."""

        def __init__(self, traceparent: str) -> None:
            self._traceparent = traceparent

        @property
        def _context(self) -> Any:
            return remote(trace, self._traceparent)

    return Unsampled
