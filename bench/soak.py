"""A steady mixed load for an hour, with pruning, and whether all stays bounded: `python -m bench.soak`.

A worker of two processes with shipped defaults, but for a retention so short that it prunes all the time.
What is measured is judged by its slope after the first third of the time; the exit code is 1 where something
grows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from bench.charts import Lines, draw
from bench.report import RESULTS, VERDICTS, machine, number, table
from bench.scene import end, wait
from bench.server import fresh_database, server
from bench.soak_judge import BOUNDS, Verdict, judge
from bench.soak_load import Load
from bench.soak_probe import Probe
from tributary_daemon import Migrator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.soak_judge import Points

HANDLERS = Path(__file__).with_name("soak_handlers.py")
HOUR = 3600
PROCESSES = 2
# an hour is short for a slope where checkpoints come every quarter of it
SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "1GB", "checkpoint_timeout": "60"}
_LEFT = """
    select count(*) filter (where s.state not in ('completed', 'skipped')), count(*)
    from tributary.steps s where s.shard = 0
"""
_DRAINED = """
    select (not exists (select from tributary.steps
                        where state in ('available', 'running', 'scheduled', 'blocked', 'waiting')))::integer
"""
_FIRED = "select count(*) from tributary.schedule_fires where schedule = 'soak.tick' and outcome = 'fired'"


class Soaked(NamedTuple):
    """What a soak found.

    Attributes:
        series: per name its points.
        intents: submitted.
        runs: submitted.
        faults: what went wrong, one sentence each.
    """

    series: Mapping[str, Points]
    intents: int
    runs: int
    faults: Sequence[str]


def soak(url: str, seconds: float, rate: float, keep: str) -> Soaked:
    """Load a worker for so long, look at it all the time, let it drain."""
    with tempfile.NamedTemporaryFile() as log:
        worker = subprocess.Popen(
            [
                sys.executable, "-m", "tributary_daemon", "worker", "--processes", str(PROCESSES),
                "--import", str(HANDLERS),
            ],
            env={**os.environ, "TRIB_DATABASE_URL": url, "TRIB_KEEP": keep},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            said = Path(log.name)
            wait(lambda: said.read_text(errors="replace").count("process started") >= PROCESSES, "the worker")
            return _watched(url, worker, seconds, rate)
        finally:
            end(worker)


def _watched(url: str, worker: subprocess.Popen[bytes], seconds: float, rate: float) -> Soaked:
    pause = 5.0 if seconds < HOUR / 2 else 15.0
    faults = []
    probe = Probe(url, worker.pid)
    try:
        with Load(url, rate) as load:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                time.sleep(pause)
                load.check()
                if worker.poll() is not None:
                    raise RuntimeError(f"the worker ended with {worker.returncode}")
                probe.look(pause)
    finally:
        probe.close()
    with psycopg.connect(url, autocommit=True) as sql:
        sql.execute("select tributary.pause_schedule('soak.tick')")

        def one(query: str) -> tuple[int, ...]:
            row = sql.execute(query.encode()).fetchone()
            assert row is not None
            return tuple(map(int, row))

        wait(lambda: one(_DRAINED) == (1,), "all work to end")
        bad, left = one(_LEFT)
        if bad:
            faults.append(f"{bad} steps did not end well")
        recorded = load.intents + 10 * load.runs
        if left > recorded / 2:
            faults.append(f"of some {recorded} steps {left} are there at the end: it does not prune")
        if one(_FIRED)[0] < seconds / 5 / 2:
            faults.append(f"the schedule has fired {one(_FIRED)[0]} times only")
    worker.terminate()
    if worker.wait(90) != 0:
        faults.append(f"the worker ended with {worker.returncode}")
    return Soaked(probe.series, load.intents, load.runs, faults)


def report(found: Soaked, verdicts: Sequence[Verdict], heading: str) -> Path:
    """Keep report, points and charts in bench/results; return the report."""
    folder = RESULTS / f"soak-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    folder.mkdir(parents=True)
    rows = [
        (
            verdict.series, number(verdict.mean), number(verdict.most), f"{verdict.growth:+.3g}",
            number(verdict.allowed), verdict.unit, VERDICTS[verdict.ok],
        )
        for verdict in verdicts
    ]  # fmt: skip
    heads = ("measured", "mean", "greatest", "growth", "allowed", "unit", "")
    parts = [f"# Soak\n\n{heading}", table(heads, rows)]
    parts += [f"- **missed**: {fault}" for fault in found.faults]
    for subject in dict.fromkeys(name.split(",")[0] for name in found.series):
        lines = {name: points for name, points in found.series.items() if name.split(",")[0] == subject}
        unit = next(bound.unit for bound in BOUNDS if bound.series == subject)
        chart = Lines(
            f"Soak: {subject}", "minutes", f"{subject}, {unit}" if unit else subject,
            {name: [(at / 60, value) for at, value in points] for name, points in lines.items()},
        )  # fmt: skip
        draw(chart, folder / subject.replace(" ", "-"))
        parts.append(f"![{chart.title}]({subject.replace(' ', '-')}.svg)")
    raw = {"heading": heading, "series": found.series, "verdicts": [asdict(verdict) for verdict in verdicts]}
    (folder / "raw.json").write_text(json.dumps(raw), encoding="utf-8")
    path = folder / "report.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def main() -> int:
    """Soak, judge, report; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=HOUR)
    parser.add_argument(
        "--rate", type=float, default=40, help="intents per second; runs of ten steps: a twentieth"
    )
    parser.add_argument("--keep", help="retention (default 1m, 5m from half an hour on)")
    options = parser.parse_args()
    keep = options.keep or ("1m" if options.seconds < HOUR / 2 else "5m")
    with server(settings=SETTINGS) as at:
        url = fresh_database(at, "bench_soak")
        Migrator(url).up()
        found = soak(url, options.seconds, options.rate, keep)
    verdicts = judge(found.series, BOUNDS)
    heading = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine()}. {options.seconds:.0f} s, kept for {keep}:"
        f" {found.intents:,} intents and {found.runs:,} runs of ten steps, payloads of 1 KB."
    )
    path = report(found, verdicts, heading)
    print(path.read_text(encoding="utf-8"))
    failed = [verdict.series for verdict in verdicts if not verdict.ok]
    print(f"kept in {path.parent}")
    if failed or found.faults:
        print("not bounded:", "; ".join([*failed, *found.faults]))
        return 1
    print("all is bounded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
