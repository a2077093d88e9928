"""Spans that no SDK makes say what those of the SDK would, and reach a collector as the variables say."""

from __future__ import annotations

import contextvars
import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as contexts_of
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tributary_daemon.daemon.telling import watched
from tributary_daemon.engine.lease import Lease
from tributary_daemon.model.correlation import Correlation
from tributary_daemon.model.outcome import Completed, ErrorRecord, Failed, Snoozed
from tributary_daemon.observers import otlp
from tributary_daemon.observers.span_queue import SpanQueue
from tributary_daemon.observers.tracing import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
RUN = "0193f7a8-1111-7222-8333-123456789012"
LINK = trace.SpanContext(1, 2, True, trace.TraceFlags(1))

TRACEPARENTS = st.sampled_from([
    None, f"00-{TRACE}-b7ad6b7169203331-01", f"00-{TRACE}-b7ad6b7169203331-03",
    f"00-{TRACE}-0000000000000000-01",
])  # fmt: skip
KEYS = st.sampled_from(["shop.size", "shop.name", "tributary.queue", ""])
VALUES = st.one_of(
    st.text(max_size=5), st.integers(-5, 5), st.booleans(), st.floats(allow_nan=False), st.none(),
    st.lists(st.integers(0, 3), max_size=2),
)  # fmt: skip
SAYINGS = st.one_of(
    st.tuples(st.just("set_attribute"), KEYS, VALUES),
    st.tuples(st.just("set_attributes"), st.dictionaries(KEYS, VALUES, max_size=2)),
    st.tuples(st.just("add_event"), st.just("seen"), st.just({"at": 1}), st.just(5)),
    st.tuples(st.just("add_link"), st.just(LINK)),
    st.tuples(st.just("update_name"), st.sampled_from(["another", "third"])),
    st.tuples(st.just("set_status"), st.sampled_from([trace.StatusCode.OK, trace.StatusCode.ERROR])),
    st.tuples(st.just("record_exception"), st.just(KeyError("x")), st.none(), st.just(7)),
)
OUTCOMES = st.sampled_from([
    Completed("1"), None, Snoozed(1.0),
    Failed(ErrorRecord("a.B", "none left", 1, traceback="Traceback"), 1.0),
])  # fmt: skip


def made_lease(traceparent, ordinal, tenant=""):
    ids = None
    if traceparent is not None or tenant:
        ids = Correlation(traceparent=traceparent, correlation_id="req-7", business_id="order-9")
    kind, step = ("step", "first") if ordinal else ("intent", None)
    return Lease(
        RUN, ordinal, 1, kind, "t.x.v1", step, "default", 2, 3, 0, "{}", tenant=tenant, correlation=ids
    )


def ways():
    """Return what traces without the SDK and by it, each with its spans as a collector gets them."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("t").start_as_current_span("sample") as sample:
        pass
    exporter.clear()
    queue = SpanQueue()
    ended = queue.spans
    direct = Tracing(provider.get_tracer("t"), 0.0, queue)
    other = InMemorySpanExporter()
    apart = TracerProvider(resource=provider.resource)
    apart.add_span_processor(SimpleSpanProcessor(other))
    plain = Tracing(apart.get_tracer("t"), 0.0)
    encoded = otlp.Exporter(sample, lambda _: None, {}).encoded

    def of_direct():
        spans = list(
            ExportTraceServiceRequest.FromString(encoded([one.ended() for one in ended])).resource_spans
        )
        return spans if ended else list(encode_spans(exporter.get_finished_spans()).resource_spans)

    def of_sdk():
        return list(encode_spans(other.get_finished_spans()).resource_spans)

    return (direct, of_direct), (plain, of_sdk), (ended, exporter)


def held_of(lease, **more):
    """Return what a thread of handlers is given of a lease."""
    fields = {field.name: getattr(lease, field.name) for field in dataclasses.fields(lease)}
    return SimpleNamespace(**fields, last=lease.last, handler=object(), control=False, **more)


def told(traced, spans, lease, sayings, outcome):
    """Return the one span of an attempt as it is exported."""
    currents, contexts = [], []

    def run(_held):
        current = trace.get_current_span()
        assert current.is_recording()
        currents.append(current)
        if sayings:
            contexts.append(current.get_span_context())
        for method, *values in sayings:
            getattr(current, method)(*values)
        return outcome

    assert traced.quick(run, watched(run, traced))(held_of(lease)) is outcome
    assert not currents[0].is_recording()
    context = contexts[0] if contexts else None
    ((of_resource,),) = (spans(),)
    (of_scope,) = of_resource.scope_spans
    (span,) = of_scope.spans
    if context is not None:
        assert span.span_id == context.span_id.to_bytes(8, "big")
        assert span.trace_id == context.trace_id.to_bytes(16, "big")
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    if not span.parent_span_id:
        # it begins a trace of its own
        assert len(span.trace_id) == 16
        span.ClearField("trace_id")
    for field in ("span_id", "start_time_unix_nano", "end_time_unix_nano"):
        span.ClearField(field)
    if not (span.status.code or span.status.message):
        span.ClearField("status")
    for event in span.events:
        if event.name == "exception":
            event.ClearField("time_unix_nano")
    order = sorted(span.attributes, key=lambda one: one.key)
    del span.attributes[:]
    span.attributes.extend(order)
    return of_resource


@settings(max_examples=150, deadline=None)
@given(
    traceparent=TRACEPARENTS,
    ordinal=st.sampled_from([0, 3]),
    tenant=st.sampled_from(["", "acme"]),
    sayings=st.lists(SAYINGS, max_size=4),
    outcome=OUTCOMES,
)
def test_both_ways_say_the_same(traceparent, ordinal, tenant, sayings, outcome):
    (direct, of_direct), (plain, of_sdk), (ended, exporter) = ways()
    if traceparent is None:
        # of 0.0 nothing begins a trace
        direct._below = plain._below = "g"
    held = made_lease(traceparent, ordinal, tenant)
    mine = contextvars.copy_context().run(told, direct, of_direct, held, sayings, outcome)
    assert mine == told(plain, of_sdk, held, sayings, outcome)
    assert len(ended) + len(exporter.get_finished_spans()) == 1


def quickly(direct, run):
    """Have a thread of handlers run something that is traced."""
    direct._below = "g"
    held = held_of(made_lease(None, 0))
    told = watched(run, direct)
    shorter = direct.quick(run, told)
    assert shorter is not told
    return contextvars.copy_context().run(shorter, held)


def test_between_attempts_nothing_is_current_whatever_a_handler_leaves_behind():
    (direct, _), _, (ended, _) = ways()
    left = []

    def run(_held):
        contexts_of.attach(trace.set_span_in_context(trace.NonRecordingSpan(LINK)))
        return Completed("1")

    def attempts():
        direct.prepare()
        direct._below = "g"
        told = direct.quick(run, watched(run, direct))
        told(held_of(made_lease(None, 0)))
        left.append(trace.get_current_span().get_span_context())

    contextvars.copy_context().run(attempts)
    assert len(ended) == 1
    assert left[0] != LINK
    assert not left[0].trace_flags.sampled


def test_an_attempt_that_is_broken_off_says_so():
    (direct, of_direct), _, (ended, _) = ways()

    def run(_held):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quickly(direct, run)
    assert len(ended) == 1
    (of_resource,) = of_direct()
    said = {one.key: one.value.string_value for one in of_resource.scope_spans[0].spans[0].attributes}
    assert said["tributary.outcome"] == "interrupted"


def test_a_span_that_a_handler_keeps_has_the_ids_that_were_exported():
    (direct, of_direct), _, _ = ways()
    kept = []

    def run(_held):
        kept.append(trace.get_current_span())
        return Completed("1")

    quickly(direct, run)
    (span,) = of_direct()[0].scope_spans[0].spans
    with kept[0] as again:
        found = again.get_span_context()
    assert (found.span_id.to_bytes(8, "big"), found.trace_id.to_bytes(16, "big")) == (
        span.span_id,
        span.trace_id,
    )
    assert isinstance(kept[0], trace.Span)


def test_a_handler_that_ends_its_span_has_ended_it():
    (direct, of_direct), _, (ended, _) = ways()

    def run(_held):
        with trace.get_current_span() as current:
            current.set_attribute("size", 3)
        return Completed("1")

    quickly(direct, run)
    assert len(ended) == 1
    said = {one.key for one in of_direct()[0].scope_spans[0].spans[0].attributes}
    assert "size" in said
    assert "tributary.outcome" not in said


def test_what_is_plain_needs_no_sdk_and_what_comes_late_is_not_said():
    (direct, of_direct), _, (ended, exporter) = ways()
    held = made_lease(f"00-{TRACE}-b7ad6b7169203331-01", 0)
    begun = direct.begin(held)
    begun.span.set_attributes({"size": 3, "name": "x"})
    direct.end(held, Completed("1"), begun)
    begun.span.set_attribute("late", True)
    begun.span.add_event("late")
    begun.span.end()
    assert (len(ended), exporter.get_finished_spans()) == (1, ())
    (of_resource,) = of_direct()
    said = {one.key for one in of_resource.scope_spans[0].spans[0].attributes}
    assert {"size", "name", "tributary.outcome"} <= said
    assert "late" not in said


def test_what_cannot_be_written_is_left_out():
    (direct, of_direct), _, _ = ways()
    held = made_lease(f"00-{TRACE}-b7ad6b7169203331-01", 0)
    begun = direct.begin(held)
    for key, value in (
        ("big", 2**64),
        ("torn", "\ud800"),
        ("whole", "x"),
        ("\ud800", "key"),
        ("most", 2**63 - 1),
    ):
        begun.span.set_attribute(key, value)
    direct.end(held, Completed("1"), begun)
    (of_resource,) = of_direct()
    said = {one.key for one in of_resource.scope_spans[0].spans[0].attributes}
    assert {name for name in said if not name.startswith("tributary.")} == {"whole", "most"}


def test_more_attributes_than_are_allowed_are_the_sdks_to_cut():
    (direct, _), _, (ended, exporter) = ways()
    held = made_lease(f"00-{TRACE}-b7ad6b7169203331-01", 0)
    begun = direct.begin(held)
    for number in range(200):
        begun.span.set_attribute(f"a{number}", number)
    direct.end(held, Completed("1"), begun)
    (span,) = exporter.get_finished_spans()
    assert not ended
    assert len(span.attributes) == 128


def test_spans_of_more_kinds_than_are_kept_say_their_own(monkeypatch):
    monkeypatch.setattr(otlp, "_COMMON", 3)
    (direct, of_direct), _, _ = ways()
    queues = [f"q{number % 5}" for number in range(20)]
    for queue in queues:
        held = made_lease(f"00-{TRACE}-b7ad6b7169203331-01", 0)
        held.queue = queue
        direct.end(held, Completed("1"), direct.begin(held))
    (of_resource,) = of_direct()
    spans = of_resource.scope_spans[0].spans
    said = [{one.key: one.value.string_value for one in span.attributes} for span in spans]
    assert [one["tributary.queue"] for one in said] == queues
    assert {len(one) for one in said} == {8}
    assert {span.name for span in spans} == {"attempt t.x.v1"}
