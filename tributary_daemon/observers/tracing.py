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
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

from tributary_daemon import events
from tributary_daemon.events import Event
from tributary_daemon.model.outcome import CacheWait, Completed, Crashed, Discarded, Failed, Recorded
from tributary_daemon.observers import otlp
from tributary_daemon.observers.direct_spans import DirectSpans
from tributary_daemon.observers.run_spans import RunSpans
from tributary_daemon.observers.span_contexts import above, named, remote, unsampled
from tributary_daemon.observers.span_ids import GivenIds, trace_of
from tributary_daemon.observers.span_records import OUTCOME, attributes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.model.outcome import ErrorRecord, Outcome
    from tributary_daemon.observers.direct_spans import Run
    from tributary_daemon.observers.span_queue import SpanQueue

NAME: Final = "tributary-daemon"
_GROUP: Final = "opentelemetry_traces_exporter"
_SWITCHES: Final = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)
_LAST_WORDS: Final = 5.0
# last digits of flags whose lowest bit is set
_SAMPLED: Final = "13579bdf"
_RATIO: Final = re.compile(
    r"(?:ParentBased\{root:)?(?:TraceIdRatioBased\{(?P<rate>[0-9.eE+-]+)\}|AlwaysO(?P<on>n|ff)Sampler)"
)
# what the SDK cuts off, and those who end their spans without it do not
_LIMIT: Final = re.compile(r"OTEL_(?:SPAN|ATTRIBUTE|EVENT|LINK)_\w*LIMIT")


@dataclass(frozen=True, slots=True)
class TracingFailed(Event):
    """Traces are asked for and cannot be written; the worker goes on without."""

    level: ClassVar[str] = "error"
    error: str
    hint: str | None = None


class Begun(NamedTuple):
    """An attempt that is traced: its span, and what restores the context before it."""

    span: Any
    token: Any


class Tracing:
    """Spans of attempts, and of the steps and runs that end with them.

    Args:
        tracer: makes them.
        rate: how many of the works that carry no trace begin one; 1.0 leaves that to the tracer.
        queue: takes spans that need nothing of the tracer; None where all do.

    Attributes:
        spans: makes those of steps and runs; None where the tracer is none of the SDK, whose ids cannot be
            given: attempts are children of the submit then.
        note: called for each attempt of a sampled run that has ended.
    """

    def __init__(self, tracer: Any, rate: float = 1.0, queue: SpanQueue | None = None) -> None:
        self._tracer = tracer
        self._decides = rate < 1.0
        # compared with an id's last digits read backwards: of ids that count up, too, so many are below it
        self._below = f"{min(int(rate * 2**32), 2**32 - 1):08x}"
        self._highest = self._below[0]
        self._trace: Any = import_module("opentelemetry.trace")
        context: Any = import_module("opentelemetry.context")
        self._attach, self._detach, self._current = context.attach, context.detach, context.get_current
        self._root = context.Context()
        self.note: Callable[[Any], None] | None = None
        # one for all that are not sampled: what these start is not, either, and making it costs nothing
        self._unsampled = self._context(random.getrandbits(128) or 1, random.getrandbits(64) or 1, 0)
        self._passing = unsampled(self._trace)
        self._context_type = context.Context
        (self._key,) = self._unsampled
        self._direct: DirectSpans | None = None
        self.spans: RunSpans | None = None
        ids = getattr(tracer, "id_generator", None)
        if ids is not None and hasattr(tracer, "sampler"):
            given = ids if isinstance(ids, GivenIds) else GivenIds(ids)
            tracer.id_generator = given
            self._direct = None if queue is None else DirectSpans(tracer, self._trace, given, queue)
            self.spans = RunSpans(tracer, self._trace, given, self._has, self._direct)

    def noting(self, note: Callable[[Any], None]) -> Self:
        """Return the same, with ``note`` called for each attempt of a sampled run that has ended."""
        new = copy(self)
        new.note = note
        return new

    def begin(self, lease: Lease) -> Begun | None:
        """Make the span of an attempt the current one; None where it is not sampled."""
        ids = lease.correlation
        traceparent = None if ids is None else ids.traceparent
        in_run = lease.ordinal and self.spans is not None
        if traceparent is None:
            # by its id, where the tracer does not decide: all attempts of a run or an intent, or none
            if (in_run or self._decides) and not self._begins(lease.run_id):
                if self._current() is not self._unsampled:
                    self._attach(self._unsampled)
                return None
        elif traceparent[-1] not in _SAMPLED:
            # it stays, as what threads and tasks of handlers are in between
            self._attach(self._context_type({self._key: self._passing(traceparent)}))
            return None
        if self._direct is not None:
            span = self._direct.begin(lease)
        else:
            upper = above(lease, steps=self.spans is not None)
            parent = self._root if upper is None else self._in_context(remote(self._trace, upper))
            span = self._tracer.start_span(
                f"attempt {lease.name}", parent, self._trace.SpanKind.CONSUMER, attributes_of(lease)
            )
        return Begun(span, self._attach(self._context_type({self._key: span})))

    def mark(self, leases: Sequence[Any]) -> None:
        """Set ``told`` of those leases that may be sampled: of all, where only the tracer can tell."""
        decides, below, highest = self._decides, self._below, self._highest
        for lease in leases:
            # most end with another digit, which is known sooner than the rest is compared
            if (
                (lease.run_id[-1] <= highest and lease.run_id[:-9:-1] < below)
                or lease.correlation is not None
                or not decides
            ):
                lease.told = True

    def prepare(self) -> None:
        """Have what is not chosen in this thread start nothing that is sampled."""
        if self._decides:
            self._attach(self._unsampled)

    def quick(self, run: Run, told: Run) -> Run:
        """Return ``told``, which is ``run`` traced, or a shorter way to the same for threads of handlers."""
        if self._direct is None or not self._decides:
            return told
        return self._direct.quick(
            run, told, below=self._below, resting=self._unsampled, conclude=self._conclude, note=self.note
        )

    def passed(self, lease: Lease) -> None:
        """A step of the engine's own has come to an outcome: with it may end what has a span."""
        if self.note is not None and self._has(
            lease.run_id, None if lease.correlation is None else lease.correlation.traceparent
        ):
            self.note(lease)

    def traceparent(self) -> str:
        """Return the current span as W3C Trace Context writes it."""
        context = self._trace.get_current_span().get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}"

    def _has(self, run_id: str, traceparent: str | None) -> bool:
        """Return whether a run is sampled: all processes say the same."""
        return self._begins(run_id) if traceparent is None else traceparent[-1] in _SAMPLED

    def _begins(self, run_id: str) -> bool:
        """Return whether a run that carries no trace begins one."""
        if self._decides:
            return run_id[:-9:-1] < self._below
        decided = self._tracer.sampler.should_sample(self._root, trace_of(run_id), "run")
        return bool(decided.decision.is_sampled())

    def end(self, lease: Lease, outcome: Outcome | None, begun: Begun | None) -> None:
        """End the span of an attempt, with its outcome."""
        if begun is None:
            return
        self._detach(begun.token)
        self._conclude(lease, outcome, begun.span)
        if lease.ordinal and self.note is not None:
            self.note(lease)

    def _conclude(self, lease: Lease, outcome: Outcome | None, span: Any) -> None:
        inner = outcome.outcome if isinstance(outcome, Recorded) else outcome
        word = _word(inner, lease)
        error = inner.error if isinstance(inner, (Failed, Discarded, Crashed)) else None
        if error is not None or self._direct is None or not span.conclude(word):
            span.set_attribute(OUTCOME, word)
            if error is not None:
                self._blame(span, error)
            span.end()

    def _blame(self, span: Any, error: ErrorRecord) -> None:
        fields = {"exception.type": error.type, "exception.message": error.message}
        if error.traceback:
            fields["exception.stacktrace"] = error.traceback
        span.add_event("exception", fields)
        span.set_status(self._trace.StatusCode.ERROR, error.message[:200])

    def break_off(self, _lease: Lease, begun: Begun | None) -> None:
        """End the span of an attempt that came to no outcome of its own."""
        if begun is not None:
            self._detach(begun.token)
            begun.span.set_attribute(OUTCOME, "interrupted")
            begun.span.end()

    def _context(self, trace_id: int, span_id: int, flags: int) -> Any:
        trace = self._trace
        return self._in_context(trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flags)))

    def _in_context(self, context: Any) -> Any:
        return self._trace.set_span_in_context(self._trace.NonRecordingSpan(context), self._root)


def _word(outcome: Outcome | None, lease: Lease) -> str:
    match outcome:
        case None | Completed():
            return "completed"
        case Failed() if lease.last:
            return "discarded"
        case CacheWait():
            return "cache_wait"
    return type(outcome).__name__.lower()


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
    resource = _hashed_once(
        resources.Resource.create({} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": NAME})
    )
    provider = sdk.TracerProvider(resource=resource)
    rate = _rate(provider.sampler.get_description())
    processors = [export.BatchSpanProcessor(_exporter(name)()) for name in names]
    ours = provider
    if rate is not None:
        # which attempts begin a trace is decided before anything is made for them, see Tracing.begin
        ours = sdk.TracerProvider(sampler=sampling.ALWAYS_ON, resource=resource)
        _providers.append(ours)
    for processor in processors:
        for made in {id(provider): provider, id(ours): ours}.values():
            made.add_span_processor(processor)
    _providers.append(provider)
    trace.set_tracer_provider(provider)
    queue = None
    limited = any(map(_LIMIT.fullmatch, os.environ))
    if names == ["otlp"] and rate is not None and not limited and otlp.is_plain(os.environ):
        direct = otlp.Exporter(_sample(sdk, sampling.ALWAYS_ON, resource), _not_taken)
        _providers.append(direct)
        queue = direct.queue
    return Tracing(ours.get_tracer(NAME), 1.0 if rate is None else rate, queue)


def _sample(sdk: Any, sampler: Any, resource: Any) -> Any:
    """Return a span of the SDK's as a tracer of that resource makes them."""
    provider = sdk.TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    span = provider.get_tracer(NAME).start_span("sample")
    span.end()
    return span


def _not_taken(error: str) -> None:
    events.emit(TracingFailed(error, "work goes on; docs/tracing.md lists the variables"))


def _hashed_once(resource: Any) -> Any:
    """Return a resource that keeps its hash: exporters ask for that of each span, it is made of JSON."""
    known = hash(resource)
    kind = type("Resource", (type(resource),), {"__hash__": lambda _: known})
    return kind(resource.attributes, resource.schema_url)


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


@contextmanager
def adopted(traceparent: str | None) -> Iterator[bool]:
    """Make a span of another process the current one of this thread; yield whether it is sampled.

    Args:
        traceparent: of the span; None for none.
    """
    sampled = traceparent is not None and traceparent[-1] in _SAMPLED
    if sampled:
        # so that spans of the handler's own are written from here
        start()
    trace: Any = sys.modules.get("opentelemetry.trace")
    if traceparent is None or trace is None:
        yield False
        return
    with trace.use_span(trace.NonRecordingSpan(remote(trace, named(traceparent)))):
        yield sampled


def flush() -> None:
    """Write out the spans of this process that have ended, within five seconds: it is about to end."""
    providers = list(_providers)
    trace: Any = sys.modules.get("opentelemetry.trace")
    used = None if trace is None else trace.get_tracer_provider()
    # one that a module of handlers has set up
    if used not in providers and hasattr(used, "force_flush"):
        providers.append(used)
    if not providers:
        return

    def write() -> None:
        for provider in providers:
            provider.force_flush(int(_LAST_WORDS * 1000))

    # an exporter may wait for a collector that does not answer for longer than it is allowed to
    thread = threading.Thread(target=write, name="last spans", daemon=True)
    thread.start()
    thread.join(_LAST_WORDS)
