"""What tells results in the step cache apart, and who makes one that is not there yet."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

RUN: Final = "run"
"""Scope of a result that only its own run may use again."""
RUN_TTL: Final = 30 * 86_400.0
"""Seconds that a result of scope ``run`` is kept when its step says nothing."""


class CacheKey(NamedTuple):
    """Under what a result is kept.

    Attributes:
        digest: SHA-256 of all that tells results apart, in hex.
        tenant: whose result it is; empty for nobody's in particular.
        step_name: of the handler, or of the sub-workflow.
        version: of the handler, or of the sub-workflow: its revision; None where the workflow gives the key.
        scope: ``run`` or ``global``.
        run_id: whose result it is, of scope ``run``.
        ttl: seconds for which the result may be used again; None for ever.
    """

    digest: str
    tenant: str
    step_name: str
    version: str | None
    scope: str
    run_id: str | None
    ttl: float | None


class Holder(NamedTuple):
    """The lease of the attempt that makes a result, or that has started the child run which does."""

    run_id: str
    ordinal: int
    seq: int


class Claim(NamedTuple):
    """What a child run's result is kept under, and who may keep it: noted when the run starts.

    Attributes:
        key: of the step that has started it.
        holder: the lease under which that was.
    """

    key: CacheKey
    holder: Holder


def digest_of(parts: Iterable[str]) -> str:
    """Return the SHA-256 of texts in their order, in hex; each counts with its length: ab, c is not a, bc."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode()
        found.update(len(data).to_bytes(8, "big"))
        found.update(data)
    return found.hexdigest()
