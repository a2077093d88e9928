"""What submitting calls share: a submit made ready as far as this machine can."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from tributary_daemon.client import options, submitting, targets
from tributary_daemon.spec.loader import load_file
from tributary_daemon.spec.workflow import WorkflowSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from tributary_daemon.client.options import RunAfter, Settings
    from tributary_daemon.client.targets import Target
    from tributary_daemon.client.unique import Unique
    from tributary_daemon.client.workflow import Workflow
    from tributary_daemon.model.retry import Retry
    from tributary_daemon.spec.signatures import Signatures
    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.submit import Terms


class SubmitOptions(TypedDict, total=False):
    """Options of a submit; what is absent or None is left to the levels below.

    Attributes:
        idempotency_key: work whose key is known is not recorded again.
        queue: where it waits.
        priority: higher first.
        run_after: not before: seconds, timedelta or ``"5m"`` from now, or a time with its zone.
        max_attempts: executions in all.
        timeout: of each attempt; seconds, timedelta or ``"30s"``.
        retry: policy or its fields.
        labels: of a run.
        unique: `Unique`, its fields, or a key alone: there is one such work at a time.
        expires: cancelled unless it has started by then; as ``run_after``.
        cache: of a run; False: its steps neither take results from the cache nor keep them there.
        correlation_id: of whatever the work belongs to: a request, a conversation, a batch.
        business_id: of the thing that the work is about: an order, a customer.
        traceparent: W3C Trace Context of the span that submits; OpenTelemetry's current one if omitted.
    """

    idempotency_key: str | None
    queue: str | None
    priority: int | None
    run_after: RunAfter | None
    max_attempts: int | None
    timeout: float | str | timedelta | None
    retry: Retry | Mapping[str, Any] | None
    labels: Mapping[str, str] | None
    unique: Unique | Mapping[str, Any] | str | None
    expires: RunAfter | None
    cache: bool | None
    correlation_id: str | None
    business_id: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """A submit whose target, payload and options have been looked at as far as this machine can."""

    target: targets.IntentTarget | targets.SpecTarget | targets.NameTarget
    terms: Terms
    settings: Settings
    strict: bool

    @property
    def name(self) -> str:
        """The name of what is submitted."""
        return self.target.spec.name if isinstance(self.target, targets.SpecTarget) else self.target.name

    @property
    def repeatable(self) -> bool:
        """Whether a submit whose reply was lost may be sent again: its key makes it the same work."""
        return self.terms.key is not None or "period" in self.terms.special.get("unique", ())

    def record(self) -> Operation[submitting.Submitted]:
        """Return the operation that records it."""
        return submitting.record(self.target, self.terms, self.settings, strict=self.strict)

    def check(self) -> Operation[submitting.Checked]:
        """Return the operation that checks it and returns what is to be stored."""
        return submitting.check(self.target, self.terms, self.settings, strict=self.strict)

    def dry_run(self) -> Operation[dict[str, Any]]:
        """Return the operation that says what would be recorded."""
        return submitting.dry_run(self.target, self.terms, self.settings, strict=self.strict)


def call(
    settings: Settings,
    target: Target,
    payload: Any,
    given: SubmitOptions,
    *,
    strict: bool,
    signatures: Signatures | None = None,
) -> Call:
    """Check a submit as far as this machine can.

    Raises:
        InvalidInput: the target, a file or an option is refused.
        NotFound: no such file, or no handler takes the model.
    """
    return Call(
        targets.classify(target, payload, strict=strict, signatures=signatures),
        options.terms(settings, **given),
        settings,
        strict,
    )


def spec_of(
    target: str | Path | WorkflowSpec | Workflow, *, strict: bool, signatures: Signatures
) -> WorkflowSpec:
    """Return the workflow that is to be registered.

    Raises:
        InvalidWorkflow: it is refused.
    """
    if isinstance(target, WorkflowSpec):
        return target
    if isinstance(target, str | Path):
        return load_file(Path(target), strict=strict, signatures=signatures)
    return target.spec(signatures)
