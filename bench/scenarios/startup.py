"""How long it takes until something answers: commands, and a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psycopg

from bench import product
from bench.charts import Bars
from bench.scenario import Outcome, row, scenario
from tributary_daemon import Client

if TYPE_CHECKING:
    from collections.abc import Sequence

HELP_BAR, STATUS_BAR, READY_BAR = 150.0, 400.0, 1_500.0  # ms
TRIB = [sys.executable, "-m", "tributary_daemon"]


@scenario("startup", short={"calls": 7, "workers": 2}, full={"calls": 20, "workers": 5})
def startup(at: str, *, calls: int, workers: int) -> Outcome:
    """Start `trib --help`, `trib status` on a running server, and a worker until it is ready."""
    url = product.database(at)
    with Client(url) as client:
        known = client.submit("bench.noop.v1", {"i": 1}).id
    # as installed: modules are compiled once, not at every start
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["TRIB_DATABASE_URL"] = url
    times = {
        "trib --help": [_call(environment, ["--help"]) for _ in range(calls + 1)][1:],
        "trib status": [_call(environment, ["status", known]) for _ in range(calls + 1)][1:],
    }
    for processes in (2, 4):
        times[f"trib worker, {processes} processes"] = [
            _ready(environment, url, processes) for _ in range(workers)
        ]
    bars = [HELP_BAR, STATUS_BAR, READY_BAR, READY_BAR]
    return Outcome(
        rows=[
            row(name, found, "ms", at_most=bar)
            for (name, found), bar in zip(times.items(), bars, strict=True)
        ],
        raw=times,
        charts=[Bars("Start", "ms", times)],
        notes=["A worker is ready when the last of its processes has registered and may claim."],
    )


def _call(environment: dict[str, str], arguments: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run([*TRIB, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    return 1_000 * (time.perf_counter() - began)


def _ready(environment: dict[str, str], url: str, processes: int) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        began = time.perf_counter()
        child = subprocess.Popen(
            [*TRIB, "worker", "--processes", str(processes)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while product.joined(connection) < processes:
                if child.poll() is not None or time.perf_counter() - began > product.PATIENCE:
                    raise RuntimeError(f"the worker did not become ready (exit code {child.returncode})")
                time.sleep(0.005)
            seconds = time.perf_counter() - began
            child.send_signal(signal.SIGTERM)
            child.wait(product.PATIENCE)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    return 1_000 * seconds
