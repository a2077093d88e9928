"""The log of executions: one file per process, one write per line. It knows nothing of the database."""

from __future__ import annotations

import itertools
import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.history import Execution

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tributary_daemon import Step

FOLDER = "CHAOS_JOURNAL"
_numbers = itertools.count()


@contextmanager
def execution(step: Step) -> Iterator[str]:
    """Note the begin and the end of an execution; yield the name it has in the log."""
    run_id, _, ordinal = step.idempotency_token.rpartition("/")
    attempt: Any = step._attempt  # noqa: SLF001 - the token of the lease is nobody's business but the checker's
    x = f"{os.getpid()}-{time.monotonic_ns()}-{next(_numbers)}"
    _write(
        {
            "x": x, "run_id": run_id, "ordinal": int(ordinal), "name": step.name, "attempt": step.attempt,
            "token": attempt.seq, "pid": os.getpid(), "begin": time.monotonic(), "wall": time.time(),
        }
    )  # fmt: skip
    how = "returned"
    try:
        yield x
    except BaseException as error:
        how = type(error).__name__
        raise
    finally:
        _write({"x": x, "end": time.monotonic(), "how": how})


def _write(line: dict[str, object]) -> None:
    path = Path(os.environ[FOLDER]) / f"{os.getpid()}.jsonl"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


def read(folder: Path) -> list[Execution]:
    """Return all executions of a log, in the order of their begin.

    A line that has no end was torn by the death of its process; nothing follows it that could be meant.
    """
    begun: dict[str, dict[str, Any]] = {}
    ended: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                said = json.loads(line)
                (begun if "begin" in said else ended)[said["x"]] = said
    executions = [Execution(**{**said, **ended.get(x, {})}) for x, said in begun.items()]
    return sorted(executions, key=lambda execution: execution.begin)
