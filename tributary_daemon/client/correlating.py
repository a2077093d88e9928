"""The ids that a submit gives to its work: checked, and completed by those of the step that submits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.correlation import (
    CURRENT,
    LONGEST,
    Correlation,
    is_id,
    is_trace_id,
    is_traceparent,
)

if TYPE_CHECKING:
    from tributary_daemon.store.correlations import Sought


def checked(correlation_id: str | None, business_id: str | None, traceparent: str | None) -> Correlation:
    """Return the ids of a submit.

    Raises:
        InvalidInput: one of them is malformed; the message names it.
    """
    for name, value in (("correlation_id", correlation_id), ("business_id", business_id)):
        if value is not None and not is_id(value):
            raise InvalidInput(
                f"{name} {value!r} is none",
                hint=f"a text of 1 to {LONGEST} characters, without control characters",
            )
    if traceparent is not None and not is_traceparent(traceparent):
        raise InvalidInput(
            f"{traceparent!r} is no traceparent",
            hint="W3C Trace Context: 00-<32 hexadecimal digits>-<16>-01",
        )
    return Correlation(correlation_id, business_id, traceparent)


def completed(given: Correlation) -> Correlation:
    """Return the ids of a submit; what it leaves out is that of the step that submits, if one does."""
    own = CURRENT.get()
    if own is None:
        return given
    return Correlation(
        given.correlation_id or own.correlation_id,
        given.business_id or own.business_id,
        given.traceparent or own.traceparent,
    )


def check_sought(sought: Sought) -> None:
    """Refuse a filter that nothing can fit.

    Raises:
        InvalidInput: an id is malformed.
    """
    checked(sought.correlation, sought.business, None)
    if sought.trace is not None and not is_trace_id(sought.trace):
        raise InvalidInput(f"{sought.trace!r} is no trace id", hint="32 hexadecimal digits, in lower case")
