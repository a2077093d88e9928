"""A disk whose flushes are slow."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench import load, product
from bench.scenario import Outcome, row, scenario
from bench.server import server, settle
from tributary_daemon import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOURCE = Path(__file__).parent.parent / "slow_sync.c"
_PROGRAMS = "select setting from pg_config where name = 'BINDIR'"


@scenario(
    "slow-disk",
    short=None,
    full={"count": 300_000, "rounds": 3, "seconds": 20},
)
def slow_disk(at: str, *, count: int, rounds: int, seconds: float) -> Outcome:
    """Flushes that take 2 ms longer: draining, and 16 producers that submit one by one."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return Outcome(notes=["Skipped: the slow disk is a shim in C, and there is no compiler (cc) here."])
    with load.opened(at) as connection:
        found = connection.execute(_PROGRAMS).fetchone()
    if found is None or not Path(found[0], "postgres").exists():
        return Outcome(notes=["Skipped: the server's programs are not on this machine."])
    fast: list[float] = []
    slow: list[float] = []
    submitted: list[float] = []
    with _slowed(compiler, Path(found[0])) as programs, server(programs=programs) as slow_at:
        for _ in range(rounds):
            for rates, where in ((fast, at), (slow, slow_at)):
                url = product.database(where)
                load.ready(url, count * 11 // 10)
                settle(url, analyze=True)
                rates.append(load.drain_rate(url, count))
            submitted.append(_submits(product.database(slow_at), 16, seconds))
        with load.opened(slow_at) as connection:
            flush = _flush_seconds(connection.info.dsn)
    ratios = [there / here for here, there in zip(fast, slow, strict=True)]
    return Outcome(
        rows=[
            row("a commit alone on the slow disk", flush * 1000, "ms"),
            row("drain rate, fast disk", fast, "/s"),
            row("drain rate, slow disk", slow, "/s"),
            row("slow against fast", ratios, "x", at_least=0.6),
            row("16 producers, slow disk", submitted, "/s", at_least=2_000),
        ],
        raw={"fast": fast, "slow": slow, "submitted": submitted, "flush": flush},
    )


@contextmanager
def _slowed(compiler: str, real: Path) -> Iterator[Path]:
    """Yield a directory with PostgreSQL's programs, the server's flushes slowed down."""
    folder = Path(tempfile.mkdtemp(prefix="trib-bench-"))
    folder.chmod(0o755)
    try:
        shim = folder / "slow_sync.so"
        subprocess.run(
            [compiler, "-O1", "-shared", "-fPIC", "-o", shim, _SOURCE, "-ldl"],
            check=True,
            capture_output=True,
        )
        shim.chmod(0o755)
        for program in real.iterdir():
            preload = f"LD_PRELOAD={shim} " if program.name in {"postgres", "pg_ctl"} else ""
            wrapper = folder / program.name
            wrapper.write_text(f'#!/bin/sh\n{preload}exec {program} "$@"\n')
            wrapper.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _submits(url: str, producers: int, seconds: float) -> float:
    """Return how many intents a second so many producers submit, each waiting for each of its commits."""
    counts = [0] * producers
    stop = threading.Event()

    def submit(number: int) -> None:
        with Client(url) as client:
            while not stop.is_set():
                client.submit("bench.noop.v1", {"i": number})
                counts[number] += 1

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(producers)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    before, began = sum(counts), time.monotonic()
    time.sleep(seconds)
    rate = (sum(counts) - before) / (time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join()
    return rate


def _flush_seconds(url: str) -> float:
    """Return the seconds that a commit takes for which nobody else waits."""
    with load.opened(url) as connection:
        connection.execute("create table if not exists flushed (at timestamptz)")
        taken = []
        for _ in range(50):
            began = time.perf_counter()
            connection.execute("insert into flushed values (now())")
            taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2]
