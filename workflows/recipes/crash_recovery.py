"""A worker that dies in the middle of a run, and one that goes on where it ended.

    python workflows/recipes/crash_recovery.py

The first step is expensive and keeps its result. The second one kills its whole worker once, the supervisor
included. What that held runs again within seconds; the first step does not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tributary_daemon import Client, Step, Workflow, handler


@handler("crash.expensive.v1")
def expensive(directory: str) -> int:
    """Note each call, and return how many there were."""
    with Path(directory, "calls").open("a") as calls:
        calls.write("x")
        return calls.tell()


@handler("crash.flaky.v1")
def flaky(directory: str, calls: int, step: Step) -> str:
    """End the worker once, as a power cut would."""
    killed = Path(directory, "killed")
    if not killed.exists():
        killed.touch()
        # children of a worker that died end themselves
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return f"expensive was called {calls} time, this is attempt {step.attempt}"


def worker(name: str) -> subprocess.Popen[bytes]:
    """Start a worker of one process with these handlers."""
    command = [sys.executable, "-m", "tributary_daemon", "worker", "--processes", "1", "--name", name]
    return subprocess.Popen([*command, "--import", __file__], stderr=subprocess.DEVNULL)  # noqa: S603


def main() -> None:
    """Submit a run, lose the first worker to it, and let a second one end it."""
    with tempfile.TemporaryDirectory() as directory, Client() as client:
        run = client.submit(
            Workflow("crash.recovery.v1", result="${{ steps.flaky.result }}")
            .add("expensive", expensive, {"directory": directory})
            .add("flaky", flaky, {"directory": directory, "calls": "${{ steps.expensive.result }}"})
        )
        print("the first worker ended with", worker("first").wait(60))
        second = worker("second")
        try:
            document = run.wait(timeout="60s")
            print(document.state, "-", document.result)
        finally:
            second.terminate()
            second.wait(60)


if __name__ == "__main__":
    main()
