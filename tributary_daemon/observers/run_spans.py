"""Spans of steps and runs, made when they have ended: by one process, from what the database has recorded."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.model.control import CONTROL_NAMES
from tributary_daemon.observers.span_contexts import SAMPLED, Upper, remote
from tributary_daemon.observers.span_ids import span_of_run, span_of_step, trace_of
from tributary_daemon.observers.span_records import Common, EndedSpan
from tributary_daemon.store.spans import Noted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from tributary_daemon.observers.direct_spans import DirectSpans
    from tributary_daemon.observers.span_ids import GivenIds
    from tributary_daemon.store.spans import Ended

_REMEMBERED: Final = 10_000
_CANCELLED: Final = "cancelled"
_BAD: Final = frozenset({"failed", "discarded"})

_Key = tuple[str, str, int, "datetime"]


class RunSpans:
    """Makes spans of what has ended.

    Args:
        tracer: makes them, with ids that ``ids`` gives.
        trace: the module of that name.
        ids: the tracer's generator of ids.
        sampled: whether a run is, by its id and traceparent.
        direct: writes them in the place of the tracer, where there is one.
    """

    def __init__(
        self,
        tracer: Any,
        trace: Any,
        ids: GivenIds,
        sampled: Callable[[str, str | None], bool],
        direct: DirectSpans | None = None,
    ) -> None:
        self._root = import_module("opentelemetry.context").Context()
        self._tracer, self._trace, self._ids, self._direct = tracer, trace, ids, direct
        self._sampled = sampled
        self._told: dict[_Key, None] = {}

    def tell(self, rows: Sequence[Ended], noted: Iterable[Noted]) -> None:
        """Make the spans that are this process's to make.

        Args:
            rows: what has ended, children before parents.
            noted: the attempts that this process has ended.
        """
        for row in mine(rows, frozenset(noted)):
            key = row.what, row.run_id, row.ordinal, row.ended_at
            # two attempts of one exchange may have been noted before and after one look
            if key not in self._told and self._sampled(row.run_id, row.traceparent):
                self._told[key] = None
                self._make(row)
        while len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]

    def _make(self, row: Ended) -> None:
        trace_id, parent = trace_of(row.run_id), 0
        if row.traceparent is not None:
            trace_id, parent = int(row.traceparent[3:35], 16), int(row.traceparent[36:52], 16)
        if row.what == "step":
            given, parent = span_of_step(row.run_id, row.ordinal, row.attempt_base), span_of_run(row.run_id)
        else:
            given = span_of_run(row.run_id)
            if row.traceparent is not None and row.parent_run_id is not None:
                assert row.parent_ordinal is not None
                parent = span_of_step(row.parent_run_id, row.parent_ordinal, row.parent_base or 0)
        name = f"{row.what} {row.name if row.what == 'run' else row.step_id or row.name}"
        kind, shared, own = self._trace.SpanKind.INTERNAL, _shared(row), _own(row)
        times = _nanoseconds(row.began_at or row.ended_at), _nanoseconds(row.ended_at)
        status = None
        if row.state in _BAD:
            status = self._trace.Status(self._trace.StatusCode.ERROR, row.reason or row.state)
        if self._direct is not None:
            common = Common(name, kind, shared)
            self._direct.take(EndedSpan(common, trace_id, given, parent, own, *times, status))
            return
        trace = self._trace
        above = trace.INVALID_SPAN_CONTEXT
        if parent:
            above = remote(trace, Upper(trace_id, parent, SAMPLED))
        context = trace.set_span_in_context(trace.NonRecordingSpan(above), self._root)
        with self._ids.given(given, trace_id):
            span = self._tracer.start_span(name, context, kind, dict(shared) | own, start_time=times[0])
        if status is not None:
            span.set_status(status)
        span.end(times[1])


def mine(rows: Sequence[Ended], noted: frozenset[Noted]) -> list[Ended]:
    """Return the steps and runs whose spans are to be made by the process that has noted these attempts.

    Whatever one finish has ended belongs to the process of that finish: steps that have ended otherwise than
    by cancellation are all of one process then, and it has their run. Where all of them were cancelled, the
    process of the first one has it.
    """
    found: list[Ended] = []
    owned: set[tuple[str, int | None]] = set()
    ends: dict[tuple[int, str, datetime], list[Ended]] = {}
    for row in rows:
        ends.setdefault((row.depth, row.run_id, row.ended_at), []).append(row)
    # children before parents
    for end in sorted(ends):
        here = ends[end]
        steps = sorted((row for row in here if row.what == "step"), key=lambda row: row.ordinal)
        ours = [
            row
            for row in steps
            if Noted(row.shard, row.run_id, row.ordinal, row.seq) in noted
            or (row.run_id, row.ordinal) in owned
        ]
        if not ours:
            continue
        ended = [row for row in ours if row.state != _CANCELLED]
        # who has finished one has ended those, too, for which only the engine worked
        engines = [row for row in steps if ended and row not in ours and _is_engines(row)]
        found += [row for row in [*ours, *engines] if row.step_id is not None]
        others = [row for row in steps if row.name not in CONTROL_NAMES]
        if ended or (others[:1] == ours[:1] and all(row.state == _CANCELLED for row in others)):
            runs = [row for row in here if row.what == "run"]
            found += runs
            owned |= {(row.parent_run_id, row.parent_ordinal) for row in runs if row.parent_run_id}
    return found


def _is_engines(row: Ended) -> bool:
    return row.state != _CANCELLED and row.name in CONTROL_NAMES


def _shared(row: Ended) -> tuple[tuple[str, str | int], ...]:
    """Return what is said of others like it, too."""
    found: list[tuple[str, str | int | None]] = [
        ("tributary.kind", row.what),
        ("tributary.name", row.name),
        ("tributary.state", row.state),
        ("tributary.reason", row.reason),
        ("tributary.tenant", row.tenant or None),
    ]
    if row.what == "step":
        found += [
            ("tributary.step", row.step_id),
            ("tributary.queue", row.queue),
            ("tributary.attempts", row.attempts),
        ]
    return tuple((name, value) for name, value in found if value is not None)


def _own(row: Ended) -> dict[str, Any]:
    found: dict[str, Any] = {
        "tributary.run_id": row.run_id,
        "tributary.item": row.item_key if row.what == "step" else None,
        "tributary.correlation_id": row.correlation_id,
        "tributary.business_id": row.business_id,
    }
    return {name: value for name, value in found.items() if value is not None}


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1e6) * 1000
