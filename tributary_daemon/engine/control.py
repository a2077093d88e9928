"""Steps that the engine runs itself: the end of a run, the start of a child run, fan-outs, waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import codec
from tributary_daemon.engine.failures import MESSAGE_BYTES, clean, unfit
from tributary_daemon.engine.fans import items_of, tolerated
from tributary_daemon.engine.grouping import group_of
from tributary_daemon.engine.inputs import close_run, contexts, decide, prepare
from tributary_daemon.engine.options import for_items_only, values_of
from tributary_daemon.engine.waits import begin_wait
from tributary_daemon.errors import CodecError, InvalidInput
from tributary_daemon.model.control import (
    APPROVE_NAME,
    CLOSING_NAME,
    FAN_NAME,
    OPTIONS_NAME,
    WAIT_NAME,
    WORKFLOW_NAME,
    Flag,
    is_asked,
)
from tributary_daemon.model.outcome import (
    Completed,
    Decided,
    Discarded,
    ErrorRecord,
    Expanded,
    Outcome,
    Started,
)
from tributary_daemon.spec.expressions import ExpressionError, compile_expression
from tributary_daemon.spec.inputs import check_inputs
from tributary_daemon.spec.workflow import InputSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tributary_daemon.engine.lease import Lease
    from tributary_daemon.engine.surroundings import Surroundings

# the result of a fan-out holds those of its items
_MAX_GATHERED: Final = 16 * 1024 * 1024
# the result of a child run was stored already; PostgreSQL's jsonb holds no more
_MAX_CHILD: Final = 256 * 1024 * 1024
_NAMED: Final = 5


def run_control(lease: Lease, around: Surroundings) -> Outcome:
    """Run one attempt of a step of the engine's own; pure, so whoever holds the lease may repeat it."""
    try:
        match lease.name:
            case name if name == CLOSING_NAME:
                return close_run(lease, around)
            case name if name == WORKFLOW_NAME:
                return _start(lease, around)
            case name if name == OPTIONS_NAME:
                return _decide(lease, around)
            case name if name in (WAIT_NAME, APPROVE_NAME):
                return begin_wait(lease, around)
            case name if name == FAN_NAME and not lease.flags & Flag.EXPANDED:
                return _expand(around)
            case _:
                return _gather(lease, around)
    except ExpressionError as error:
        return Discarded(unfit(error, lease, "expression"))
    except CodecError as error:
        return Discarded(unfit(error, lease, "unserialisable_result"))
    except InvalidInput as error:
        return Discarded(unfit(error, lease, "invalid_payload"))


def _start(lease: Lease, around: Surroundings) -> Outcome:
    if around.ended_child is not None:
        return Completed(codec.dumps(around.ended_child[0], what="result", max_bytes=_MAX_CHILD))
    payload = prepare(lease, around)
    if not isinstance(payload, str):
        return payload
    given = codec.loads(payload)
    if asked := is_asked(lease.flags):
        target, given = given["workflow"], given["with"]
    if around.child is None:
        name = (target if asked else around.step["workflow"])["name"]
        message = f"no workflow named {name!r} is registered; register it once: trib register FILE"
        return Discarded(ErrorRecord("NotFound", message, lease.attempt, "unknown_workflow"))
    revision, name, plan = around.child
    declared = {key: InputSpec.from_json(dict(spec)) for key, spec in plan.inputs.items()}
    if not isinstance(given, dict):
        raise InvalidInput(
            f"`with` of a workflow must be a mapping of its inputs, not {type(given).__name__}"
        )
    inputs = given if plan.function else check_inputs(declared, given)
    child = {"revision": revision, "name": name, "inputs": inputs}
    if plan.concurrency is not None:
        run = {"name": name, "labels": around.facts.run["labels"], "parent_id": around.facts.run["id"]}
        child["group"] = group_of(plan.concurrency, {"inputs": inputs, "run": run}).name
    return Started(codec.dumps(child))


def _decide(lease: Lease, around: Surroundings) -> Outcome:
    seen = contexts(around, codec.loads(lease.payload) if lease.flags & Flag.ITEM else None)
    if lease.flags & Flag.CONDITION and (skipped := decide(around, seen)) is not None:
        return skipped
    try:
        return Decided(codec.dumps(values_of(codec.loads(lease.options or "{}"), seen)))
    except InvalidInput as error:
        return Discarded(unfit(error, lease, "expression"))


def _expand(around: Surroundings) -> Outcome:
    step = around.step
    seen = contexts(around)
    # asked once, or for each item where it names one
    for_items = _names_items(step)
    if not for_items and (skipped := decide(around, seen)) is not None:
        return skipped
    items = items_of(step, seen)
    if not items and "aggregate" not in step:
        return Completed("[]")
    if not items:
        return _aggregate(step, fan_flags=Flag.EXPANDED | Flag.AGGREGATED)
    tolerate = step.get("tolerate")
    fan = {
        "name": step["name"],
        "item_flags": (Flag.CONDITION if for_items else 0) | (Flag.OPTIONAL if tolerate is not None else 0),
        "fan_flags": Flag.EXPANDED,
        "max_parallel": step.get("max_parallel"),
        "tolerated": tolerated(tolerate, len(items)),
        "fail_fast": step.get("fail_fast", True),
        "items": items,
    }
    return Expanded(codec.dumps(fan, what="for_each", max_bytes=_MAX_GATHERED))


def _names_items(step: Mapping[str, Any]) -> bool:
    condition = step.get("condition")
    return condition is not None and any(
        path.root in ("item", "index", "matrix") for path in compile_expression(condition).paths
    )


def _gather(lease: Lease, around: Surroundings) -> Outcome:
    step = around.step
    if lease.flags & Flag.AGGREGATED:
        state, result = around.aggregate or ("missing", None)
        if state == "completed":
            return Completed(codec.dumps(result, what="result"))
        message = f"the aggregate {step['aggregate']['name']} was {state}"
        return Discarded(ErrorRecord("AggregateFailed", message, lease.attempt, "aggregate"))
    bad = [item for item in around.items if item["state"] in ("discarded", "cancelled")]
    failed = [item["key"] for item in bad if item["state"] == "discarded"]
    allowed = tolerated(step.get("tolerate"), len(around.items))
    if len(bad) > allowed:
        named = ", ".join((failed or [item["key"] for item in bad])[:_NAMED])
        more = f" and {len(failed) - _NAMED:,} more" if len(failed) > _NAMED else ""
        stopped = len(bad) - len(failed)
        rest = f"; {stopped:,} more were cancelled" if stopped else ""
        message = f"{len(failed):,} of {len(around.items):,} items failed: {named}{more}{rest}"
        if around.cause is not None:
            message += f"; the first of them by {around.cause['type']}: {around.cause['message']}"
        return Discarded(ErrorRecord("ItemsFailed", clean(message, MESSAGE_BYTES), lease.attempt, "items"))
    if "aggregate" in step:
        return _aggregate(step, fan_flags=Flag.AGGREGATED)
    # a bad item, and one that was skipped, has no result
    results = [item["result"] for item in around.items]
    return Completed(codec.dumps(results, what="result", max_bytes=_MAX_GATHERED))


def _aggregate(step: Mapping[str, Any], *, fan_flags: int) -> Outcome:
    fan = {
        "name": step["aggregate"]["name"],
        "item_flags": 0,
        "fan_flags": fan_flags,
        "without": for_items_only(step),
        "items": [{"key": "aggregate", "payload": {"aggregate": True}}],
    }
    return Expanded(codec.dumps(fan))
