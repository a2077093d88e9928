"""The same work once more, and workflows by the name they are registered under."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tributary_daemon.client import submitting
from tributary_daemon.client.correlating import completed
from tributary_daemon.client.demands import demand
from tributary_daemon.client.reading import missing, resolve_id
from tributary_daemon.client.submitting import Submitted
from tributary_daemon.client.targets import IntentTarget, NameTarget
from tributary_daemon.client.unknown import lacking
from tributary_daemon.errors import NotFound
from tributary_daemon.model.correlation import Correlation
from tributary_daemon.sealing.box import Hidden
from tributary_daemon.spec.workflow import WorkflowSpec
from tributary_daemon.store import intents, runs, submit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tributary_daemon.client.options import Settings
    from tributary_daemon.store.db import Operation


def workflow(name: str) -> Operation[WorkflowSpec | None]:
    """Return the workflow registered under a name; None when there is none."""
    found = yield from submit.registered(name)
    return None if found is None else WorkflowSpec.from_plan(found.plan)


def rerun(text: str, settings: Settings, *, latest: bool = False) -> Operation[Submitted]:
    """Submit the same work once more, without its idempotency key and times.

    A run goes with the same revision, inputs, payloads, labels and ids; an intent with the same payload and
    ids. Options given with the first submit are given again.

    Args:
        text: its id.
        settings: of the client.
        latest: take the revision that is registered now under the run's name; its inputs are checked anew.

    Raises:
        NotFound: no such run or intent; or ``latest``, and nothing is registered under its name.
        InvalidInput: ``latest``, and that revision does not take these inputs.
        EncryptionError: what it was given cannot be decrypted here.
    """
    work_id = yield from resolve_id(text)
    run = yield from runs.run(work_id)
    stored = yield from runs.payloads(work_id)
    for row in stored:
        if isinstance(row.payload, Hidden):
            raise row.payload.error
    given = next((row for row in stored if row.ordinal == 0), None)
    if run is None:
        intent = yield from intents.intent(work_id)
        if intent is None:
            raise missing(work_id)
        terms = submit.Terms(
            submit=_submitted(stored, intent),
            config=settings.defaults,
            tenant=intent.tenant_id,
            private=settings.private,
            runner=settings.runner,
        )
        target = IntentTarget(intent.name, given.payload if given is not None else None)
        return (yield from submitting.record(target, terms, settings, strict=False))
    if latest:
        return (yield from _rerun_latest(run, given, stored, settings))
    kept = yield from runs.plan(work_id)
    if kept is None:
        raise missing(work_id)
    ids = {step["ordinal"]: step["id"] for step in kept.plan["steps"]}
    plain = {step["id"]: step["with"] for step in kept.plan["steps"]}
    payloads = {
        ids[row.ordinal]: row.payload
        for row in stored
        if row.ordinal in ids and row.payload != plain[ids[row.ordinal]]
    }
    terms = submit.Terms(
        submit=_submitted(stored, run),
        config=settings.defaults,
        labels=run.labels,
        tenant=run.tenant_id,
        private=settings.private,
        runner=settings.runner,
    )
    inputs = json.dumps(given.payload if given is not None else {})
    spec = WorkflowSpec.from_plan(kept.plan)
    terms = yield from demand(spec, inputs, terms)
    reply = yield from submit.run_of_revision(
        run.name,
        run.revision_id,
        inputs,
        json.dumps(payloads) if payloads else None,
        terms,
        plan=kept.plan,
    )
    return Submitted(
        id=str(reply.run_id),
        kind="run",
        name=run.name,
        state=reply.state,
        created=reply.created,
        warnings=(yield from lacking(spec, reply, settings)),
    )


def _rerun_latest(
    run: runs.RunRow, given: runs.PayloadRow | None, stored: Sequence[runs.PayloadRow], settings: Settings
) -> Operation[Submitted]:
    if (yield from submit.registered(run.name)) is None:
        raise NotFound(
            f"no workflow named '{run.name}' is registered",
            hint="register it: trib register FILE; without --latest the run's own revision is taken",
        )
    terms = submit.Terms(
        submit=_submitted(stored, run),
        config=settings.defaults,
        labels=run.labels,
        tenant=run.tenant_id,
        private=settings.private,
        runner=settings.runner,
    )
    target = NameTarget(run.name, given.payload if given is not None else {})
    return (yield from submitting.record(target, terms, settings, strict=False))


def _submitted(stored: Sequence[runs.PayloadRow], work: runs.RunRow | intents.IntentRow) -> dict[str, Any]:
    """Return the options of level ``submit`` in any of the stored rows, and the ids of the work.

    It is another trace: that of whoever submits it now.
    """
    options = {
        name: option["value"]
        for row in stored
        for name, option in (row.options or {}).items()
        if isinstance(option, dict) and option.get("level") == "submit"
    }
    ids = completed(Correlation(work.correlation_id, work.business_id)).given()
    return {**options, "correlation": ids} if ids else options
