"""Metrics for OpenTelemetry: the figures of the page under names of their own, pushed."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import export

from tributary_daemon import events
from tributary_daemon.observers import otel_metrics
from tributary_daemon.observers.metrics import CATALOGUE, Histogram
from tributary_daemon.observers.otel_metrics import MetricsFailed, Pusher, otel_name, otel_unit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
BY_NAME = {metric.name: metric for metric in CATALOGUE}
VALUES = {
    "tributary_worker_info": {("w1", "1.0"): 1.0},
    "tributary_slots": {(): 4},
    "tributary_attempts_finished_total": {("default", "completed"): 7, ("default", "retry"): 1},
    "tributary_attempt_wait_seconds": {
        ("default",): Histogram(((0.001, 3), (0.5, 3), (math.inf, 8)), 12.5),
    },
}


class Kept(export.MetricExporter):
    """Keeps what it is given; the first times it fails."""

    def __init__(self, faults=0):
        super().__init__()
        self.got, self.faults, self.over, self.news = [], faults, False, threading.Event()

    def export(self, metrics_data, timeout_millis=10_000, **_):
        self.faults -= 1
        if self.faults >= 0:
            raise OSError("the collector is away")
        self.got.append(metrics_data)
        self.news.set()

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **_):
        self.over = True


def told(data):
    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    return resource.resource.attributes, {metric.name: metric for metric in scope.metrics}


def test_a_look_is_told_as_it_is():
    pusher = Pusher(lambda: VALUES, [], ("w1", "1.0"), 60)
    who, found = told(pusher.data(VALUES))
    assert (who["service.name"], who["service.instance.id"], who["service.version"]) == (
        "tributary-daemon", "w1", "1.0",
    )  # fmt: skip
    assert found.keys() == {"tributary.slots", "tributary.attempts.finished", "tributary.attempt.wait"}
    finished = found["tributary.attempts.finished"]
    assert finished.unit == "{attempt}"
    assert finished.data.is_monotonic
    assert finished.data.aggregation_temporality == export.AggregationTemporality.CUMULATIVE
    assert [(dict(point.attributes), point.value) for point in finished.data.data_points] == [
        ({"tributary.queue": "default", "tributary.outcome": "completed"}, 7),
        ({"tributary.queue": "default", "tributary.outcome": "retry"}, 1),
    ]
    (slots,) = found["tributary.slots"].data.data_points
    assert slots.value == 4
    waits = found["tributary.attempt.wait"]
    (point,) = waits.data.data_points
    assert waits.unit == "s"
    assert (point.count, point.sum, list(point.bucket_counts), list(point.explicit_bounds)) == (
        8, 12.5, [3, 0, 5], [0.001, 0.5],
    )  # fmt: skip
    assert point.start_time_unix_nano <= point.time_unix_nano


def test_the_environment_says_who_it_is(monkeypatch):
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=i7,team=billing")
    who, _ = told(Pusher(dict, [], ("w1", "1.0"), 60).data(VALUES))
    assert (who["service.name"], who["service.instance.id"], who["team"]) == ("shop", "i7", "billing")


def test_it_goes_on_when_a_collector_was_away_and_says_all_at_its_end():
    kept, said = Kept(faults=1), []
    detach = events.attach(said.append)
    try:
        pusher = Pusher(lambda: VALUES, [kept], ("w1", "1.0"), 0.01)
        pusher.start()
        assert kept.news.wait(20)
        pusher.close()
    finally:
        detach()
    assert kept.over
    assert [event.error for event in said if isinstance(event, MetricsFailed)] == [
        "OSError: the collector is away"
    ]
    last = Pusher(lambda: VALUES, [kept], ("w1", "1.0"), 3_600)
    before = len(kept.got)
    last.start()
    last.close()
    assert len(kept.got) == before + 1


@pytest.mark.parametrize(
    ("environ", "error"),
    [
        (
            {"OTEL_METRICS_EXPORTER": "carrier_pigeon"},
            "no exporter of metrics 'carrier_pigeon'; installed: con",
        ),
        ({"OTEL_METRICS_EXPORTER": "console", "OTEL_METRIC_EXPORT_INTERVAL": "0"}, "milliseconds above 0"),
        ({"OTEL_METRICS_EXPORTER": "console", "OTEL_METRIC_EXPORT_INTERVAL": "soon"}, "soon"),
    ],
)
def test_what_is_wrong_is_said_and_stops_nobody(environ, error):
    said = []
    detach = events.attach(said.append)
    try:
        with otel_metrics.pushing(dict, ("w1", "1.0"), environ):
            pass
    finally:
        detach()
    (event,) = [one for one in said if isinstance(one, MetricsFailed)]
    assert error in event.error
    assert event.hint


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"},
        {"OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_only_who_asks_gets_them(environ):
    assert not otel_metrics.is_asked(environ)


def test_nothing_is_imported_for_those_who_do_not_ask():
    code = (
        "import sys, tributary_daemon.workers\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_metric_has_a_name_of_its_own_that_is_documented():
    names = [otel_name(metric) for metric in CATALOGUE]
    assert len(set(names)) == len(names)
    page = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(tributary_\w+)` \| `(tributary[.\w]+)` ", page, re.MULTILINE))
    expected = {m.name: otel_name(m) for m in CATALOGUE if m.name != "tributary_worker_info"}
    assert rows == expected
    units = dict(
        re.findall(r"^\| `tributary_\w+` \| `(tributary[.\w]+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE)
    )
    assert units == {otel_name(m): otel_unit(m) for m in CATALOGUE if m.name != "tributary_worker_info"}
    # what a collector makes of it for Prometheus is the name of the page
    for metric in CATALOGUE:
        made = otel_name(metric).replace(".", "_")
        made += "_seconds" * (otel_unit(metric) == "s") + "_total" * (metric.kind == "counter")
        assert made == metric.name
