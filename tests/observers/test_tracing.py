"""Traces: a submit and the attempts of its work are one, sampling holds, and nothing stops for it."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import uuid
from types import SimpleNamespace

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tributary_daemon import app, events
from tributary_daemon.client import tracing as submits
from tributary_daemon.engine.lease import Lease
from tributary_daemon.model.correlation import Correlation
from tributary_daemon.model.outcome import Completed, ErrorRecord, Failed, Recorded, Snoozed
from tributary_daemon.observers import tracing
from tributary_daemon.observers.tracing import Tracing, TracingFailed

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def lease(traceparent=None):
    ids = None if traceparent is None else Correlation(traceparent=traceparent)
    return Lease("r", 0, 1, "intent", "t.x.v1", None, "default", 1, 3, 0, "{}", correlation=ids)


def current():
    return trace.get_current_span().get_span_context()


@pytest.mark.parametrize(
    ("outcome", "word"),
    [(Completed("1"), "completed"), (None, "completed"), (Snoozed(1.0), "snoozed"),
     (Recorded(Completed("1"), None), "completed")],
)  # fmt: skip
def test_an_attempt_is_a_child_of_its_submit(provider, exporter, outcome, word):
    traced = Tracing(provider.get_tracer("t"))
    held = lease(PARENT)
    begun = traced.begin(held)
    inside = current()
    traced.end(held, outcome, begun)
    assert not current().is_valid
    (span,) = exporter.get_finished_spans()
    assert span.context == inside
    assert (span.context.trace_id, span.parent.span_id) == (int(TRACE, 16), int("b7ad6b7169203331", 16))
    assert span.attributes["tributary.outcome"] == word
    assert span.status.is_ok or span.status.status_code.name == "UNSET"


def test_a_failure_is_recorded(provider, exporter):
    traced = Tracing(provider.get_tracer("t"))
    error = ErrorRecord("shop.OutOfStock", "none left", 1, traceback="Traceback ...")
    traced.end(lease(), Failed(error, 1.0), traced.begin(lease()))
    held = lease(PARENT)
    traced.break_off(held, traced.begin(held))
    failed, broken = exporter.get_finished_spans()
    assert failed.status.description == "none left"
    assert failed.events[0].attributes["exception.type"] == "shop.OutOfStock"
    assert failed.events[0].attributes["exception.stacktrace"] == "Traceback ..."
    assert broken.attributes["tributary.outcome"] == "interrupted"


def test_what_is_not_sampled_hands_that_on(provider, exporter):
    traced = Tracing(provider.get_tracer("t"), rate=0.0)
    contextvars.copy_context().run(_begin_unsampled, traced, provider)
    # a trace that the producer has sampled goes on all the same
    traced.end(lease(PARENT), Completed("1"), traced.begin(lease(PARENT)))
    assert len(exporter.get_finished_spans()) == 1


@pytest.mark.parametrize("made", [lambda number: uuid.UUID(int=number), lambda _: uuid.uuid4()])
@pytest.mark.parametrize(("rate", "fewest", "most"), [(0.25, 150, 350), (0.03, 5, 75), (0.97, 925, 995)])
def test_the_id_decides_for_all_attempts_and_both_ways_of_asking_agree(
    provider, exporter, made, rate, fewest, most
):
    traced = Tracing(provider.get_tracer("t"), rate=rate)
    contextvars.copy_context().run(_sample, traced, [str(made(number)) for number in range(1000)])
    begun = [span.attributes["tributary.run_id"] for span in exporter.get_finished_spans()]
    assert fewest < len(set(begun)) < most, "of a thousand"
    assert sorted(begun) == sorted([*set(begun)] * 2), "all attempts or none"


def _sample(traced, ids):
    for one in ids * 2:
        held = lease()
        held.run_id = one
        begun = traced.begin(held)
        marked = SimpleNamespace(run_id=one, correlation=None, told=False)
        traced.mark([marked])
        assert bool(begun) == marked.told, "what is not marked is not sampled"
        traced.end(held, Completed("1"), begun)


def _begin_unsampled(traced, provider):
    for held in (lease(), lease(PARENT[:-1] + "0")):
        begun = traced.begin(held)
        assert current().is_valid
        assert not current().trace_flags.sampled
        # a span of the handler's own is of the same mind
        with provider.get_tracer("handler").start_as_current_span("query"):
            assert not current().trace_flags.sampled
        traced.end(held, Completed("1"), begun)


@pytest.mark.parametrize(
    ("sampler", "rate"),
    [
        ("ParentBased{root:TraceIdRatioBased{0.01},remoteParentSampled:AlwaysOnSampler}", 0.01),
        ("TraceIdRatioBased{1e-05}", 1e-05),
        ("ParentBased{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler}", 1.0),
        ("AlwaysOffSampler", 0.0),
        ("SomethingElse{0.5}", None),
    ],
)
def test_samplers_by_chance_are_known(sampler, rate):
    assert tracing._rate(sampler) == rate


def test_a_submit_is_a_span_that_its_work_carries(database, provider, exporter, monkeypatch):
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    with app.Client(database) as client:
        with provider.get_tracer("web").start_as_current_span("POST /orders") as request:
            receipt = client.submit("t.x.v1", correlation_id="req-7")
        submitted, _ = exporter.get_finished_spans()
        assert (submitted.name, submitted.kind.name) == ("submit t.x.v1", "PRODUCER")
        assert submitted.parent == request.get_span_context()
        found = client.get(receipt.id)
        context = submitted.context
        assert found.traceparent == f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
        assert found.correlation_id == "req-7"
        monkeypatch.setattr(trace, "get_tracer", TracerProvider(sampler=ALWAYS_OFF).get_tracer)
        assert client.get(client.submit("t.x.v1").id).traceparent is None


def test_nothing_is_imported_for_those_who_do_not_ask():
    code = (
        "import sys, tributary_daemon.workers, tributary_daemon.app\n"
        "from tributary_daemon.observers import tracing\n"
        "assert tracing.start({}) is None\n"
        "assert tracing.start({'OTEL_TRACES_EXPORTER': 'none'}) is None\n"
        "assert tracing.start({'OTEL_TRACES_EXPORTER': 'console', 'OTEL_SDK_DISABLED': 'true'}) is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert submits.traced is not None


def test_what_is_wrong_is_said_once_and_stops_nobody(monkeypatch):
    monkeypatch.setattr(tracing, "_ours", [])
    said = []
    detach = events.attach(said.append)
    try:
        for _ in range(2):
            assert tracing.start({"OTEL_TRACES_EXPORTER": "carrier_pigeon"}) is None
    finally:
        detach()
    (event,) = said
    assert isinstance(event, TracingFailed)
    assert "no exporter of traces 'carrier_pigeon'; installed: console" in event.error
