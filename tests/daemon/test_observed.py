"""A real worker that is observed: by subscribers of every kind, by ids that its work carries, by traces."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
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


class Receiver:
    """Takes webhooks, as docs/webhooks.md tells a receiver to; answers 500 as often as it is told to."""

    def __init__(self):
        self.got, self.faults = [], 0
        receiver = self

        class Taker(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers.items()), body))
                receiver.faults -= 1
                self.send_response(200 if receiver.faults < 0 else 500)
                self.end_headers()

            def log_message(self, *_):
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


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


def test_subscribers_hear_of_attempts_whatever_others_do(site, client):
    good = client.submit("o.seen.v1", {"snooze": True})
    bad = client.submit("o.seen.v1", {"fail": True}, retry={"delay": 0}, max_attempts=2)
    alone, awaited = client.submit("o.alone.v1"), client.submit("o.aseen.v1")
    ids = [work.id for work in (good, bad, alone, awaited)]
    for work in ids:
        site.wait(lambda work=work: site.state(work) in ("completed", "discarded"), 30, work)

    def told():
        return {work: Counter(event["event"] for event in site.heard(run_id=work)) for work in ids}

    usual = {"AttemptStarted": 1, "AttemptCompleted": 1}
    site.wait(
        lambda: told() == {
            good.id: {"AttemptStarted": 2, "AttemptSnoozed": 1, "AttemptCompleted": 1},
            bad.id: {"AttemptStarted": 2, "AttemptFailed": 2, "StepFailed": 2},
            alone.id: usual,
            awaited.id: usual,
        },
        20,
        lambda: f"{told()}",
    )  # fmt: skip
    failed = site.heard("AttemptFailed", run_id=bad.id)
    assert [(event["attempt"], event["last"], event["message"]) for event in failed] == [
        (1, False, "it failed"),
        (2, True, "it failed"),
    ]
    # the supervisor's are heard in its own process, those of attempts in the child that runs them
    pids = {event["heard_by"] for event in site.heard("AttemptStarted")}
    assert len(pids) == 1
    assert pids.isdisjoint({event["heard_by"] for event in site.heard("ProcessStarted")})
    broken = site.lines(event="subscriber failed", subscriber=OBSERVERS[1])
    assert "observer is broken" in broken[0]["error"]
    # said once in each process, not with each event
    assert len(broken) <= 2


def test_ids_are_with_whatever_the_work_becomes(site, client):
    work = client.submit("o.seen.v1", **IDS)
    result = client.wait(work.id, 30).result
    assert {name: result[name] for name in IDS} == IDS
    site.wait(lambda: len(site.lines(run_id=work.id, correlation_id="req-7")) >= 2, 20, "its lines")
    lines = site.lines(run_id=work.id)
    assert {line["event"] for line in lines} >= {"seen", "a library speaks"}
    assert {(line["correlation_id"], line["business_id"], line["trace_id"]) for line in lines} == {
        ("req-7", "order-9", TRACE)
    }
    site.wait(lambda: site.heard("AttemptCompleted", run_id=work.id), 20, "it is heard of")
    (event,) = site.heard("AttemptCompleted", run_id=work.id)
    assert (event["correlation_id"], event["business_id"], event["trace_id"]) == ("req-7", "order-9", TRACE)
    assert client.wait(client.submit("o.alone.v1", **IDS).id, 30).result["correlation_id"] == "req-7"
    bare = client.wait(client.submit("o.aseen.v1").id, 30)
    assert bare.result["correlation_id"] is None
    assert bare.id not in {line.get("run_id") for line in site.lines(correlation_id="req-7")}


FAMILY = """
name: o.family.v1
steps:
  items: {for_each: "${{ range(3) }}", task: o.seen.v1}
  child: {workflow: o.child.v1, needs: items}
on_success:
  told: {task: o.seen.v1}
---
name: o.child.v1
steps:
  inner: {task: o.seen.v1}
"""


def test_items_children_hooks_and_functions_inherit_them(site, client):
    path = site.home / "family.yaml"
    path.write_text(FAMILY)
    run = client.submit(path, **IDS)
    function = client.submit("o.flow.v1", **IDS)
    client.wait(run.id, 40)
    client.wait(function.id, 40)
    rows = site.sql.execute(
        "select s.result ->> 'correlation_id' from tributary.steps s where s.name = 'o.seen.v1' and ("
        " s.run_id = any (%s::uuid[])"
        " or s.run_id in (select run_id from tributary.runs where parent_run_id = %s))",
        ([run.id, function.id], run.id),
    ).fetchall()
    # three items, the hook, the step of the child, the step of the function
    assert rows == [("req-7",)] * 6
    # the child is another run with the same ids, and is seen from its parent
    listed = {item.id for item in client.list(correlation_id="req-7", kind="run").items}
    assert {run.id, function.id} <= listed
    assert not re.search("Traceback.*correlat", site.log())


def test_attempts_are_spans_of_the_trace_that_submitted_them(site, client):
    work = client.submit("o.seen.v1", **IDS)
    awaited = client.submit("o.aseen.v1", traceparent=PARENT)
    alone = client.submit("o.alone.v1", traceparent=PARENT)
    bad = client.submit("o.seen.v1", {"fail": True}, traceparent=PARENT, max_attempts=1)
    unsampled = client.submit("o.seen.v1", traceparent=PARENT[:-1] + "0")
    results = [client.wait(one.id, 30).result for one in (work, awaited, alone, bad, unsampled)]
    spans = {}
    for one in (work, awaited, alone, bad):
        site.wait(lambda one=one: site.spans(one.id), 20, one.id)
        ((service, span, attributes),) = site.spans(one.id)
        assert service == "tributary-daemon"
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT.split("-")[2])
        assert span.start_time_unix_nano < span.end_time_unix_nano
        spans[one.id] = span, attributes
    # it was current while the handler ran
    for one, result in ((work, results[0]), (awaited, results[1])):
        assert result["current"].startswith(f"00-{TRACE}-{spans[one.id][0].span_id.hex()}-0")
    span, attributes = spans[work.id]
    assert span.name == "attempt o.seen.v1"
    assert attributes["tributary.outcome"] == "completed"
    assert attributes["tributary.correlation_id"] == "req-7"
    span, attributes = spans[bad.id]
    assert attributes["tributary.outcome"] == "discarded"
    assert span.status.message == "it failed"
    (event,) = span.events
    told = {a.key: a.value.string_value for a in event.attributes}
    assert (told["exception.type"], told["exception.message"]) == ("RuntimeError", "it failed")
    assert "observed_handlers.py" in told["exception.stacktrace"]
    # what the producer did not sample is not sampled here, and its handler hands that on
    assert results[4]["current"] == PARENT[:-1] + "0"
    assert site.spans(unsampled.id) == []


CACHED = """
name: o.cached.v1
steps:
  seen: {task: o.seen.v1, cache: {scope: global}}
"""


def test_what_a_worker_counts_is_pushed(site, client):
    path = site.home / "cached.yaml"
    path.write_text(CACHED)
    for _ in range(3):
        assert client.wait(client.submit(path).id, 30).state == "completed"

    def looked():
        return {key: point.as_int for key, point in site.metric("tributary.cache.lookups").items()}

    site.wait(lambda: looked().get(("global", "hit")) == 2, 20, lambda: f"{looked()}")
    assert {key: count for key, count in looked().items() if count} == {
        ("global", "hit"): 2, ("global", "miss"): 1,
    }  # fmt: skip
    finished = site.metric("tributary.attempts.finished")
    assert finished["default", "cached"].as_int == 2
    durations = site.metric("tributary.attempt.duration")["default",]
    assert durations.count == sum(durations.bucket_counts) > 0
    assert len(durations.bucket_counts) == len(durations.explicit_bounds) + 1
    assert site.metric("tributary.database.up")[()].as_double == 1


def test_work_without_a_trace_begins_one(site, client):
    work = client.submit("o.seen.v1")
    current = client.wait(work.id, 30).result["current"]
    site.wait(lambda: site.spans(work.id), 20, "its span")
    ((_, span, _),) = site.spans(work.id)
    assert span.parent_span_id == b""
    assert current.startswith(f"00-{span.trace_id.hex()}-{span.span_id.hex()}-0")


def test_an_isolated_handler_is_inside_of_its_attempt(site, client):
    work = client.submit("o.alone.v1", traceparent=PARENT)
    result = client.wait(work.id, 30).result
    site.wait(lambda: site.spans(work.id), 20, work.id)
    ((_, span, _),) = site.spans(work.id)
    assert result["current"].startswith(f"00-{TRACE}-{span.span_id.hex()}-0")
    # a span of its own is written from there, though its process ends with it
    site.wait(lambda: site.named("o.inside"), 20, "the span of the handler")
    inside = {one.span_id.hex(): one for one in site.named("o.inside")}[result["inside"].split("-")[2]]
    assert (inside.trace_id, inside.parent_span_id) == (span.trace_id, span.span_id)
    unsampled = client.submit("o.alone.v1", traceparent=PARENT[:-1] + "0")
    assert client.wait(unsampled.id, 30).state == "completed"


WHOLE = """
name: o.whole.v1
steps:
  first: {task: o.again.v1, queue: other}
  items: {for_each: "${{ range(2) }}", task: o.seen.v1, needs: first}
  child: {workflow: o.inner.v1, needs: items}
result: ${{ steps.first.result }}
---
name: o.inner.v1
steps:
  inner: {task: o.seen.v1}
"""


def test_a_run_is_a_tree_of_spans_over_its_processes(site, client, second_worker):
    path = site.home / "whole.yaml"
    path.write_text(WHOLE)
    run = client.submit(path, **IDS)
    assert client.wait(run.id, 40).state == "completed"
    child = site.one("select run_id::text from tributary.runs where parent_run_id = %s", run.id)[0]
    site.wait(lambda run=run: whole(site, run.id), 20, lambda run=run: names(site.spans(run.id)))
    spans, inner = site.spans(run.id), site.spans(child)
    assert names(spans) == {
        "run o.whole.v1": 1, "step first": 1, "attempt o.again.v1": 2, "step items": 3,
        "attempt o.seen.v1": 2, "step child": 1,
    }  # fmt: skip
    assert names(inner) == {"run o.inner.v1": 1, "step inner": 1, "attempt o.seen.v1": 1}
    by_id = {span.span_id: span for _, span, _ in [*spans, *inner]}
    assert {span.trace_id.hex() for span in by_id.values()} == {TRACE}
    assert len(by_id) == len(spans) + len(inner)
    parents = Counter(
        (span.name, by_id[span.parent_span_id].name if span.parent_span_id in by_id else None)
        for span in by_id.values()
    )
    assert parents == {
        ("run o.whole.v1", None): 1, ("step first", "run o.whole.v1"): 1,
        ("attempt o.again.v1", "step first"): 2, ("step items", "run o.whole.v1"): 3,
        ("attempt o.seen.v1", "step items"): 2, ("step child", "run o.whole.v1"): 1,
        ("run o.inner.v1", "step child"): 1, ("step inner", "run o.inner.v1"): 1,
        ("attempt o.seen.v1", "step inner"): 1,
    }  # fmt: skip
    (root,) = [span for span in by_id.values() if span.name == "run o.whole.v1"]
    assert root.parent_span_id.hex() == PARENT.split("-")[2]
    for span in by_id.values():
        assert span.end_time_unix_nano <= root.end_time_unix_nano + 1_000_000_000
    assert {service for service, _, _ in spans} == {"tributary-daemon", "second"}


@pytest.fixture
def second_worker(site):
    """A worker beside the other, in whose traces it is called ``second``."""
    with (site.home / "log2").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tributary_daemon", "worker", "--processes", "1", "--import", FILE,
             "--queues", "other"],
            env={**site.environ, "OTEL_SERVICE_NAME": "second"},
            cwd=site.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            path = site.home / "log2"
            site.wait(lambda: "process started" in path.read_text(), 40, path.read_text)
            yield
            process.terminate()
            assert process.wait(30) == 0, path.read_text()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def names(spans):
    return Counter(span.name for _, span, _ in spans)


def whole(site, run_id):
    """Return whether the root is there, which is written last of its look, and what belongs below it."""
    return names(site.spans(run_id)).keys() >= {"run o.whole.v1", "step child", "step first", "step items"}


def test_a_run_that_failed_says_so(site, client):
    path = site.home / "bad.yaml"
    path.write_text(
        "name: o.bad.v1\nsteps:\n  bad: {task: o.seen.v1, max_attempts: 1, with: {fail: true}}\n"
        "  next: {task: o.seen.v1, needs: bad}\n"
    )
    run = client.submit(path)
    assert client.wait(run.id, 40).state == "failed"
    site.wait(lambda: "run o.bad.v1" in names(site.spans(run.id)), 20, "its span")
    spans = {span.name: span for _, span, _ in site.spans(run.id)}
    assert spans.keys() == {"run o.bad.v1", "step bad", "attempt o.seen.v1"}
    root, step, attempt = (spans[name] for name in ("run o.bad.v1", "step bad", "attempt o.seen.v1"))
    # nobody has submitted it within a trace: it begins one
    assert root.parent_span_id == b""
    assert (step.parent_span_id, attempt.parent_span_id) == (root.span_id, step.span_id)
    assert {one.trace_id for one in spans.values()} == {root.trace_id}
    assert root.status.code == step.status.code == 2
    # run again, its step is another one; the run is the same
    client.retry(run.id)
    assert client.wait(run.id, 40).state == "failed"
    site.wait(lambda: names(site.spans(run.id))["run o.bad.v1"] == 2, 20, "its second end")
    again = [span for _, span, _ in site.spans(run.id) if span.name == "step bad"]
    assert len({span.span_id for span in again}) == 2
    assert {span.parent_span_id for span in again} == {root.span_id}


TOLD = """
name: o.told.v1
secrets: [hook]
inputs: {url: {type: string}, fail: {type: boolean, default: false}}
steps:
  work:
    task: o.seen.v1
    with: {fail: "${{ inputs.fail }}"}
    max_attempts: 1
finally:
  tell:
    task: trib.webhook.v1
    retry: {delay: 10ms}
    with:
      url: ${{ inputs.url }}
      secret: ${{ secrets.hook }}
      event: run.${{ run.state }}
      data: {name: "${{ run.name }}", state: "${{ run.state }}", error: "${{ run.error.message }}"}
"""


def verified(headers, body, key, *, now=None):
    """Return what a webhook says, as the receiver of docs/webhooks.md does."""
    spoken = {}
    page = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
    code = re.search(r"```python\n(.+?)```", page.read_text(encoding="utf-8"), re.DOTALL)[1]
    exec(code, spoken)
    return spoken["accept"](headers, body, key, **({} if now is None else {"now": now}))


def test_the_end_of_a_run_is_told_signed_and_told_again_after_an_error(site, client, receiver):
    path = site.home / "told.yaml"
    path.write_text(TOLD)
    key = b"a key of the receiver"
    receiver.faults = 2
    run = client.submit(path, {"url": receiver.url}, correlation_id="req-7")
    assert client.wait(run.id, 40).state == "completed"
    assert len(receiver.got) == 3
    assert len({headers["Webhook-Id"] for headers, _ in receiver.got}) == 1
    assert client.get(run.id).steps["tell"].result["status"] == 200
    for headers, body in receiver.got:
        assert verified(headers, body, key) == {
            "type": "run.completed",
            "run_id": run.id,
            "data": {"name": "o.told.v1", "state": "completed", "error": None},
            "correlation_id": "req-7",
        }
    headers, body = receiver.got[0]
    with pytest.raises(ValueError, match="signature"):
        verified(headers, body + b" ", key)
    with pytest.raises(ValueError, match="signature"):
        verified(headers, body, b"another key")
    with pytest.raises(ValueError, match="old"):
        verified(headers, body, key, now=int(headers["Webhook-Timestamp"]) + 3_600)
    bad = client.submit(path, {"url": receiver.url, "fail": True})
    assert client.wait(bad.id, 40).state == "failed"
    told = verified(*receiver.got[-1], key)
    assert (told["type"], told["data"]["error"]) == ("run.failed", "it failed")
    # nowhere is the secret itself
    assert SECRET not in site.log()
    kept = "select count(*) from tributary.payloads where payload::text like %s or options::text like %s"
    assert site.one(kept, f"%{SECRET}%", f"%{SECRET}%") == (0,)
