"""The metrics of a worker, gathered when it is scraped: from boards, events, its health and the database."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from contextlib import contextmanager, nullcontext
from importlib import import_module
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import events
from tributary_daemon.daemon import health
from tributary_daemon.daemon.queue_looks import EVERY, QueueLooks
from tributary_daemon.observers import otel_metrics
from tributary_daemon.observers.metrics import MOST_QUEUES, MOST_TENANTS, OTHER, Histogram
from tributary_daemon.store.tenants import TenantRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tributary_daemon.daemon.health import Health, HealthReport
    from tributary_daemon.daemon.measures import Distribution
    from tributary_daemon.daemon.plan import WorkerPlan
    from tributary_daemon.daemon.tally import Counts
    from tributary_daemon.observers.metrics import Value

_COUNTED: Final[Mapping[type[events.Event], str]] = {
    events.WorkerFenced: "tributary_worker_fences_total",
    events.ProcessStarted: "tributary_process_starts_total",
    events.ProcessDied: "tributary_process_deaths_total",
    events.ProcessStuck: "tributary_process_kills_total",
    events.ProcessRecycled: "tributary_process_recycles_total",
    events.SpawnFailed: "tributary_process_spawn_failures_total",
}
_RESCUED: Final = "tributary_attempts_rescued_total"
_OUTAGES: Final = "tributary_database_outages_total"
_USUAL: Final = ("completed", "retry", "discarded")
_STALE: Final = 3 * EVERY

_Found = dict[str, dict[tuple[str, ...], "Value"]]


class Metrics:
    """What a worker tells whoever scrapes it.

    Args:
        plan: of the worker.
        health: where its supervisor publishes.
        looks: at the queues.
    """

    def __init__(self, plan: WorkerPlan, health: Health, looks: QueueLooks | None = None) -> None:
        self._health = health
        self._first = plan.claimed
        self._looks = looks or QueueLooks(plan.url, plan.name)
        self._events: Counter[str] = Counter(dict.fromkeys([*_COUNTED.values(), _RESCUED, _OUTAGES], 0))
        self._away = False

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Count events while the block runs."""
        detach = events.attach(self._note)
        try:
            yield
        finally:
            detach()

    @contextmanager
    def pushed(self, *, beside: bool, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
        """Push them by OpenTelemetry while the block runs, if the standard variables ask for that.

        Args:
            beside: they are `attached` already, for who scrapes them.
            environ: the variables.
        """
        if not otel_metrics.is_asked(environ):
            yield
            return
        report = self._health.report
        with (
            nullcontext() if beside else self.attached(),
            otel_metrics.pushing(self.values, (report.name, report.version), environ),
        ):
            yield

    def page(self) -> tuple[bytes, str]:
        """Return the page of one scrape, and its content type; takes a second and a bit at most."""
        # a third of a second, that only those spend who are scraped
        exposition: Any = import_module("tributary_daemon.observers.exposition")
        return exposition.page(self.values()), exposition.CONTENT_TYPE

    def values(self) -> _Found:
        """Look around."""
        report, now = self._health.report, time.monotonic()
        found: _Found = {name: {(): count} for name, count in self._events.items()}
        up = health.answers(report, now)
        found |= _of_worker(report, now)
        found["tributary_database_up"] = {(): float(up)}
        if self._health.tally is not None:
            counts = self._health.tally.counts()
            found[_OUTAGES][()] = self._events[_OUTAGES] + counts.sums.outages
            found |= _of_work(counts)
        if up and (seen := self._looks.latest()) is not None and seen[0] < _STALE:
            ago, samples = seen
            found |= self._of_queues(ago, [one for one in samples if not isinstance(one, TenantRow)])
            found |= _of_tenants([one for one in samples if isinstance(one, TenantRow)])
        return found

    def _of_queues(self, ago: float, samples: Iterable[Any]) -> _Found:
        samples = list(samples)
        named = named_queues((sample.queue for sample in samples), self._first)
        depth: dict[tuple[str, ...], Value] = {}
        oldest: dict[tuple[str, ...], Value] = {}
        letters: dict[tuple[str, ...], Value] = {}
        ages = []
        for sample in samples:
            queue = sample.queue if sample.queue in named else OTHER
            if sample.age is not None:
                ages.append(sample.age)
                for state in ("ready", "scheduled", "running", "waiting"):
                    _more(depth, (queue, state), getattr(sample, state))
                before = oldest.get((queue,), 0.0)
                assert isinstance(before, float)
                oldest[queue,] = max(before, sample.oldest or 0.0)
            _more(letters, (queue,), sample.letters)
        found: _Found = {
            "tributary_queue_depth": depth,
            "tributary_queue_oldest_ready_age_seconds": oldest,
            "tributary_dead_letters": letters,
        }
        if ages:
            found["tributary_queue_sample_age_seconds"] = {(): min(ages) + ago}
        return found

    def _note(self, event: events.Event) -> None:
        if (name := _COUNTED.get(type(event))) is not None:
            self._events[name] += 1
            return
        match event:
            case events.AttemptsRescued(count):
                self._events[_RESCUED] += count
            case events.DatabaseLost() if not self._away:
                # each reason of an outage is told once: only the first one begins it
                self._away = True
                self._events[_OUTAGES] += 1
            case events.DatabaseBack():
                self._away = False


def named_queues(queues: Iterable[str], first: Iterable[str]) -> frozenset[str]:
    """Return the queues that are told by name: ``first`` those that are served here, then by the alphabet."""
    ours = frozenset(first)
    return frozenset(sorted(queues, key=lambda queue: (queue not in ours, queue))[: MOST_QUEUES - 1])


def _of_worker(report: HealthReport, now: float) -> _Found:
    return {
        "tributary_worker_info": {(report.name, report.version): 1.0},
        "tributary_worker_state": {(state,): float(state == report.state) for state in health.STATES},
        "tributary_worker_turn_age_seconds": {(): max(0.0, now - report.turned_at)},
        "tributary_processes": {
            (state,): float(count) for state, count in health.processes(report, now).items()
        },
        "tributary_processes_wanted": {(): float(report.wanted)},
    }


def _of_tenants(rows: Iterable[TenantRow]) -> _Found:
    """Tell the tenants that have a limit or a login by name: who only submits could name any number."""
    rows = list(rows)
    known = [row.name for row in rows if row.concurrency is not None or row.rate is not None or row.logins]
    named = frozenset(known[: MOST_TENANTS - 1])
    ready: dict[tuple[str, ...], Value] = {}
    running: dict[tuple[str, ...], Value] = {}
    oldest: dict[tuple[str, ...], float] = {}
    for row in rows:
        key = (row.name if row.name in named else OTHER,)
        _more(ready, key, row.ready)
        _more(running, key, row.running)
        oldest[key] = max(oldest.get(key, 0.0), row.oldest or 0.0)
    return (
        {
            "tributary_tenant_ready": ready,
            "tributary_tenant_running": running,
            "tributary_tenant_oldest_ready_age_seconds": {**oldest},
        }
        if rows
        else {}
    )


def _of_work(counts: Counts) -> _Found:
    sums = counts.sums
    finished: dict[tuple[str, ...], float] = {}
    for queue in sums.queues:
        for outcome, count in sums.outcomes(queue).items():
            if count or outcome in _USUAL:
                finished[queue, outcome] = count
    for key, count in counts.interrupted.items():
        finished[key] = finished.get(key, 0) + count

    def of(*outcomes: str) -> dict[tuple[str, ...], Value]:
        return {
            (queue,): sum(finished.get((queue, outcome), 0) for outcome in outcomes) for queue in sums.queues
        }

    return {
        "tributary_slots": {(): counts.slots},
        "tributary_slots_in_use": {(): counts.busy},
        "tributary_leases_held": {(): counts.held},
        "tributary_attempts_claimed_total": {(queue,): sums.claimed(queue) for queue in sums.queues},
        "tributary_attempts_started_total": {(): sums.started},
        "tributary_attempts_finished_total": {**finished},
        "tributary_retries_total": of("retry"),
        "tributary_discards_total": of("discarded", "aborted"),
        "tributary_attempt_wait_seconds": {(queue,): _seconds(sums.waits(queue)) for queue in sums.queues},
        "tributary_attempt_start_delay_seconds": {(): _seconds(sums.starts)},
        "tributary_attempt_duration_seconds": {(queue,): _seconds(sums.runs(queue)) for queue in sums.queues},
        "tributary_cache_lookups_total": {**sums.looks()},
        "tributary_exchange_duration_seconds": {(): _seconds(sums.trips)},
        "tributary_database_connections_total": {(): sums.opened},
    }


def _seconds(found: Distribution) -> Histogram:
    ends = [*(bound / 1e6 for bound in found.bounds), math.inf]
    return Histogram(tuple(zip(ends, accumulate(found.counts), strict=True)), found.total / 1e6)


def _more(values: dict[tuple[str, ...], Value], labels: tuple[str, ...], count: float) -> None:
    before = values.get(labels, 0)
    assert not isinstance(before, Histogram)
    values[labels] = before + count
