"""Why work waits, or why a step was skipped: facts in, sentences out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon.client import awaits
from tributary_daemon.client.documents import rfc3339
from tributary_daemon.client.groups import waits_for
from tributary_daemon.client.reading import missing
from tributary_daemon.client.reasons import Need, Reason, Why, completed, put_off
from tributary_daemon.errors import NotFound
from tributary_daemon.model import durations
from tributary_daemon.model.control import CONTROL_NAMES, OPTIONS_NAME, PRIVATE, Flag, hook_of
from tributary_daemon.spec.expressions import Trace, trace_lines
from tributary_daemon.spec.nearest import suggest
from tributary_daemon.store import facts, groups, runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tributary_daemon.store.db import Operation
    from tributary_daemon.store.facts import StepFacts

SHELL: Final = "trib.shell.v1"
_LEFT: Final = "it is cancelled soon; `trib retry` then hands it to any worker"
_ITEM: Final = re.compile(r"(?P<step>.+?)\[(?P<key>.+)\]", re.DOTALL)
_BAD: Final = frozenset({"discarded", "cancelled", "skipped"})


def why(work_id: str, step: str | None) -> Operation[Why]:
    """Say why a run, one of its steps, an item (``STEP[KEY]``), or an intent is in its state.

    Raises:
        NotFound: no such run, intent or step.
    """
    run = yield from runs.run(work_id)
    item = _ITEM.fullmatch(step) if step is not None else None
    step, key = (item["step"], item["key"]) if item is not None else (step, None)
    found = yield from facts.facts(work_id, step, key)
    if run is None:
        if step is not None and (yield from facts.facts(work_id, None)):
            raise NotFound(f"{work_id} is an intent and has no steps", hint="leave the step out")
        if not found:
            raise missing(work_id)
        intent = found[0]
        return Why(
            id=work_id,
            kind="intent",
            name=intent.name,
            state=intent.state,
            reasons=tuple(reasons(intent, [])),
        )
    steps = yield from runs.steps(work_id)
    if step is not None and not found:
        known = [row.step_id for row in steps]
        if step in known and key is not None:
            raise NotFound(
                f"step '{step}' has no item '{key}'", hint=f"`trib status --items {step}` lists them"
            )
        raise NotFound(f"run {work_id} has no step '{step}'", hint=suggest(step, known, what="steps"))
    needs = _needs(steps, (yield from runs.edges(work_id)))
    by_ordinal = {row.ordinal: row for row in steps}
    traces = (yield from runs.traces(work_id)) if any(f.reason == "condition" for f in found) else {}
    lines: list[groups.Standing] = []
    if any(fact.reason == "group" for fact in found):
        lines = yield from groups.standing(work_id)
    places = {place.ordinal: place for place in lines}
    told = tuple(
        reason
        for fact in found
        for reason in reasons(
            fact,
            needs.get(fact.ordinal, []),
            run=run,
            row=by_ordinal.get(fact.ordinal),
            trace=traces.get(fact.ordinal),
            place=places.get(fact.ordinal) or places.get(groups.WHOLE_RUN),
        )
    )
    if step is None:
        told = (*_of_run(run), *told)
    return Why(id=work_id, kind="run", name=run.name, state=run.state, reasons=told)


def _needs(steps: Sequence[runs.StepRow], edges: Sequence[tuple[int, int]]) -> Mapping[int, Sequence[Need]]:
    by_ordinal = {
        row.ordinal: Need(row.step_id, row.state, row.reason, bool(row.flags & Flag.OPTIONAL))
        for row in steps
    }
    needs: dict[int, list[Need]] = {}
    for parent, child in edges:
        if parent in by_ordinal:
            needs.setdefault(child, []).append(by_ordinal[parent])
    return needs


def _of_run(run: runs.RunRow) -> list[Reason]:
    match run.state:
        case "scheduled":
            return [
                Reason(step=None, state=run.state, code="scheduled", message=f"due at {rfc3339(run.run_at)}")
            ]
        case "paused":
            return [
                Reason(
                    step=None,
                    state=run.state,
                    code="paused",
                    message="the run is paused" + (f": {run.reason}" if run.reason else ""),
                )
            ]
        case "cancelled":
            because = f": {run.reason}" if run.reason not in {None, "cancelled"} else ""
            return [
                Reason(
                    step=None, state=run.state, code="cancelled", message=f"the run was cancelled{because}"
                )
            ]
        case "failed" if run.reason == "result":
            message = str((run.error or {}).get("message", "no more is known"))
            return [
                Reason(step=None, state=run.state, code="result", message=f"its result failed: {message}")
            ]
        case "failed" if run.reason in {"timeout", "fail_fast"}:
            message = str((run.error or {}).get("message", "a step failed, and the workflow says fail_fast"))
            return [Reason(step=None, state=run.state, code=run.reason, message=message)]
        case "running" if run.ending is not None:
            message = f"its steps have {run.ending}; {run.phase} is at work"
            return [Reason(step=None, state=run.state, code="hook", message=message)]
        case "completed":
            return [Reason(step=None, state=run.state, code="completed", message=_completed(run.warnings))]
    return []


def _completed(warnings: int) -> str:
    return "every step ended well" if not warnings else f"completed with {warnings} tolerated failure(s)"


def reasons(
    fact: StepFacts,
    needs: Sequence[Need],
    *,
    run: runs.RunRow | None = None,
    row: runs.StepRow | None = None,
    trace: Mapping[str, Any] | None = None,
    place: groups.Standing | None = None,
) -> list[Reason]:
    """Return the reasons for the state of one step or intent, the most telling first.

    Args:
        fact: the step or intent.
        needs: what it needs.
        run: its run.
        row: the step as its run is shown; None for an item or an intent.
        trace: the condition that kept it from running, clause by clause.
        place: where it, or its run, stands in a concurrency group.
    """
    run_reason = run.reason if run is not None else None
    name = fact.step_id if fact.item_key is None else f"{fact.step_id}[{fact.item_key}]"

    def reason(code: str, message: str, hint: str | None = None) -> Reason:
        return Reason(step=name, state=fact.state, code=code, message=message, hint=hint)

    match fact.state:
        case "blocked":
            if fact.flags & Flag.ITEM:
                return [reason("max_parallel", "its step lets only so many of its items run at once")]
            open_needs = [need for need in needs if not need.decided_well]
            listed = ", ".join(f"{need.id} ({need.state})" for need in open_needs) or "its needs"
            hook = hook_of(fact.flags)
            if hook is not None and not open_needs:
                return [reason("hook", f"it belongs to {hook}, which begins when the steps have ended")]
            return [reason("needs", f"it needs {listed}")]
        case "scheduled":
            return [_scheduled(fact, reason), *_suspected(fact, reason)]
        case "waiting":
            if fact.wait is not None:
                return [awaits.reason(fact, reason, run)]
            return _waiting(fact, reason, run_reason, row, place)
        case "available":
            held = _of_the_engine(fact, reason) if fact.name in CONTROL_NAMES else _held(fact, reason)
            told = held or reason("ready", "ready; a worker will claim it")
            return [told, *_suspected(fact, reason)]
        case "running":
            where = f" in {fact.worker}" if fact.worker else ""
            pid = f" (pid {fact.pid})" if fact.pid else ""
            since = f" for {_ago(fact)}" if fact.started_at else ""
            if fact.name == OPTIONS_NAME:
                return [reason("options", f"its options are being decided{where}{pid}{since}")]
            told = reason("running", f"attempt {fact.attempt} runs{where}{pid}{since}")
            return [told, *_suspected(fact, reason)]
        case "skipped":
            return [_skipped(fact, needs, reason, trace)]
        case "cancelled":
            because = fact.reason if fact.reason not in {None, "cancelled"} else run_reason
            detail = f": {because}" if because and because != "cancelled" else ""
            return [reason("cancelled", f"cancelled{detail}")]
        case "discarded":
            return [_discarded(fact, reason)]
    return [reason(*completed(fact.attempt, fact.reason))]


def _scheduled(fact: StepFacts, reason: Any) -> Reason:
    at = rfc3339(fact.run_at)
    left = ""
    if fact.run_at is not None and fact.run_at > fact.now:
        left = f", in {durations.text((fact.run_at - fact.now).total_seconds())}"
    if fact.attempt and fact.reason in {"retry", "crashed"}:
        error = f": {_first_line(fact.error)}" if fact.error else ""
        made: Reason = reason(
            "retry",
            f"attempt {fact.attempt} of {fact.max_attempts} failed{error}; the next is due at {at}{left}",
        )
        return made
    if fact.reason == "nondeterminism":
        parked: Reason = reason(
            "nondeterminism",
            f"{(fact.error or {}).get('message', 'its code does not fit its history')}\n"
            f"  it is tried again at {at}{left}, and when a worker with its name starts",
            "start a worker with code that fits; `trib replay` tells before",
        )
        return parked
    if fact.reason == "no_key":
        told = f"it is encrypted, and who took it had not the key; it is tried again at {at}{left}"
        hint = "give workers the key (TRIB_ENCRYPTION_KEYS); `trib events` names it"
        sealed: Reason = reason("no_key", told, hint)
        return sealed
    scheduled: Reason = reason(*put_off(fact.reason, at, left))
    return scheduled


def _waiting(
    fact: StepFacts,
    reason: Any,
    run_reason: str | None,
    row: runs.StepRow | None,
    place: groups.Standing | None,
) -> list[Reason]:
    match fact.reason:
        case "no_handler":
            return [_no_handler(fact, reason)]
        case "paused":
            because = f": {run_reason}" if run_reason else ""
            return [reason("paused", f"its run is paused{because}")]
        case "parallel":
            return [reason("max_parallel", "its run lets only so many of its steps run at once")]
        case "items":
            counts = row.items or {} if row is not None else {}
            listed = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
            return [
                reason("items", f"its items are at work: {listed}", f"`trib status --items {fact.step_id}`")
            ]
        case "steps":
            return [reason("steps", "it goes on when what it has asked for has ended")]
        case "child":
            child = row.child if row is not None else None
            return [reason("child", f"its run {child} is at work", f"`trib why {child}`")]
        case "group" if place is not None:
            return [reason("group", waits_for(place, fact.now), _first_holder(place))]
    return [reason(fact.reason or "waiting", f"it waits: {fact.reason or 'no reason is recorded'}")]


def _first_holder(place: groups.Standing) -> str | None:
    return f"`trib status {place.holders[0]['id']}`" if place.holders else None


def _no_handler(fact: StepFacts, reason: Any) -> Reason:
    if fact.name == SHELL:
        shell: Reason = reason(
            "no_handler", "no worker runs shell steps", "start one with `trib worker --enable-shell`"
        )
        return shell
    told: Reason = reason(
        "no_handler",
        f"no worker has ever offered the handler {fact.name}",
        "start a worker that imports it (--import), and check the name: `trib handlers`",
    )
    return told


def _of_the_engine(fact: StepFacts, reason: Any) -> Reason | None:
    """Return what a step waits for that any worker decides about; None when it is claimed at once."""
    told: Reason | None = None
    if not fact.servers and fact.queue.startswith(PRIVATE):
        told = reason("no_worker", "the `trib run` that it belongs to has ended", _LEFT)
    elif not fact.any_worker:
        told = reason("no_worker", "no worker is alive", "start one: `trib worker`")
    elif fact.name == OPTIONS_NAME:
        told = reason("options", "its options are expressions, which a worker is about to evaluate")
    return told


def _held(fact: StepFacts, reason: Any) -> Reason | None:
    """Return what keeps workers from a step that is ready; None when nothing does."""
    held: Reason | None = None
    if fact.paused:
        held = reason(
            "queue_paused",
            f"queue {fact.queue} is paused since {rfc3339(fact.paused_at)}",
            f"`trib queue resume {fact.queue}`",
        )
    elif fact.opens_in is None and fact.concurrency is not None:
        held = reason(
            "queue_full",
            f"queue {fact.queue} is full: {fact.concurrency} of it run at once, as many as may",
            f"`trib queue set {fact.queue} --concurrency N` lets more run",
        )
    elif fact.opens_in and fact.rate is not None:
        held = reason(
            "queue_rate",
            f"queue {fact.queue} starts {fact.rate}; the next attempt may start in"
            f" {durations.text(fact.opens_in)}",
            f"`trib queue set {fact.queue} --rate N/s` lets more start",
        )
    elif not fact.enabled:
        held = reason("disabled", f"the handler {fact.name} is disabled in the registry")
    elif not fact.servers and fact.resting:
        held = reason(
            "worker_paused",
            f"all live workers that serve the queue {fact.queue} are paused: {', '.join(fact.resting)}",
            f"`trib workers resume {fact.resting[0]}`",
        )
    elif not fact.servers and fact.queue.startswith(PRIVATE):
        held = reason("no_worker", "the `trib run` that it belongs to has ended", _LEFT)
    elif not fact.servers:
        held = reason(
            "no_worker",
            f"no live worker serves the queue {fact.queue}" if fact.any_worker else "no worker is alive",
            f"start one: `trib worker --queues {fact.queue}`",
        )
    elif not fact.offered:
        held = _no_handler(fact, reason)
    elif fact.runtime != "python":
        held = reason("runtime", f"it waits for a worker of the runtime {fact.runtime}")
    elif not fact.claimed and fact.name != SHELL:
        held = reason(
            "no_handler",
            f"no live worker that serves the queue {fact.queue} has the handler {fact.name}",
            "start a worker that imports it (--import)",
        )
    elif not fact.claimed:
        held = _no_handler(fact, reason)
    return held


def _suspected(fact: StepFacts, reason: Any) -> list[Reason]:
    if fact.lone_crashes is None:
        return []
    proof = (
        f"{fact.lone_crashes} of the 3 crashes that prove its guilt" if fact.lone_crashes else "no proof yet"
    )
    return [reason("suspect", f"it had started when its process crashed, so it runs alone: {proof}")]


def _skipped(fact: StepFacts, needs: Sequence[Need], reason: Any, trace: Mapping[str, Any] | None) -> Reason:
    made: Reason
    if fact.reason == "upstream":
        bad = [need for need in needs if need.state in _BAD and not need.decided_well]
        listed = ", ".join(f"{need.id} ({need.state})" for need in bad) or "what it needs"
        made = reason("upstream", f"{listed} did not end well", "retry the run once the cause is gone")
    elif fact.reason == "condition":
        told = "" if trace is None else "\n".join(("", *trace_lines(Trace.from_json(trace))))
        made = reason("condition", f"its condition did not hold{told}")
    elif fact.reason == "hook":
        made = reason("hook", f"its run did not come to {hook_of(fact.flags)}")
    elif fact.reason == "aborted":
        made = reason("aborted", "a handler aborted the run")
    else:
        made = reason(fact.reason or "skipped", f"skipped: {fact.reason or 'no reason is recorded'}")
    return made


def _discarded(fact: StepFacts, reason: Any) -> Reason:
    error = f": {_first_line(fact.error)}" if fact.error else ""
    because = f" ({fact.reason})" if fact.reason else ""
    hint = "`trib retry` runs it again once the cause is gone"
    if fact.reason == "workflow_function":
        # what was recorded stays what it is
        start = (
            f"`trib submit {fact.name}`" if fact.step_id is None else f"`workflow: {fact.name}` in its file"
        )
        hint = f"{start} starts it as a workflow"
    message = f"discarded after attempt {fact.attempt} of {fact.max_attempts}{because}{error}"
    made: Reason = reason("discarded", message, hint)
    return made


def _first_line(error: Mapping[str, Any] | None) -> str:
    plain = error or {}
    text = str(plain.get("message") or "").strip().partition("\n")[0]
    kind = str(plain.get("type") or "Error")
    return f"{kind}: {text[:300]}" if text else kind


def _ago(fact: StepFacts) -> str:
    assert fact.started_at is not None
    return durations.text(max((fact.now - fact.started_at).total_seconds(), 0.0))
