"""Submits in traces: a span for each, where the program that submits uses OpenTelemetry."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon.client.calls import Call
    from tributary_daemon.store.submit import Terms

_NAME: Final = "tributary-daemon"


@contextmanager
def traced(call: Call) -> Iterator[Call]:
    """Span a submit: what is yielded carries that span, so that its attempts become children of it.

    A program without OpenTelemetry pays one look into a table. What is not sampled is not carried.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        yield call
        return
    with trace.get_tracer(_NAME).start_as_current_span(
        f"submit {call.name}", kind=trace.SpanKind.PRODUCER, attributes={"tributary.name": call.name}
    ) as span:
        context = span.get_span_context()
        if context.is_valid and context.trace_flags.sampled:
            parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
            call = replace(call, terms=_carrying(call.terms, parent))
        yield call


def _carrying(terms: Terms, traceparent: str) -> Terms:
    """Return the terms with a traceparent; the ids beside it stay."""
    return replace(terms, submit={**terms.submit, "correlation": {**terms.ids, "traceparent": traceparent}})
