"""`Lease`: the right of one process to one attempt, as a claim hands it out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tributary_daemon.model.correlation import Correlation
    from tributary_daemon.model.masking import Mask
    from tributary_daemon.model.retry import Retry


@dataclass(slots=True, eq=False)
class Lease:
    """One claimed attempt; built for every row of a claim, so it only holds values.

    Attributes:
        run_id: of the run; of an intent, its id.
        ordinal: number of the step in its run, 1-based; 0 for an intent.
        seq: with run_id and ordinal the token that fences the finish.
        kind: ``step``, ``intent`` or ``closing`` (`model.states.Kind`).
        name: the handler's.
        step_id: the id in the workflow; None for an intent.
        queue: where it was claimed.
        attempt: number of this attempt, 1-based.
        max_attempts: executions in all.
        crashes: attempts that ended with their process.
        payload: JSON text, expressions resolved.
        retry: the policy in force; None for the default of the kind.
        timeout: seconds for this attempt; None for none.
        attempt_base: attempts used up before the last explicit retry.
        lone_crashes: None, or the lease is suspected of crashing its process and runs alone: how often it
            did so while alone.
        silent_for: seconds without a heartbeat, once that ended the attempt.
        flags: bits of steps.flags (`model.control.Flag`).
        mask: of the secrets that its payload holds; None for none.
        options: JSON text of its options, with their levels and expressions; None where none are kept.
        tenant: whose work it is; empty for nobody's in particular.
        correlation: ids that its work carries; None for none.
    """

    run_id: str
    ordinal: int
    seq: int
    kind: str
    name: str
    step_id: str | None
    queue: str
    attempt: int
    max_attempts: int
    crashes: int
    payload: str
    retry: Retry | None = None
    timeout: float | None = None
    attempt_base: int = 0
    lone_crashes: int | None = None
    silent_for: float | None = None
    flags: int = 0
    mask: Mask | None = field(default=None, kw_only=True)
    options: str | None = field(default=None, kw_only=True)
    tenant: str = field(default="", kw_only=True)
    correlation: Correlation | None = field(default=None, kw_only=True)

    @property
    def failures(self) -> int:
        """Which failure the end of this attempt would be, from 1; crashes and forgiven ones do not count."""
        return max(1, self.attempt - self.attempt_base - self.crashes)

    @property
    def last(self) -> bool:
        """Whether a failure of this attempt uses up the last; what stores the outcome counts the same."""
        # what `failures`, which is at least 1, says; asked for each attempt, so without its calls
        return self.max_attempts <= 1 or self.attempt - self.attempt_base - self.crashes >= self.max_attempts
