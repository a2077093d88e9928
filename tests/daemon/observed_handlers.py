"""Handlers and observers for tests/daemon/test_observed.py, in a worker's own directory."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
import threading
from pathlib import Path

from tributary_daemon import Retry, Snooze, Step, WorkflowContext, handler, workflow


@handler("o.seen.v1", max_attempts=2)
def seen(step: Step, fail: bool = False, snooze: bool = False) -> dict:
    """Tell what it sees of its ids, and of the trace that is current."""
    if snooze and not step.progress:
        step.heartbeat({"snoozed": True})
        raise Snooze(0)
    if fail:
        raise RuntimeError("it failed")
    step.log.info("seen", by="step.log")
    logging.getLogger("o").warning("a library speaks")
    return {
        "correlation_id": step.correlation_id,
        "business_id": step.business_id,
        "traceparent": step.traceparent,
        "current": current(),
    }


@handler("o.aseen.v1")
async def aseen(step: Step) -> dict:
    return {"correlation_id": step.correlation_id, "current": current()}


@handler("o.alone.v1", isolation="process")
def alone(step: Step) -> dict:
    inside = None
    if "opentelemetry.trace" in sys.modules:
        with sys.modules["opentelemetry.trace"].get_tracer("o").start_as_current_span("o.inside"):
            inside = current()
    return {"correlation_id": step.correlation_id, "current": current(), "inside": inside}


@handler("o.again.v1", retry=Retry(delay=0), max_attempts=3)
def again(step: Step) -> dict:
    """Fail once."""
    if step.attempt == 1:
        raise RuntimeError("it failed")
    return {"current": current(), "pid": os.getpid()}


@workflow("o.flow.v1")
async def flow(ctx: WorkflowContext) -> dict:
    return await ctx.run("o.seen.v1", {})


def current() -> str | None:
    """Return the traceparent of the current span of OpenTelemetry; None where there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


_LOCK = threading.Lock()


def listen(event) -> None:
    """Write down what is heard, a line each."""
    told = {"event": type(event).__name__, "heard_by": os.getpid(), **dataclasses.asdict(event)}
    with _LOCK, Path("heard.jsonl").open("a") as file:
        file.write(json.dumps(told, default=str) + "\n")


def raises(event) -> None:
    raise RuntimeError("observer is broken")


def blocks(event) -> None:
    threading.Event().wait()
