"""`Correlation`: ids that work carries for the world around it."""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Correlation:
    """Ids of a run or intent, given with its submit; child runs have those of their parent.

    Attributes:
        correlation_id: of whatever it belongs to: a request, a conversation, a batch.
        business_id: of the thing it is about: an order, a customer.
        traceparent: of the span that has submitted it, as W3C Trace Context writes it.
    """

    correlation_id: str | None = None
    business_id: str | None = None
    traceparent: str | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace that the work belongs to: 32 hexadecimal digits."""
        return None if self.traceparent is None else self.traceparent[3:35]

    def given(self) -> dict[str, str]:
        """Return what there is of it, by name."""
        found = {
            "correlation_id": self.correlation_id,
            "business_id": self.business_id,
            "traceparent": self.traceparent,
        }
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild from `given`."""
        return cls(value.get("correlation_id"), value.get("business_id"), value.get("traceparent"))


NOTHING: Final = Correlation()
CURRENT: Final[ContextVar[Correlation | None]] = ContextVar("correlation", default=None)
"""The ids of the attempt that runs here; None where it carries none, and outside of any."""


def is_id(text: object) -> bool:
    """Return whether a value can be a correlation or business id."""
    return isinstance(text, str) and 1 <= len(text) <= LONGEST and _CONTROL.search(text) is None


def is_traceparent(text: object) -> bool:
    """Return whether a value is a traceparent of W3C Trace Context."""
    return isinstance(text, str) and _TRACEPARENT.fullmatch(text) is not None


def is_trace_id(text: object) -> bool:
    """Return whether a value is a trace id: 32 hexadecimal digits."""
    return isinstance(text, str) and _TRACE_ID.fullmatch(text) is not None
