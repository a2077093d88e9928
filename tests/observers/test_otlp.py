"""Spans reach a collector as the standard variables say, in batches, and what is wrong is said."""

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
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from tributary_daemon.engine.lease import Lease
from tributary_daemon.model.correlation import Correlation
from tributary_daemon.observers import otlp
from tributary_daemon.observers.span_queue import SpanQueue
from tributary_daemon.observers.tracing import Tracing


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
    """Return spans of attempts that have ended."""
    queue = SpanQueue()
    traced = Tracing(TracerProvider(shutdown_on_exit=False).get_tracer("t"), 0.0, queue)
    ids = Correlation(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    run = "0193f7a8-1111-7222-8333-123456789012"
    held = Lease(run, 0, 1, "intent", "t.x.v1", None, "default", 2, 3, 0, "{}", correlation=ids)
    for _ in range(count):
        traced.end(held, None, traced.begin(held))
    return list(queue.spans)


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
        exporter.queue.take(span)
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
        exporter.queue.take(spans_of(1)[0])
        assert exporter.force_flush()
    assert [sent["Authorization"] for _, sent, _ in site.got] == ["Basic YWRhOnNlY3JldA=="] * 2


def test_an_address_of_its_own_is_taken_as_it_is(answering):
    site = answering(200)
    exporter = exporter_to("http://nowhere", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=site.url + "/here")
    exporter.queue.take(spans_of(1)[0])
    assert exporter.force_flush()
    assert [path for path, _, _ in site.got] == ["/here"]


def test_what_may_heal_is_tried_again_and_the_rest_is_said_once(answering):
    site, failed = answering(503, 200), []
    exporter = exporter_to(site.url, failed)
    exporter.queue.take(spans_of(1)[0])
    assert exporter.force_flush()
    assert (len(site.got), failed) == (2, [])
    refusing = answering(400)
    exporter = exporter_to(refusing.url, failed)
    for _ in range(2):
        exporter.queue.take(spans_of(1)[0])
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
    exporter.queue.take(spans_of(1)[0])
    assert not exporter.force_flush()
    assert "refused" in failed[0]


def test_batches_go_by_themselves_and_what_is_too_much_is_dropped_and_said(answering, eventually):
    site, failed = answering(200), []
    sizes = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", "OTEL_BSP_MAX_QUEUE_SIZE": "6"}
    exporter = exporter_to(site.url, failed, **sizes)
    for span in spans_of(4):
        exporter.queue.take(span)
    eventually(lambda: len(site.got) == 1, 10, "a full batch")
    with exporter._exporting:
        for span in spans_of(8):
            exporter.queue.take(span)
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
