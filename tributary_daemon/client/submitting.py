"""Submitting: from a target to a recorded intent or run, and what to tell about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tributary_daemon import codec
from tributary_daemon.client.demands import demand
from tributary_daemon.client.misfits import as_warnings, found_misfits, refuse
from tributary_daemon.client.revisions import handler_names, keep_children, revision
from tributary_daemon.client.targets import IntentTarget, NameTarget, SpecTarget, function_here
from tributary_daemon.client.unknown import lacking, refuse_unknown, unknown_texts
from tributary_daemon.errors import InvalidInput
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.model import cron as crons
from tributary_daemon.spec.inputs import check_inputs
from tributary_daemon.spec.workflow import WorkflowSpec
from tributary_daemon.store import runs, submit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from tributary_daemon.client.options import Settings
    from tributary_daemon.errors import Problem
    from tributary_daemon.store.db import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What a submit led to; ``created``: false when the key was known and ``id`` is the existing one."""

    id: str
    kind: str
    name: str
    state: str
    created: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What registering a workflow led to: ``change`` is ``created``, ``unchanged`` or ``revised``."""

    name: str
    revision: str
    change: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the registration as ``register`` prints it."""
        return {
            "name": self.name,
            "revision": self.revision,
            "change": self.change,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Intent:
    """An intent that has been checked; ``payload`` is JSON text."""

    name: str
    payload: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has been checked.

    Attributes:
        spec: of the workflow.
        inputs: JSON text.
        payloads: JSON text of what stands in for the ``with`` of steps; None for nothing.
        revision_id: of a registered workflow.
        warnings: of its file.
        elsewhere: the steps that ``payloads`` names.
    """

    spec: WorkflowSpec
    inputs: str
    payloads: str | None
    revision_id: UUID | None
    warnings: tuple[str, ...]
    elsewhere: frozenset[str]


@dataclass(frozen=True, slots=True)
class Checked:
    """Work that may be stored, and its options."""

    work: Intent | Run
    terms: submit.Terms


def record(
    target: IntentTarget | SpecTarget | NameTarget, terms: submit.Terms, settings: Settings, *, strict: bool
) -> Operation[Submitted]:
    """Check a target completely and record it.

    Args:
        target: from `targets.classify`.
        terms: options, key, time, labels.
        settings: of the client.
        strict: refuse names that no worker has offered and no local handler has; on a private queue those
            that this process has not.

    Raises:
        InvalidInput: inputs, payload, options or (strict) an unknown handler; nothing was stored.
        KeyConflict: the key is known under another name.
    """
    if isinstance(target, NameTarget) and not strict and function_here(target.name) is None:
        tried = yield from _record_named(target, terms, settings)
        if isinstance(tried, Submitted):
            return tried
        return (yield from store((yield from _demanded(tried, terms)), settings))
    return (yield from store((yield from check(target, terms, settings, strict=strict)), settings))


def check(
    target: IntentTarget | SpecTarget | NameTarget, terms: submit.Terms, settings: Settings, *, strict: bool
) -> Operation[Checked]:
    """Check a target completely and return what is to be stored; errors and arguments as of `record`."""
    work = yield from _checked(target, terms, settings)
    if strict:
        yield from refuse_unknown(_names(work), private=settings.private is not None)
        if isinstance(work, Run) and settings.private is None:
            refuse((yield from found_misfits(work.spec, work.elsewhere)))
    return (yield from _demanded(work, terms))


def _demanded(work: Intent | Run, terms: submit.Terms) -> Operation[Checked]:
    if isinstance(work, Intent):
        return Checked(work, terms)
    return Checked(work, (yield from demand(work.spec, work.inputs, terms)))


def store(checked: Checked, settings: Settings) -> Operation[Submitted]:
    """Record what `check` has returned."""
    work, terms = checked.work, checked.terms
    if isinstance(work, Intent):
        reply = yield from submit.intent(work.name, work.payload, terms)
        return _submitted(work.name, reply)
    if work.revision_id is None:
        yield from keep_children(work.spec)
        run = yield from submit.run_of_spec(revision(work.spec), work.inputs, work.payloads, terms)
    else:
        name, kept = work.spec.name, work.revision_id
        run = yield from submit.run_of_revision(name, kept, work.inputs, work.payloads, terms)
    state = run.state
    if not run.created and (known := (yield from runs.run(str(run.run_id)))) is not None:
        # the function tells the stored state; shown is the derived one
        state = known.state
    return Submitted(
        id=str(run.run_id),
        kind="run",
        name=work.spec.name,
        state=state,
        created=run.created,
        warnings=(*work.warnings, *(yield from lacking(work.spec, run, settings))),
    )


def _record_named(
    target: NameTarget, terms: submit.Terms, settings: Settings
) -> Operation[Submitted | Intent | Run]:
    """Record an intent in one round trip; return what is still to be recorded if the name is a workflow's."""
    try:
        work = _intent(target.name, target.payload, terms, settings)
    except InvalidInput:
        # what no intent can have, a workflow may; if there is none, this says the same again
        return (yield from _checked(target, terms, settings))
    reply = yield from submit.intent_unless_workflow(work.name, work.payload, terms)
    if isinstance(reply, submit.Registered):
        return _named_run(reply, target, settings)
    return _submitted(work.name, reply)


def _submitted(name: str, reply: submit.IntentReply) -> Submitted:
    return Submitted(
        id=str(reply.intent_id),
        kind="intent",
        name=name,
        state=reply.state,
        created=reply.created,
        warnings=() if reply.known else unknown_texts([name], reply.names or ()),
    )


def dry_run(
    target: IntentTarget | SpecTarget | NameTarget, terms: submit.Terms, settings: Settings, *, strict: bool
) -> Operation[dict[str, Any]]:
    """Check a target as `record` does and return what would be stored.

    Raises:
        InvalidInput: as `record`.
    """
    work = yield from _checked(target, terms, settings)
    known = yield from submit.known_names()
    missing = [name for name in _names(work) if name not in known]
    if strict:
        yield from refuse_unknown(missing)
    warnings = unknown_texts(missing, known)
    misfits: tuple[Problem, ...] = ()
    if isinstance(work, Run):
        misfits = yield from found_misfits(work.spec, work.elsewhere)
        if strict:
            refuse(misfits)
    common = {
        "options": {"submit": terms.options, "config": dict(terms.config)},
        **terms.ids,
        "idempotency_key": terms.key,
        "tenant": terms.tenant,
        **terms.special,
    }
    if isinstance(work, Intent):
        return {
            "kind": "intent",
            "name": work.name,
            "payload": codec.loads(work.payload),
            **common,
            "warnings": list(warnings),
        }
    terms = yield from demand(work.spec, work.inputs, terms)
    plan = work.spec.plan()
    ids = {step["ordinal"]: step["id"] for step in plan["steps"]}
    given = json.loads(work.payloads) if work.payloads else {}
    steps = {
        step["id"]: {
            "name": step["name"],
            "needs": [ids[need] for need in step["needs"]],
            "with": given.get(step["id"], step["with"]),
            "options": step["options"],
        }
        for step in plan["steps"]
    }
    return {
        "kind": "run",
        "name": work.spec.name,
        "inputs": codec.loads(work.inputs),
        "labels": {**work.spec.labels, **terms.labels},
        **common,
        "steps": steps,
        "warnings": [*work.warnings, *as_warnings(misfits), *warnings],
    }


def register(spec: WorkflowSpec, *, strict: bool) -> Operation[Registration]:
    """Give a workflow's name to this revision of it, and make its schedules those of the workflow.

    Raises:
        InvalidInput: a schedule's times cannot be read; or ``strict``, and other content is registered under
            the name, a handler is unknown, or a step does not go with what workers have registered.
    """
    for entry in spec.schedule:
        crons.parse(entry["cron"], entry.get("timezone") or "UTC")
    warnings = [problem.render() for problem in spec.warnings]
    kept = revision(spec)
    misfits = yield from found_misfits(spec)
    warnings.extend(as_warnings(misfits))
    if strict:
        refuse(misfits)
        yield from refuse_unknown(handler_names(spec))
        before = yield from submit.registered(spec.name)
        if before is not None and before.hash != kept.hash:
            raise InvalidInput(
                f"other content is registered as {spec.name}",
                hint="raise its version (…v2), or register without --strict",
            )
    yield from keep_children(spec)
    change = yield from submit.register(kept, spec.description)
    if change == "revised":
        warnings.append(
            f"{spec.name} had other content; new runs take this revision, running ones keep theirs"
        )
    known = yield from submit.known_names()
    warnings.extend(unknown_texts([name for name in handler_names(spec) if name not in known], known))
    return Registration(
        name=spec.name, revision=str(submit.revision_of(kept.hash)), change=change, warnings=tuple(warnings)
    )


def _checked(
    target: IntentTarget | SpecTarget | NameTarget, terms: submit.Terms, settings: Settings
) -> Operation[Intent | Run]:
    match target:
        case IntentTarget():
            return _intent(target.name, target.payload, terms, settings)
        case SpecTarget():
            return _run(target.spec, target.inputs, target.payloads, settings)
        case NameTarget():
            if (found := (yield from submit.registered(target.name))) is not None:
                return _named_run(found, target, settings)
            if (spec := function_here(target.name)) is not None:
                return _run(spec, target.payload, {}, settings)
            return _intent(target.name, target.payload, terms, settings)


def _named_run(found: submit.Registered, target: NameTarget, settings: Settings) -> Run:
    spec = WorkflowSpec.from_plan(found.plan)
    # a name may have been given to a revision that was written under another one
    return _run(spec, target.payload, {}, settings, found.revision_id)


def _intent(name: str, payload: Any, terms: submit.Terms, settings: Settings) -> Intent:
    if terms.labels:
        raise InvalidInput(
            "intents have no labels", hint="put what you filter by into the name or the payload"
        )
    if "cache" in terms.submit:
        raise InvalidInput("an intent has no cache", hint="only steps of workflows are cached")
    text = codec.dumps({} if payload is None else payload, max_bytes=settings.max_payload)
    check_payload(name, text)
    return Intent(name, text)


def check_payload(name: str, payload: str, *, what: str | None = None) -> None:
    """Check a payload against the handler of that name, if this process has it.

    Args:
        name: of the handler.
        payload: JSON text.
        what: where it stands, told first in the message.

    Raises:
        InvalidInput: it does not fit the handler's input type.
    """
    if name not in REGISTRY:
        return
    try:
        REGISTRY.get(name).signature.validate(payload)
    except InvalidInput as error:
        raise InvalidInput(
            f"{f'{what}: ' if what else ''}{name} does not take this payload: {error.message}",
            hint=error.hint,
        ) from error


def _run(
    spec: WorkflowSpec,
    inputs: Any,
    payloads: Mapping[str, Any],
    settings: Settings,
    revision_id: UUID | None = None,
) -> Run:
    text = codec.dumps({} if inputs is None else inputs, what="inputs", max_bytes=settings.max_payload)
    given = codec.loads(text, what="inputs")
    if not isinstance(given, dict):
        raise InvalidInput("inputs must be an object of names and values", hint='e.g. {"email": "a@b.org"}')
    if spec.function:
        check_payload(spec.name, text)
    else:
        text = codec.dumps(check_inputs(spec.inputs, given), what="inputs", max_bytes=settings.max_payload)
    for step in spec.steps:
        if not step.dynamic and step.action == "task" and not step.fans_out:
            value = payloads.get(step.id, step.with_)
            what = f"steps.{step.id}.with"
            check_payload(
                step.name,
                codec.dumps(value, what=what, max_bytes=settings.max_payload),
                what=f"step {step.id!r}",
            )
    return Run(
        spec,
        text,
        json.dumps(payloads) if payloads else None,
        revision_id,
        tuple(problem.render() for problem in spec.warnings),
        frozenset(payloads),
    )


def _names(work: Intent | Run) -> list[str]:
    return [work.name] if isinstance(work, Intent) else handler_names(work.spec)
