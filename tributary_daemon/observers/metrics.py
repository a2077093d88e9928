"""The metrics of a worker: what there is, and the values of one look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind = Literal["counter", "gauge", "histogram"]

MOST_QUEUES: Final = 200
"""Distinct values of the label queue; all that is beyond them is `OTHER`."""
MOST_TENANTS: Final = 200
"""Distinct values of the label tenant, likewise."""
OTHER: Final = "other"

QUEUE: Final = ("queue",)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: as it is asked for; a histogram's without ``_bucket``, ``_sum`` and ``_count``.
        kind: of Prometheus.
        help: what it counts.
        labels: names of labels.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """A value of a histogram.

    Attributes:
        buckets: (upper end in seconds, how many are not above it), ascending, infinity last.
        total: seconds of all together.
    """

    buckets: tuple[tuple[float, int], ...]
    total: float


Value: TypeAlias = float | Histogram
Values: TypeAlias = Mapping[str, Mapping[tuple[str, ...], Value]]
"""Name -> values of its labels -> value. What is not known is left out."""

CATALOGUE: Final = (
    Metric(
        "tributary_worker_info", "gauge", "Always 1; names the worker and its version.", ("name", "version")
    ),
    Metric(
        "tributary_worker_state", "gauge", "1 for the state the worker is in, 0 for the others.", ("state",)
    ),
    Metric("tributary_worker_turn_age_seconds", "gauge", "Time since the supervisor's loop turned."),
    Metric("tributary_worker_fences_total", "counter", "Times it lost all it held: it had been silent."),
    Metric("tributary_processes", "gauge", "Processes by what they do.", ("state",)),
    Metric("tributary_processes_wanted", "gauge", "Processes that the worker is to have."),
    Metric("tributary_process_starts_total", "counter", "Processes that have begun to claim."),
    Metric("tributary_process_deaths_total", "counter", "Processes that ended unasked, or were killed."),
    Metric("tributary_process_kills_total", "counter", "Processes that were killed because they were stuck."),
    Metric(
        "tributary_process_recycles_total", "counter", "Processes that were replaced: they had done enough."
    ),
    Metric(
        "tributary_process_spawn_failures_total", "counter", "Processes that the system refused to start."
    ),
    Metric("tributary_slots", "gauge", "Attempts that can run at once in the processes that are alive."),
    Metric("tributary_slots_in_use", "gauge", "Attempts whose code runs."),
    Metric("tributary_leases_held", "gauge", "Attempts that are claimed and not finished."),
    Metric("tributary_attempts_claimed_total", "counter", "Attempts that were claimed.", QUEUE),
    Metric("tributary_attempts_started_total", "counter", "Attempts whose code was begun."),
    Metric("tributary_attempts_finished_total", "counter", "Attempts by outcome.", ("queue", "outcome")),
    Metric("tributary_attempts_rescued_total", "counter", "Attempts taken from dead processes."),
    Metric("tributary_retries_total", "counter", "Attempts that failed and are tried again.", QUEUE),
    Metric("tributary_discards_total", "counter", "Attempts that failed for good.", QUEUE),
    Metric("tributary_attempt_wait_seconds", "histogram", "From ready to claimed.", QUEUE),
    Metric("tributary_attempt_start_delay_seconds", "histogram", "From claimed to started."),
    Metric("tributary_attempt_duration_seconds", "histogram", "From started to ended.", QUEUE),
    Metric("tributary_cache_lookups_total", "counter", "Answers of the step cache.", ("scope", "outcome")),
    Metric("tributary_exchange_duration_seconds", "histogram", "Round trips that write outcomes."),
    Metric("tributary_database_up", "gauge", "1 while the database answers the supervisor's beats."),
    Metric("tributary_database_connections_total", "counter", "Connections opened to claim and finish."),
    Metric("tributary_database_outages_total", "counter", "Outages met by processes or the supervisor."),
    Metric("tributary_queue_depth", "gauge", "Steps and intents by queue and state.", ("queue", "state")),
    Metric(
        "tributary_queue_oldest_ready_age_seconds",
        "gauge",
        "How long the oldest ready one has waited.",
        QUEUE,
    ),
    Metric("tributary_queue_sample_age_seconds", "gauge", "Time since the queues were sampled."),
    Metric("tributary_tenant_ready", "gauge", "Steps and intents that can be claimed.", ("tenant",)),
    Metric("tributary_tenant_running", "gauge", "Steps and intents that are claimed.", ("tenant",)),
    Metric(
        "tributary_tenant_oldest_ready_age_seconds",
        "gauge",
        "How long the oldest ready one of a tenant has waited.",
        ("tenant",),
    ),
    Metric("tributary_dead_letters", "gauge", "Dead letters, at most 10,000 of each shard.", QUEUE),
)
"""All that a worker exposes, in this order."""
