"""Traces by OpenTelemetry: a span for each attempt, child of the span that has submitted its work.

Set up by the standard variables (``OTEL_TRACES_EXPORTER``, ``OTEL_TRACES_SAMPLER`` …), or by the program in
which a worker runs. Without any of that, nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

import os
import random
import re
import sys
import threading
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from tributary_daemon import events
from tributary_daemon.events import Event
from tributary_daemon.model.outcome import CacheWait, Completed, Crashed, Discarded, Failed, Recorded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.model.outcome import Outcome

NAME: Final = "tributary-daemon"
_GROUP: Final = "opentelemetry_traces_exporter"
_SWITCHES: Final = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
_LAST_WORDS: Final = 5.0
_RATIO: Final = re.compile(
    r"(?:ParentBased\{root:)?(?:TraceIdRatioBased\{(?P<rate>[0-9.eE+-]+)\}|AlwaysO(?P<on>n|ff)Sampler)"
)


@dataclass(frozen=True, slots=True)
class TracingFailed(Event):
    """Traces are asked for and cannot be written; the worker goes on without."""

    level: ClassVar[str] = "error"
    error: str
    hint: str | None = None


class Begun(NamedTuple):
    """An attempt that is traced: its span, if it is sampled, and what restores the context before it."""

    span: Any
    token: Any


class Tracing:
    """Spans of attempts.

    Args:
        tracer: makes them.
        rate: how many of the attempts whose work carries no trace begin one; 1.0 leaves that to the tracer.
    """

    def __init__(self, tracer: Any, rate: float = 1.0) -> None:
        self._tracer = tracer
        self._rate = rate
        self._trace: Any = import_module("opentelemetry.trace")
        context: Any = import_module("opentelemetry.context")
        self._attach, self._detach, self._current = context.attach, context.detach, context.get_current
        self._root = context.Context()
        # one for all that are not sampled: what these start is not, either, and making it costs nothing
        self._unsampled = self._context(random.getrandbits(128) or 1, random.getrandbits(64) or 1, 0)

    def begin(self, lease: Lease) -> Begun | None:
        """Make the span of an attempt the current one; None where it begins no trace."""
        ids = lease.correlation
        if ids is None or ids.traceparent is None:
            if random.random() >= self._rate:  # noqa: S311 - sampling
                # it stays, as what threads and tasks of handlers are in between
                if self._current() is not self._unsampled:
                    self._attach(self._unsampled)
                return None
            parent = self._root
        else:
            _, trace_id, span_id, flags = ids.traceparent.split("-")
            parent = self._context(int(trace_id, 16), int(span_id, 16), int(flags, 16))
            if not int(flags, 16) & 1:
                return Begun(None, self._attach(parent))
        span = self._tracer.start_span(
            f"attempt {lease.name}", parent, self._trace.SpanKind.CONSUMER, _attributes(lease)
        )
        return Begun(span, self._attach(self._trace.set_span_in_context(span, parent)))

    def end(self, lease: Lease, outcome: Outcome | None, begun: Begun | None) -> None:
        """End the span of an attempt, with its outcome."""
        if begun is None:
            return
        self._detach(begun.token)
        if begun.span is None:
            return
        inner = outcome.outcome if isinstance(outcome, Recorded) else outcome
        begun.span.set_attribute("tributary.outcome", _word(inner, lease))
        match inner:
            case Failed(error, _) | Discarded(error, _) | Crashed(error):
                fields = {"exception.type": error.type, "exception.message": error.message}
                if error.traceback:
                    fields["exception.stacktrace"] = error.traceback
                begun.span.add_event("exception", fields)
                begun.span.set_status(self._trace.StatusCode.ERROR, error.message[:200])
        begun.span.end()

    def break_off(self, _lease: Lease, begun: Begun | None) -> None:
        """End the span of an attempt that came to no outcome of its own."""
        if begun is None:
            return
        self._detach(begun.token)
        if begun.span is not None:
            begun.span.set_attribute("tributary.outcome", "interrupted")
            begun.span.end()

    def _context(self, trace_id: int, span_id: int, flags: int) -> Any:
        trace = self._trace
        context = trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flags))
        return trace.set_span_in_context(trace.NonRecordingSpan(context), self._root)


def _word(outcome: Outcome | None, lease: Lease) -> str:
    match outcome:
        case None | Completed():
            return "completed"
        case Failed() if lease.last:
            return "discarded"
        case CacheWait():
            return "cache_wait"
    return type(outcome).__name__.lower()


def _attributes(lease: Lease) -> dict[str, Any]:
    found: dict[str, Any] = {
        "tributary.run_id": lease.run_id,
        "tributary.kind": lease.kind,
        "tributary.handler": lease.name,
        "tributary.queue": lease.queue,
        "tributary.attempt": lease.attempt,
        "tributary.step": lease.step_id,
        "tributary.tenant": lease.tenant or None,
    }
    if lease.correlation is not None:
        found["tributary.correlation_id"] = lease.correlation.correlation_id
        found["tributary.business_id"] = lease.correlation.business_id
    return {name: value for name, value in found.items() if value is not None}


_providers: list[Any] = []
_ours: list[Tracing | None] = []


def start(environ: Mapping[str, str] = os.environ) -> Tracing | None:
    """Return what traces attempts in this process; None where nobody has asked for traces.

    What the program or a module of handlers has set up by itself is used as it is. Otherwise the variables
    say; what is wrong with them is an event, and no reason to stop.
    """
    if _ours:
        return _ours[0]
    used = sys.modules.get("opentelemetry.trace")
    if used is not None and type(used.get_tracer_provider()).__name__ != "ProxyTracerProvider":
        return Tracing(used.get_tracer(NAME))
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(map(environ.get, _SWITCHES)):
        return None
    names = [name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "otlp").split(",") if name.strip()]
    if names == ["none"]:
        return None
    made = None
    try:
        made = _configured(names)
    except ImportError as error:
        events.emit(TracingFailed(str(error), "install tributary-daemon[otel]"))
    except Exception as error:  # noqa: BLE001 - exporters are what others have written
        events.emit(TracingFailed(f"{type(error).__name__}: {error}", "docs/tracing.md lists the variables"))
    # what failed once is not tried, and said, again
    _ours.append(made)
    return made


def _configured(names: list[str]) -> Tracing:
    trace: Any = import_module("opentelemetry.trace")
    sdk: Any = import_module("opentelemetry.sdk.trace")
    export: Any = import_module("opentelemetry.sdk.trace.export")
    sampling: Any = import_module("opentelemetry.sdk.trace.sampling")
    resources: Any = import_module("opentelemetry.sdk.resources")
    resource = resources.Resource.create(
        {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": NAME}
    )
    processors = [export.BatchSpanProcessor(_exporter(name)()) for name in names]
    provider = sdk.TracerProvider(resource=resource)
    rate = _rate(provider.sampler.get_description())
    ours = provider
    if rate is not None:
        # which attempts begin a trace is decided before anything is made for them, see Tracing.begin
        ours = sdk.TracerProvider(sampler=sampling.ParentBased(sampling.ALWAYS_ON), resource=resource)
        _providers.append(ours)
    for processor in processors:
        for made in {id(provider): provider, id(ours): ours}.values():
            made.add_span_processor(processor)
    _providers.append(provider)
    trace.set_tracer_provider(provider)
    return Tracing(ours.get_tracer(NAME), 1.0 if rate is None else rate)


def _rate(sampler: str) -> float | None:
    """Return the ratio of a sampler that decides by chance alone; None of any other."""
    match = _RATIO.match(sampler)
    if match is None:
        return None
    return float(match["rate"]) if match["rate"] is not None else float(match["on"] == "n")


def _exporter(name: str) -> Any:
    if name == "otlp":
        protocol = os.environ.get(
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        )
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    points = {point.name: point for point in metadata.entry_points(group=_GROUP)}
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise ImportError(f"there is no exporter of traces '{name}'; installed: {known}")
    return points[name].load()


def flush() -> None:
    """Write out the spans of this process that have ended, within five seconds: it is about to end."""
    if not _providers:
        return

    def write() -> None:
        for provider in _providers:
            provider.force_flush(int(_LAST_WORDS * 1000))

    # an exporter may wait for a collector that does not answer for longer than it is allowed to
    thread = threading.Thread(target=write, name="last spans", daemon=True)
    thread.start()
    thread.join(_LAST_WORDS)
