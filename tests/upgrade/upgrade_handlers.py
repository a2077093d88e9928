"""Handlers that note each start in ``./notes.jsonl``, with the release that ran them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import tributary_daemon
from tributary_daemon import Retry, Step, handler

NOTES = Path("notes.jsonl").resolve()
GATES = NOTES.parent
CODE = str(Path(tributary_daemon.__file__).parents[1])


def note(step: Step, args: object) -> None:
    line = {"id": str(step.run_id), "step": step.id, "args": args, "attempt": step.attempt, "code": CODE}
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


@handler("up.note.v1")
def take_note(args: dict, step: Step) -> dict:
    note(step, args)
    return args


@handler("up.flaky.v1", max_attempts=3, retry=Retry(backoff="fixed", delay=0.05))
def flaky(args: dict, step: Step) -> dict:
    """Fail the first attempt."""
    note(step, args)
    if step.attempt == 1:
        raise RuntimeError("not yet")
    return args


@handler("up.gate.v1")
def gate(args: dict, step: Step) -> str:
    """Wait until the test opens the gate; return whose code it was."""
    note(step, args)
    while not (GATES / args["gate"]).exists():
        time.sleep(0.01)
    return CODE
