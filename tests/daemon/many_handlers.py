"""Handlers of a fleet over several hosts: each notes where it ran, some write on the step's connection."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tributary_daemon import Step, handler

NOTES = Path(os.environ["MANY_NOTES"])
HOST = os.environ["MANY_HOST"]
NAP = 0.04


def note(step: Step) -> None:
    line = {"id": step.run_id, "step": step.id, "attempt": step.attempt, "host": HOST, "at": time.monotonic()}
    descriptor = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


@handler("many.nap.v1")
def nap(step: Step) -> dict:
    note(step)
    time.sleep(NAP)
    return {"host": HOST}


@handler("many.long.v1")
def long(step: Step) -> dict:
    """Be at work when the network goes."""
    note(step)
    time.sleep(1.0)
    return {"host": HOST}


@handler("many.book.v1")
def book(step: Step) -> dict:
    """Have an effect in the same database."""
    note(step)
    with step.connection() as connection:
        connection.execute("insert into effects (id, host) values (%s, %s)", (step.run_id, HOST))
        time.sleep(NAP)
    return {"host": HOST}
