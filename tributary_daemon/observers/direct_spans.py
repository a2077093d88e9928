"""Spans of attempts that no SDK makes: what is known is noted, and made a span when it is exported.

A tracer of the SDK takes longer for a span than the engine takes for a step: samplers, limits, locks and
checks of attributes, which change nothing in the span of an attempt whose handler says nothing of it. What
a handler says goes through the SDK: then, and not before, a span of the SDK's is begun in its place.

Of a hundred attempts one is traced. Between two of them other work has been through all caches, and what
counts is how much code and memory is touched, not how fast it is in a loop: what takes 2 us there takes 20
here. Hence `DirectSpans.quick`; and what can wait is left to the exporter, which does it for many at once.
"""

from __future__ import annotations

import threading
from importlib import import_module
from operator import attrgetter
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, Self

from tributary_daemon.model.outcome import Completed
from tributary_daemon.observers.span_contexts import SAMPLED, Upper, above, remote
from tributary_daemon.observers.span_records import (
    OUTCOME,
    Attempt,
    Common,
    EndedSpan,
    Place,
    attributes_of,
    own_of,
    shared_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.model.outcome import Outcome
    from tributary_daemon.observers.span_ids import GivenIds
    from tributary_daemon.observers.span_queue import SpanQueue

    Run = Callable[[Any], Outcome | None]

_RANDOM: Final = 2
# fewer than the SDK's limit allows, unless that is set; with those that are there from the beginning
_ATTRIBUTES: Final = 100
_PLAIN: Final = frozenset({str, int, float, bool})
_COMPLETED: Final = "completed"
# as a plain tuple: what makes an Attempt is as much code again
_kept: Final = attrgetter(*Attempt._fields)
# held for an assignment, never for what others have written
_ONCE: Final = threading.Lock()


class DirectSpans:
    """Begins spans of attempts, all of them sampled.

    Args:
        tracer: of the SDK; begins the spans of which a handler says something.
        trace: the module ``opentelemetry.trace``.
        ids: the tracer's generator of ids.
        queue: takes what has ended.

    Attributes:
        take: takes a span that has ended.
    """

    def __init__(self, tracer: Any, trace: Any, ids: GivenIds, queue: SpanQueue) -> None:
        self.take, self._queue = queue.take, queue
        self._tracer, self._trace, self._ids = tracer, trace, ids
        context: Any = import_module("opentelemetry.context")
        self._attach, self._context_type = context.attach, context.Context
        self._root = context.Context()
        self._root_flags = SAMPLED | (_RANDOM if ids.is_trace_id_random() else 0)
        # the name under which a context keeps its span
        (self._key,) = trace.set_span_in_context(trace.INVALID_SPAN, self._root)
        self._begun: Callable[[], Any] = _class_of_begun(trace, self)

    def begin(self, lease: Lease) -> Any:
        """Begin the span of the attempt of a lease."""
        span = self._begun()
        span.attempt = lease
        span.word = span.place = span.said = span.end_time = None
        span.start_time = time_ns()
        return span

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

    def quick(
        self,
        run: Run,
        told: Run,
        *,
        below: str,
        resting: Any,
        conclude: Callable[[Any, Outcome | None, Any], None],
        note: Callable[[Any], None] | None,
    ) -> Run:
        """Return ``told``, with a short way for most of what is traced.

        Args:
            run: comes to an outcome.
            told: the same, traced.
            below: the last digits of ids, read backwards, are below it where work begins a trace.
            resting: the context of a thread between two attempts.
            conclude: ends the span of an attempt with its outcome.
            note: called for each attempt of a run; None where runs have no spans.
        """
        attach, context, key, begun = self._attach, self._context_type, self._key, self._begun
        queue, spans, batch = self._queue, self._queue.spans, self._queue.batch

        def quickly(held: Any) -> Outcome | None:
            if held.correlation is not None or held.handler is None or held.run_id[:-9:-1] >= below:
                return told(held)
            # what `begin` does, and below what `conclude` of the span does: each call would be code to fetch
            span = begun()
            span.attempt = held
            span.word = span.place = span.said = span.end_time = None
            span.start_time = time_ns()
            try:
                attach(context({key: span}))
                outcome = run(held)
            except BaseException:
                attach(resting)
                span.set_attribute(OUTCOME, "interrupted")
                span.end()
                raise
            # not by detaching what was attached: that is other code, which would have to be fetched, too
            attach(resting)
            end = time_ns()
            completed = outcome is None or type(outcome) is Completed
            # where nothing was said: whoever comes between this line and the next says it too late
            if completed and span.said is None and span.end_time is None:
                span.end_time = end
                span.word = _COMPLETED
                span.attempt = (
                    held.run_id, held.ordinal, held.attempt_base, held.kind, held.name, held.step_id,
                    held.queue, held.attempt, held.tenant, None,
                )  # fmt: skip
                spans.append(span)
                if len(spans) >= batch:
                    queue.crowd()
            else:
                conclude(held, outcome, span)
            if held.ordinal and note is not None:
                note(held)
            return outcome

        return quickly


class _Said:
    """What has been said of a span, and is more than an attempt that has run and ended.

    Attributes:
        lock: held while something is said.
        attributes: that are plain.
        own: the SDK's span that has taken its place; None for none.
    """

    __slots__ = ("attributes", "lock", "own")

    def __init__(self) -> None:
        # one each: what others have written is called with it
        self.lock = threading.Lock()
        self.attributes: dict[str, Any] = {}
        self.own: Any = None


def _class_of_begun(trace: Any, direct: DirectSpans) -> Callable[[], Any]:
    # made here, as nothing of OpenTelemetry is imported where nobody asks for traces
    kind = trace.SpanKind.CONSUMER

    class Begun:
        """The span of an attempt; once something is said of it that is not plain, one of the SDK's.

        Its ids are made when somebody asks for them, which is most often after its end.
        """

        __slots__ = ("attempt", "end_time", "place", "said", "start_time", "word")

        attempt: Any
        word: str | None
        place: Place | None
        said: _Said | None
        start_time: int
        end_time: int | None

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.end()

        def get_span_context(self) -> Any:
            return direct.context(self._placed())

        def is_recording(self) -> bool:
            return self.end_time is None

        def conclude(self, word: str) -> bool:
            """End it with what its attempt came to; False where it has ended, or is one of the SDK's now."""
            said = self._talk()
            with said.lock:
                if said.own is not None or self.end_time is not None:
                    return False
                self.word = word
                self.end_time = time_ns()
                self.attempt = _kept(self.attempt)
            direct.take(self)
            return True

        def end(self, end_time: int | None = None) -> None:
            said = self._talk()
            with said.lock:
                if self.end_time is not None:
                    return
                self.end_time = time_ns() if end_time is None else end_time
                if said.own is None:
                    self.attempt = _kept(self.attempt)
            if said.own is None:
                direct.take(self)
            else:
                said.own.end(self.end_time)

        def ended(self) -> EndedSpan:
            place = self._placed()
            assert self.end_time is not None
            attempt = Attempt._make(self.attempt)
            shared, own = shared_of(attempt), own_of(attempt)
            if self.word is not None:
                shared += ((OUTCOME, self.word),)
            if self.said is not None and self.said.attributes:
                # different each time, and maybe of what is said already
                shared, own = (), self._attributes(attempt, self.said)
            common = Common(f"attempt {attempt.name}", kind, shared)
            return EndedSpan(common, *place[:3], own, self.start_time, self.end_time)

        def set_attribute(self, key: str, value: Any) -> None:
            said = self._talk()
            with said.lock:
                if said.own is None and self.end_time is None and _is_plain(key, value, said.attributes):
                    said.attributes[key] = value
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

        def _talk(self) -> _Said:
            if self.said is None:
                said = _Said()
                with _ONCE:
                    self.said = self.said or said
            return self.said

        def _placed(self) -> Place:
            if self.place is None:
                attempt = self.attempt
                place = direct.place(Attempt._make(attempt) if type(attempt) is tuple else attempt)
                with _ONCE:
                    self.place = self.place or place
            return self.place

        def _attributes(self, attempt: Attempt | Lease, said: _Said) -> dict[str, Any]:
            last = {} if self.word is None else {OUTCOME: self.word}
            return attributes_of(attempt) | said.attributes | last

        def _sdk(self) -> Any:
            said = self._talk()
            with said.lock:
                if said.own is None and self.end_time is None:
                    attempt = self.attempt
                    attributes = self._attributes(attempt, said)
                    said.own = direct.replace(
                        f"attempt {attempt.name}", self._placed(), attributes, self.start_time
                    )
                # of what has ended nothing can be said any more
                return trace.INVALID_SPAN if said.own is None else said.own

    # registered: what a subclass inherits is a dictionary in each
    trace.Span.register(Begun)
    return Begun


def _is_plain(key: str, value: Any, others: Mapping[str, Any]) -> bool:
    """Return whether the SDK would keep an attribute as it is."""
    return type(value) in _PLAIN and type(key) is str and key != "" and len(others) < _ATTRIBUTES
