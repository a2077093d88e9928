"""The metrics of a worker as text that Prometheus reads.

`prometheus_client` takes a third of a second to import, so whoever serves metrics imports this module when
it is asked for them the first time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from tributary_daemon.observers.metrics import CATALOGUE, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.metrics_core import Metric as Family

    from tributary_daemon.observers.metrics import Metric, Value, Values

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def page(values: Values) -> bytes:
    """Return the page of one scrape.

    Args:
        values: of what is known; a metric without a value is left out.
    """
    registry = CollectorRegistry()
    registry.register(_Look(values))
    return generate_latest(registry)


class _Look(Collector):
    """Collects what was seen in one look."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def collect(self) -> Iterable[Family]:
        """Yield the families that have values."""
        for metric in CATALOGUE:
            if found := self._values.get(metric.name):
                yield _family(metric, found)


def _family(metric: Metric, values: Mapping[tuple[str, ...], Value]) -> Family:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in values.items():
            assert isinstance(value, Histogram)
            buckets = [
                ("+Inf" if end == math.inf else str(end), float(count)) for end, count in value.buckets
            ]
            histogram.add_metric(labels, buckets, value.total)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        assert not isinstance(value, Histogram)
        family.add_metric(labels, value)
    return family
