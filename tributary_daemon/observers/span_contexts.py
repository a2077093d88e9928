"""Contexts of spans of other processes, as traceparents name them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
