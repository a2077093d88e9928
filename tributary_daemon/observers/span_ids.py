"""Ids of spans that several processes speak of before one of them makes the span: derived."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def trace_of(run_id: str) -> int:
    """Return the trace that a run begins whose submit carries none."""
    return _derived(f"trace {run_id}", 16)


def span_of_run(run_id: str) -> int:
    """Return the span of a run."""
    return _derived(f"run {run_id}", 8)


def span_of_step(run_id: str, ordinal: int, attempt_base: int) -> int:
    """Return the span of a step; another one after each explicit retry, which moves ``attempt_base``."""
    return _derived(f"step {run_id} {ordinal} {attempt_base}", 8)


def _derived(text: str, size: int) -> int:
    # zero is no id
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest()) or 1


class GivenIds:
    """An IdGenerator of the SDK that gives one span the ids it is to have, and asks another for all others.

    Args:
        other: the one that the tracer had.
    """

    def __init__(self, other: Any) -> None:
        self._other = other
        self._given = threading.local()

    @contextmanager
    def given(self, span_id: int, trace_id: int, *, random: bool = False) -> Iterator[None]:
        """Give these ids to what this thread begins meanwhile; ``random``: whether that of the trace is."""
        self._given.ids = span_id, trace_id, random
        try:
            yield
        finally:
            self._given.ids = None

    def generate_span_id(self) -> int:
        """Return the id of a new span."""
        ids: tuple[int, int, bool] | None = getattr(self._given, "ids", None)
        made: int = self._other.generate_span_id() if ids is None else ids[0]
        return made

    def generate_trace_id(self) -> int:
        """Return the id of a new trace."""
        ids: tuple[int, int, bool] | None = getattr(self._given, "ids", None)
        made: int = self._other.generate_trace_id() if ids is None else ids[1]
        return made

    def is_trace_id_random(self) -> bool:
        """Return whether the ids of traces are random, which derived ones are by half."""
        ids: tuple[int, int, bool] | None = getattr(self._given, "ids", None)
        if ids is not None:
            return ids[2]
        ask = getattr(self._other, "is_trace_id_random", None)
        return ask is not None and bool(ask())
