"""What is kept of attempts whose spans no SDK makes, and what an exporter is given of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.model.correlation import Correlation

OUTCOME: Final = "tributary.outcome"
"""The attribute that says what an attempt came to: a word."""


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
    return dict(shared_of(attempt)) | own_of(attempt)


def shared_of(attempt: Attempt | Lease) -> tuple[tuple[str, str | int], ...]:
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


def own_of(attempt: Attempt | Lease) -> dict[str, Any]:
    """Return what is said of this one alone."""
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
