"""The handlers of chaos: each notes what it does, and puts the name of its execution into its result."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import Any

from chaos.journal import execution
from tributary_daemon import Abort, Retry, Snooze, Step, handler

SOON = Retry(backoff="fixed", delay=0.3)


@handler("chaos.quick.v1", max_attempts=5, retry=SOON)
def quick(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """End at once."""
    with execution(step) as x:
        return {"x": x, "n": payload.get("n")}


@handler("chaos.slow.v1", max_attempts=5, retry=SOON)
def slow(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Take some seconds."""
    with execution(step) as x:
        time.sleep(payload.get("seconds", 1.0))
        return {"x": x}


@handler("chaos.beating.v1", max_attempts=5, retry=SOON, heartbeat_timeout=20)
def beating(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Report progress, and stop when it is in vain."""
    with execution(step) as x:
        for done in range(int(payload.get("seconds", 1.0) * 10)):
            step.heartbeat({"done": done})
            time.sleep(0.1)
        return {"x": x}


@handler("chaos.async.v1", max_attempts=5, retry=SOON)
async def asynchronous(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Take some seconds in the event loop."""
    with execution(step) as x:
        await asyncio.sleep(payload.get("seconds", 0.5))
        return {"x": x}


@handler("chaos.lone.v1", max_attempts=5, retry=SOON, isolation="process")
def lone(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Take a moment, in a process of its own."""
    with execution(step) as x:
        time.sleep(payload.get("seconds", 0.5))
        return {"x": x}


@handler("chaos.flaky.v1", max_attempts=6, retry=SOON)
def flaky(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Fail twice."""
    with execution(step) as x:
        if step.attempt <= 2:
            raise ConnectionError("not yet")
        return {"x": x}


@handler("chaos.failing.v1", max_attempts=2, retry=SOON)
def failing(payload: dict[str, Any], step: Step) -> None:
    """Fail always."""
    with execution(step):
        raise ValueError("never")


@handler("chaos.abort.v1", max_attempts=3)
def abort(payload: dict[str, Any], step: Step) -> None:
    """Give up at once."""
    with execution(step):
        raise Abort("this makes no sense")


@handler("chaos.crash.v1", max_attempts=5, retry=SOON)
def crash(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Take the process down in the first attempt."""
    with execution(step) as x:
        if step.attempt == 1:
            os._exit(9)
        return {"x": x}


@handler("chaos.poison.v1", max_attempts=3)
def poison(payload: dict[str, Any], step: Step) -> None:
    """Take the process down always."""
    with execution(step):
        os._exit(9)


@handler("chaos.snooze.v1", max_attempts=3)
def snooze(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Put it off twice."""
    with execution(step) as x:
        seen = (step.progress or {}).get("snoozed", 0)
        if seen < 2:
            step.heartbeat({"snoozed": seen + 1})
            raise Snooze(0.5)
        return {"x": x}


@handler("chaos.once.v1", max_attempts=1)
def once(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Do what must not be done twice."""
    with execution(step) as x:
        time.sleep(payload.get("seconds", 0.2))
        return {"x": x}


@handler("chaos.late.v1", max_attempts=4, timeout=1, retry=SOON)
def late(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Exceed the timeout of the first attempt."""
    with execution(step) as x:
        while step.attempt == 1:
            time.sleep(0.01)
        return {"x": x}


@handler("chaos.deaf.v1", max_attempts=4, timeout=1, retry=SOON)
def deaf(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Ignore the timeout of the first attempt."""
    with execution(step) as x:
        while step.attempt == 1:
            with contextlib.suppress(BaseException):
                time.sleep(0.01)
        return {"x": x}


@handler("chaos.effect.v1", max_attempts=8, retry=SOON)
def effect(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Write in the transaction that ends the step."""
    with execution(step) as x:
        run_id, _, ordinal = step.idempotency_token.rpartition("/")
        with step.connection() as connection:
            connection.execute("insert into chaos.effects values (%s, %s, %s)", (run_id, int(ordinal), x))
            time.sleep(payload.get("seconds", 0.05))
        return {"x": x}


@handler("chaos.narrow.v1", queue="narrow", max_attempts=5, retry=SOON)
def narrow(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Run in a queue that is limited over all workers."""
    with execution(step) as x:
        time.sleep(payload.get("seconds", 0.2))
        return {"x": x}


@handler("chaos.meet.v1", max_attempts=1)
def meet(payload: dict[str, Any], step: Step) -> dict[str, Any]:
    """Wait until as many run at the same time as there are slots."""
    folder = Path(payload["folder"])
    with execution(step) as x:
        (folder / x).touch()
        while len(list(folder.iterdir())) < payload["all"]:
            time.sleep(0.05)
        return {"x": x}
