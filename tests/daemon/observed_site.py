"""A worker that is observed in every way, and a collector that takes what it pushes."""

from __future__ import annotations

import base64
import gzip
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.daemon.conftest import Desk
from tributary_daemon.app import Client

FILE = "./observed_handlers.py"
OBSERVERS = [f"{FILE}:listen", f"{FILE}:raises", f"{FILE}:blocks"]
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
SECRET = "whsec_" + base64.b64encode(b"a key of the receiver").decode()
IDS = {"correlation_id": "req-7", "business_id": "order-9", "traceparent": PARENT}


class Collector:
    """Takes traces by OTLP over HTTP."""

    def __init__(self):
        spans = self._spans = []
        metrics = self._metrics = {}

        class Taker(BaseHTTPRequestHandler):
            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                if self.path.endswith("/metrics"):
                    for of_resource in ExportMetricsServiceRequest.FromString(data).resource_metrics:
                        (worker,) = [
                            a.value.string_value
                            for a in of_resource.resource.attributes
                            if a.key == "service.instance.id"
                        ]
                        (scope,) = of_resource.scope_metrics
                        metrics[worker] = {metric.name: metric for metric in scope.metrics}
                    data = b""
                for of_resource in ExportTraceServiceRequest.FromString(data).resource_spans:
                    service = {a.key: a.value.string_value for a in of_resource.resource.attributes}
                    for of_scope in of_resource.scope_spans:
                        spans.extend((service["service.name"], span) for span in of_scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def spans(self, run_id):
        """Return (service, span, attributes) of the attempts of one run or intent."""
        found = [
            (service, span, {a.key: a.value.string_value for a in span.attributes})
            for service, span in list(self._spans)
        ]
        return [one for one in found if one[2].get("tributary.run_id") == run_id]

    def named(self, name):
        """Return the spans of this name."""
        return [span for _, span in list(self._spans) if span.name == name]

    def metric(self, name):
        """Return the points of a metric that the worker has pushed last, by their attributes."""
        metrics = self._metrics.get("first", {})
        if name not in metrics:
            return {}
        found = getattr(metrics[name], metrics[name].WhichOneof("data")).data_points
        return {tuple(a.value.string_value for a in point.attributes): point for point in found}

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Site(Desk):
    """A worker of one process, and what is heard of it."""

    def heard(self, kind=None, **fields):
        path = self.home / "heard.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [
            event
            for event in found
            if kind in (None, event["event"])
            and all(event.get(key) == value for key, value in fields.items())
        ]

    def lines(self, **fields):
        """Return the lines of its log that have these fields."""
        found = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in found if all(line.get(key) == value for key, value in fields.items())]


@pytest.fixture(scope="module")
def site(server, template, tmp_path_factory, eventually):
    name = f"test_{secrets.token_hex(6)}"
    home = tmp_path_factory.mktemp("observed")
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    shutil.copy(Path(__file__).with_name("observed_handlers.py"), home / "observed_handlers.py")
    (home / "trib.toml").write_text(f"observers = {json.dumps(OBSERVERS)}\n")
    collector = Collector()
    more = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "TRIB_SECRET_HOOK": SECRET,
    }
    environ = {**os.environ, **more, "TRIB_DATABASE_URL": url, "TRIB_HOME": str(home), "HOME": str(home)}
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template} strategy file_copy")
    try:
        with psycopg.connect(url, autocommit=True) as sql, (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tributary_daemon", "worker", "--processes", "1", "--import", FILE,
                 "--name", "first"],
                env=environ,
                cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
            found = Site(url, home, sql, eventually)
            found.environ = environ
            found.log = lambda: (home / "log").read_text(errors="replace")
            found.spans, found.named = collector.spans, collector.named
            found.metric = collector.metric
            try:
                eventually(lambda: "process started" in found.log(), 40, lambda: f"ready:\n{found.log()}")
                yield found
                process.terminate()
                assert process.wait(30) == 0, found.log()
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                print(found.log())
    finally:
        collector.close()
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"drop database if exists {name} with (force)")


@pytest.fixture(scope="module")
def client(site):
    with Client(site.url) as opened:
        yield opened
