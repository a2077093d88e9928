"""Spans of attempts that no SDK makes: what is known is noted, and made a span when it is exported.

A tracer of the SDK takes longer for a span than the engine takes for a step: samplers, limits, locks and
checks of attributes, which change nothing in the span of an attempt whose handler says nothing of it. What
a handler says goes through the SDK: then, and not before, a span of the SDK's is begun in its place.
"""

from __future__ import annotations

import threading
from importlib import import_module
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tributary_daemon.observers.span_contexts import SAMPLED, Upper, above, remote

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.model.correlation import Correlation
    from tributary_daemon.observers.span_ids import GivenIds

OUTCOME: Final = "tributary.outcome"
"""The attribute that says what an attempt came to: a word."""
_RANDOM: Final = 2
# fewer than the SDK's limit allows, unless that is set; with those that are there from the beginning
_ATTRIBUTES: Final = 100
_PLAIN: Final = frozenset({str, int, float, bool})


class Attempt(NamedTuple):
    """What the span of an attempt says of it; a lease has more, and its payload would be kept with it.

    Attributes:
        run_id: of the run; of an intent, its id.
        ordinal: of the step; 0 for an intent.
        attempt_base: attempts used up before the last explicit retry.
        kind: ``step``, ``intent`` or ``closing``.
        name: the handler's.
        step_id: the id in the workflow; None for an intent.
        queue: where it was claimed.
        attempt: its number, 1-based.
        tenant: whose work it is; empty for nobody's in particular.
        correlation: ids that its work carries; None for none.
    """

    run_id: str
    ordinal: int
    attempt_base: int
    kind: str
    name: str
    step_id: str | None
    queue: str
    attempt: int
    tenant: str
    correlation: Correlation | None


class Common(NamedTuple):
    """What many spans have in common, so that it is encoded once.

    Attributes:
        name: of the spans.
        kind: a SpanKind.
        attributes: names and values; of one name, values of one type.
    """

    name: str
    kind: Any
    attributes: tuple[tuple[str, str | int], ...]


class EndedSpan(NamedTuple):
    """A span that has ended: what an exporter needs of it.

    Attributes:
        common: what it has in common with others.
        trace_id: of its trace.
        span_id: its own.
        parent_id: of the span above it, which is one of another process; 0 where there is none.
        attributes: what else is said of it: strings, numbers and booleans.
        start_time: nanoseconds since 1970.
        end_time: likewise.
        status: a Status; None for an unset one.
    """

    common: Common
    trace_id: int
    span_id: int
    parent_id: int
    attributes: Mapping[str, Any]
    start_time: int
    end_time: int
    status: Any = None

    def ended(self) -> EndedSpan:
        """Return itself."""
        return self


class Ending(Protocol):
    """What has ended, and can be made a span when there is time."""

    def ended(self) -> EndedSpan:
        """Return the span."""


def attributes_of(attempt: Attempt | Lease) -> dict[str, Any]:
    """Return what the span of an attempt says of it; of what is not there nothing is said."""
    return dict(_shared(attempt)) | _own(attempt)


def _shared(attempt: Attempt | Lease) -> tuple[tuple[str, str | int], ...]:
    """Return what is said of attempts at other work, too."""
    found: tuple[tuple[str, str | int], ...] = (
        ("tributary.kind", attempt.kind),
        ("tributary.handler", attempt.name),
        ("tributary.queue", attempt.queue),
        ("tributary.attempt", attempt.attempt),
    )
    if attempt.step_id is not None:
        found += (("tributary.step", attempt.step_id),)
    if attempt.tenant:
        found += (("tributary.tenant", attempt.tenant),)
    return found


def _own(attempt: Attempt | Lease) -> dict[str, Any]:
    found = {"tributary.run_id": attempt.run_id}
    ids = attempt.correlation
    if ids is not None and ids.correlation_id is not None:
        found["tributary.correlation_id"] = ids.correlation_id
    if ids is not None and ids.business_id is not None:
        found["tributary.business_id"] = ids.business_id
    return found


class Place(NamedTuple):
    """Where a span stands.

    Attributes:
        trace_id: of its trace.
        span_id: its own.
        parent_id: of the span above it; 0 where there is none.
        flags: its trace flags.
        parent_flags: those of the span above it.
    """

    trace_id: int
    span_id: int
    parent_id: int
    flags: int
    parent_flags: int


class DirectSpans:
    """Begins spans of attempts, all of them sampled.

    Args:
        tracer: of the SDK; begins the spans of which a handler says something.
        trace: the module ``opentelemetry.trace``.
        ids: the tracer's generator of ids.
        take: takes what has ended.

    Attributes:
        begin: begins the span of the attempt of a lease.
        take: as given.
    """

    def __init__(self, tracer: Any, trace: Any, ids: GivenIds, take: Callable[[Ending], None]) -> None:
        self.take = take
        self._tracer, self._trace, self._ids = tracer, trace, ids
        self._root = import_module("opentelemetry.context").Context()
        self._root_flags = SAMPLED | (_RANDOM if ids.is_trace_id_random() else 0)
        self.begin: Callable[[Lease], Any] = _class_of_begun(trace, self)

    def place(self, attempt: Attempt | Lease) -> Place:
        """Return the ids for the span of an attempt."""
        upper = above(attempt)
        span_id = self._ids.generate_span_id()
        if upper is None:
            return Place(self._ids.generate_trace_id(), span_id, 0, self._root_flags, 0)
        return Place(upper.trace_id, span_id, upper.span_id, SAMPLED | (upper.flags & _RANDOM), upper.flags)

    def context(self, place: Place) -> Any:
        """Return the SpanContext of what has a place."""
        return self._trace.SpanContext(
            place.trace_id, place.span_id, False, self._trace.TraceFlags(place.flags)
        )

    def replace(self, name: str, place: Place, attributes: dict[str, Any], start: int) -> Any:
        """Return a span of the SDK's that nobody can tell from one that has begun before."""
        trace = self._trace
        parent = trace.INVALID_SPAN_CONTEXT
        if place.parent_id:
            parent = remote(trace, Upper(place.trace_id, place.parent_id, place.parent_flags))
        upper = trace.NonRecordingSpan(parent)
        with self._ids.given(place.span_id, place.trace_id, random=bool(place.flags & _RANDOM)):
            return self._tracer.start_span(
                name,
                trace.set_span_in_context(upper, self._root),
                trace.SpanKind.CONSUMER,
                attributes,
                start_time=start,
            )


def _class_of_begun(trace: Any, direct: DirectSpans) -> Callable[[Lease], Any]:
    # made here, as nothing of OpenTelemetry is imported where nobody asks for traces
    kind = trace.SpanKind.CONSUMER

    class Begun(trace.Span):  # type: ignore[misc]
        """The span of an attempt; once something is said of it that is not plain, one of the SDK's.

        Its ids are made when somebody asks for them, which is most often after its end.
        """

        __slots__ = ("_attempt", "_end", "_lock", "_own", "_place", "_said", "_start", "_word")

        def __init__(self, lease: Lease) -> None:
            self._attempt: Attempt | Lease = lease
            # one each: an exception that ends an attempt may come anywhere
            self._lock = threading.Lock()
            self._said: dict[str, Any] | None = None
            self._word: str | None = None
            self._place: Place | None = None
            self._own: Any = None
            self._end: int | None = None
            self._start = time_ns()

        def get_span_context(self) -> Any:
            with self._lock:
                return direct.context(self._placed())

        def is_recording(self) -> bool:
            return self._end is None

        def end(self, end_time: int | None = None) -> None:
            with self._lock:
                if self._end is not None:
                    return
                self._end = time_ns() if end_time is None else end_time
                if self._own is None:
                    self._attempt = _kept(self._attempt)
            if self._own is None:
                direct.take(self)
            else:
                self._own.end(self._end)

        def conclude(self, word: str) -> bool:
            """End it with what its attempt came to; False where it has ended, or is one of the SDK's now."""
            with self._lock:
                if self._own is not None or self._end is not None:
                    return False
                self._word = word
                self._end = time_ns()
                self._attempt = _kept(self._attempt)
            direct.take(self)
            return True

        def ended(self) -> EndedSpan:
            with self._lock:
                place = self._placed()
            assert self._end is not None
            shared, own = _shared(self._attempt), _own(self._attempt)
            if self._word is not None:
                shared += ((OUTCOME, self._word),)
            if self._said:
                # different each time, and maybe of what is said already
                shared, own = (), self._attributes()
            common = Common(self._name(), kind, shared)
            return EndedSpan(common, *place[:3], own, self._start, self._end)

        def set_attribute(self, key: str, value: Any) -> None:
            with self._lock:
                if self._own is None and self._end is None:
                    said = self._said or {}
                    if _is_plain(key, value, said):
                        said[key] = value
                        self._said = said
                        return
            self._sdk().set_attribute(key, value)

        def set_attributes(self, attributes: Any) -> None:
            for key, value in attributes.items():
                self.set_attribute(key, value)

        def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
            self._sdk().add_event(name, attributes, timestamp)

        def add_link(self, context: Any, attributes: Any = None) -> None:
            self._sdk().add_link(context, attributes)

        def update_name(self, name: str) -> None:
            self._sdk().update_name(name)

        def set_status(self, status: Any, description: str | None = None) -> None:
            self._sdk().set_status(status, description)

        def record_exception(self, exception: BaseException, *details: Any, **named: Any) -> None:
            self._sdk().record_exception(exception, *details, **named)

        def _placed(self) -> Place:
            if self._place is None:
                self._place = direct.place(self._attempt)
            return self._place

        def _name(self) -> str:
            return f"attempt {self._attempt.name}"

        def _attributes(self) -> dict[str, Any]:
            last = {} if self._word is None else {OUTCOME: self._word}
            return attributes_of(self._attempt) | (self._said or {}) | last

        def _sdk(self) -> Any:
            with self._lock:
                if self._own is None and self._end is None:
                    said = self._attributes()
                    self._own = direct.replace(self._name(), self._placed(), said, self._start)
                # of what has ended nothing can be said any more
                return trace.INVALID_SPAN if self._own is None else self._own

    return Begun


def _kept(lease: Any) -> Attempt:
    return Attempt(
        lease.run_id, lease.ordinal, lease.attempt_base, lease.kind, lease.name, lease.step_id,
        lease.queue, lease.attempt, lease.tenant, lease.correlation,
    )  # fmt: skip


def _is_plain(key: str, value: Any, others: Mapping[str, Any]) -> bool:
    """Return whether the SDK would keep an attribute as it is."""
    return type(value) in _PLAIN and type(key) is str and key != "" and len(others) < _ATTRIBUTES
