"""The metrics of a worker for OpenTelemetry: the figures of the page, pushed to a collector.

What is counted lies in memory that processes share, histograms included, and the API has no instrument that
could be given a whole histogram. So a look becomes the SDK's own data, and goes to an exporter of it.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module, metadata
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tributary_daemon import events
from tributary_daemon.events import Event
from tributary_daemon.observers.metrics import CATALOGUE, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tributary_daemon.observers.metrics import Metric, Value, Values

NAME: Final = "tributary-daemon"
_GROUP: Final = "opentelemetry_metrics_exporter"
_SWITCHES: Final = ("OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
_UNITS: Final = {
    "fences": "{fence}", "connections": "{connection}", "outages": "{outage}", "kills": "{process}",
    "processes": "{process}", "process": "{process}", "slots": "{slot}", "leases": "{attempt}",
    "attempts": "{attempt}", "retries": "{attempt}", "discards": "{attempt}", "queue": "{step}",
    "tenant": "{step}", "dead": "{step}", "lookups": "{lookup}",
}  # fmt: skip
_EVERY: Final = 60.0
_LAST_WORDS: Final = 5.0
# the resource says that
_OF_RESOURCE: Final = "tributary_worker_info"


@dataclass(frozen=True, slots=True)
class MetricsFailed(Event):
    """Metrics are to be pushed and cannot be; the worker goes on without."""

    level: ClassVar[str] = "error"
    error: str
    hint: str | None = None


def otel_name(metric: Metric) -> str:
    """Return the name of a metric: without the unit and kind that Prometheus wants in it.

    A collector that writes for Prometheus puts them back: the metric then has the name of the page.
    """
    name = metric.name.removesuffix("_total").removesuffix("_seconds")
    space, *rest = name.removeprefix("tributary_").split("_")
    if space == "dead":
        space, rest = "dead_letters", []
    return ".".join(filter(None, ("tributary", space, "_".join(rest))))


def otel_unit(metric: Metric) -> str:
    """Return the unit of a metric, as UCUM writes it; empty for what is true or not."""
    _, space, *rest = metric.name.removesuffix("_total").split("_")
    unit = _UNITS.get(rest[-1] if rest else space) or _UNITS.get(space, "")
    return "s" if metric.name.endswith("_seconds") else unit


class Pusher:
    """Looks, and pushes what it has seen, every so often.

    Args:
        look: returns the values of this moment.
        exporters: of the SDK.
        worker: name and version.
        every: seconds from one to the next.
    """

    def __init__(
        self, look: Callable[[], Values], exporters: list[Any], worker: tuple[str, str], every: float
    ) -> None:
        self._look, self._exporters, self._every = look, exporters, every
        self._data: Any = import_module("opentelemetry.sdk.metrics.export")
        resources: Any = import_module("opentelemetry.sdk.resources")
        scopes: Any = import_module("opentelemetry.sdk.util.instrumentation")
        name, version = worker
        given = resources.OTELResourceDetector().detect().attributes
        ours = {"service.name": NAME, "service.instance.id": name, "service.version": version}
        self._resource = resources.Resource.create(
            {key: value for key, value in ours.items() if key not in given}
        )
        self._scope = scopes.InstrumentationScope(NAME, version)
        self._began = time.time_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Push from now on."""
        self._thread.start()

    def close(self) -> None:
        """Push once more, within five seconds, and end."""
        self._stop.set()
        self._thread.join(_LAST_WORDS)

    def push(self) -> None:
        """Look, and push; a collector that is away costs what was seen."""
        data = self.data(self._look())
        for exporter in self._exporters:
            exporter.export(data, timeout_millis=_LAST_WORDS * 1000)

    def data(self, values: Values) -> Any:
        """Return the MetricsData of a look."""
        found = [
            self._metric(metric, values[metric.name])
            for metric in CATALOGUE
            if metric.name != _OF_RESOURCE and values.get(metric.name)
        ]
        scoped = self._data.ScopeMetrics(self._scope, found, "")
        return self._data.MetricsData([self._data.ResourceMetrics(self._resource, [scoped], "")])

    def _run(self) -> None:
        over = False
        while not over:
            over = self._stop.wait(self._every)
            try:
                self.push()
            except Exception as error:  # noqa: BLE001 - exporters are what others have written
                events.emit(MetricsFailed(f"{type(error).__name__}: {error}"))
        for exporter in self._exporters:
            exporter.shutdown()

    def _metric(self, metric: Metric, values: Mapping[tuple[str, ...], Value]) -> Any:
        data, now = self._data, time.time_ns()
        cumulative = data.AggregationTemporality.CUMULATIVE
        points = [
            self._point([f"tributary.{label}" for label in metric.labels], labels, value, now)
            for labels, value in values.items()
        ]
        made = (
            data.Histogram(points, cumulative)
            if metric.kind == "histogram"
            else data.Sum(points, cumulative, is_monotonic=True)
            if metric.kind == "counter"
            else data.Gauge(points)
        )
        return data.Metric(otel_name(metric), metric.help, otel_unit(metric), made)

    def _point(self, names: list[str], labels: tuple[str, ...], value: Value, now: int) -> Any:
        attributes = dict(zip(names, labels, strict=True))
        if not isinstance(value, Histogram):
            return self._data.NumberDataPoint(attributes, self._began, now, value)
        ends = [end for end, _ in value.buckets]
        counts = [value.buckets[0][1], *(b - a for (_, a), (_, b) in pairwise(value.buckets))]
        # the extremes are not known
        return self._data.HistogramDataPoint(
            attributes, self._began, now, sum(counts), value.total, counts, ends[:-1], None, None
        )


@contextmanager
def pushing(
    look: Callable[[], Values], worker: tuple[str, str], environ: Mapping[str, str]
) -> Iterator[None]:
    """Push metrics while the block runs, if the standard variables ask for it."""
    pusher = None
    try:
        pusher = _configured(look, worker, environ)
    except ImportError as error:
        events.emit(MetricsFailed(str(error), "install tributary-daemon[otel]"))
    except Exception as error:  # noqa: BLE001 - exporters are what others have written
        events.emit(MetricsFailed(f"{type(error).__name__}: {error}", "docs/metrics.md lists the variables"))
    if pusher is None:
        yield
        return
    pusher.start()
    try:
        yield
    finally:
        pusher.close()


def is_asked(environ: Mapping[str, str]) -> bool:
    """Return whether metrics are to be pushed."""
    asked = any(map(environ.get, _SWITCHES)) and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"
    return asked and bool(_names(environ))


def _names(environ: Mapping[str, str]) -> list[str]:
    names = [name.strip() for name in environ.get("OTEL_METRICS_EXPORTER", "otlp").split(",")]
    return [name for name in names if name and name != "none"]


def _configured(
    look: Callable[[], Values], worker: tuple[str, str], environ: Mapping[str, str]
) -> Pusher | None:
    if not is_asked(environ):
        return None
    every = int(environ.get("OTEL_METRIC_EXPORT_INTERVAL") or _EVERY * 1000) / 1000
    if every <= 0:
        raise ValueError(f"OTEL_METRIC_EXPORT_INTERVAL is {every * 1000:g}; it is to be milliseconds above 0")
    return Pusher(look, [_exporter(name, environ)() for name in _names(environ)], worker, every)


def _exporter(name: str, environ: Mapping[str, str]) -> Any:
    if name == "otlp":
        protocol = environ.get(
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        )
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    points = {point.name: point for point in metadata.entry_points(group=_GROUP)}
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise ImportError(f"there is no exporter of metrics '{name}'; installed: {known}")
    return points[name].load()
