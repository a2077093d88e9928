"""Spans that no SDK makes say what those of the SDK would, and reach a collector as the variables say."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tributary_daemon.engine.lease import Lease
from tributary_daemon.model.correlation import Correlation
from tributary_daemon.model.outcome import Completed, ErrorRecord, Failed, Snoozed
from tributary_daemon.observers import otlp
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
    ended = []
    direct = Tracing(provider.get_tracer("t"), 0.0, ended.append)
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


def told(traced, spans, held, sayings, outcome):
    """Return the one span of an attempt as it is exported, and the context that was current."""
    begun = traced.begin(held)
    current = trace.get_current_span()
    assert current.is_recording()
    context = current.get_span_context() if sayings else None
    for method, *values in sayings:
        getattr(current, method)(*values)
    traced.end(held, outcome, begun)
    assert not current.is_recording()
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
    mine = told(direct, of_direct, held, sayings, outcome)
    assert mine == told(plain, of_sdk, held, sayings, outcome)
    assert len(ended) + len(exporter.get_finished_spans()) == 1


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


class Site:
    """Answers with these statuses, the last one again and again."""

    def __init__(self, *statuses):
        self.got = got = []
        answers = chain(statuses, repeat(statuses[-1]))

        class Taker(BaseHTTPRequestHandler):
            def do_POST(self):
                got.append((self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(next(answers))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answering():
    opened = []

    def answer(*statuses):
        opened.append(Site(*statuses))
        return opened[-1]

    yield answer
    for one in opened:
        one.close()


def exporter_to(url, failed=None, **variables):
    sample = TracerProvider(shutdown_on_exit=False).get_tracer("t").start_span("sample")
    sample.end()
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "60000", **variables}
    return otlp.Exporter(sample, (failed if failed is not None else []).append, environ)


def spans_of(count):
    (direct, _), _, (ended, _) = ways()
    for _ in range(count):
        held = made_lease(f"00-{TRACE}-b7ad6b7169203331-01", 0)
        direct.end(held, None, direct.begin(held))
    return ended


def names_in(body):
    request = ExportTraceServiceRequest.FromString(body)
    return [span.name for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]


@pytest.mark.parametrize(
    ("variables", "path", "headers", "unpack"),
    [
        ({}, "/v1/traces", {"Content-Type": "application/x-protobuf", "Content-Encoding": None}, bytes),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b=x%20y"}, "/v1/traces", {"a": "1", "b": "x y"}, bytes),
        ({"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=2", "OTEL_EXPORTER_OTLP_HEADERS": "a=1"}, "/v1/traces",
         {"a": "2"}, bytes),
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}, "/v1/traces", {"Content-Encoding": "gzip"},
         gzip.decompress),
        ({"OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": "deflate"}, "/v1/traces", {"Content-Encoding": "deflate"},
         zlib.decompress),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "/v1/traces", {}, bytes),
    ],
)  # fmt: skip
def test_the_variables_say_where_and_how(answering, variables, path, headers, unpack):
    site = answering(200)
    exporter = exporter_to(site.url + "/", **variables)
    for span in spans_of(3):
        exporter.take(span)
    assert exporter.force_flush()
    ((at, sent, body),) = site.got
    assert at == path
    assert {name: sent[name] for name in headers} == headers
    assert names_in(unpack(body)) == ["attempt t.x.v1"] * 3


def test_a_password_of_netrc_is_sent_with_each_request(answering, tmp_path, monkeypatch):
    site = answering(200)
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login ada password secret\n")
    monkeypatch.setenv("NETRC", str(path))
    exporter = exporter_to(site.url)
    for _ in range(2):
        exporter.take(spans_of(1)[0])
        assert exporter.force_flush()
    assert [sent["Authorization"] for _, sent, _ in site.got] == ["Basic YWRhOnNlY3JldA=="] * 2


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


def test_an_address_of_its_own_is_taken_as_it_is(answering):
    site = answering(200)
    exporter = exporter_to("http://nowhere", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=site.url + "/here")
    exporter.take(spans_of(1)[0])
    assert exporter.force_flush()
    assert [path for path, _, _ in site.got] == ["/here"]


def test_what_may_heal_is_tried_again_and_the_rest_is_said_once(answering):
    site, failed = answering(503, 200), []
    exporter = exporter_to(site.url, failed)
    exporter.take(spans_of(1)[0])
    assert exporter.force_flush()
    assert (len(site.got), failed) == (2, [])
    refusing = answering(400)
    exporter = exporter_to(refusing.url, failed)
    for _ in range(2):
        exporter.take(spans_of(1)[0])
        assert not exporter.force_flush()
    assert len(refusing.got) == 2
    assert failed == [f"{refusing.url}/v1/traces: 400 Bad Request"]


def test_nobody_there_is_said_and_stops_nobody(answering):
    site = answering(200)
    site.close()
    failed = []
    exporter = exporter_to(site.url, failed)
    exporter._post._session.mount(
        "http://", type(exporter._post._session.adapters["https://"])(max_retries=0)
    )
    exporter.take(spans_of(1)[0])
    assert not exporter.force_flush()
    assert "refused" in failed[0]


def test_batches_go_by_themselves_and_what_is_too_much_is_dropped_and_said(answering, eventually):
    site, failed = answering(200), []
    sizes = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", "OTEL_BSP_MAX_QUEUE_SIZE": "6"}
    exporter = exporter_to(site.url, failed, **sizes)
    for span in spans_of(4):
        exporter.take(span)
    eventually(lambda: len(site.got) == 1, 10, "a full batch")
    with exporter._exporting:
        for span in spans_of(8):
            exporter.take(span)
    exporter.force_flush()
    eventually(lambda: len(site.got) == 3, 10, "the rest")
    assert [len(names_in(body)) for _, _, body in site.got] == [4, 4, 2]
    assert failed == ["2 spans dropped: more of them ended than could be exported"]


@pytest.mark.parametrize(
    ("environ", "plain"),
    [
        ({}, True),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, False),
        ({"OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER": "gcp"}, False),
    ],
)
def test_what_only_the_sdk_can_do_is_left_to_it(environ, plain):
    assert otlp.is_plain(environ) is plain


@pytest.mark.parametrize(
    ("variables", "direct"),
    [
        ({}, True),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}, True),
        ({"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "3"}, False),
        ({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "10"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp,console"}, False),
    ],
)
def test_a_process_makes_its_spans_directly_unless_the_variables_ask_for_more(variables, direct):
    code = "from tributary_daemon.observers import tracing; print(tracing.start()._direct is not None)"
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", **variables}
    found = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == str(direct)
