"""What many workers ask of one PostgreSQL, at rest and at work: `python -m bench.fleet --workers 10 1000`.

The workers are simulated (`bench.fleet_crowd`): their statements are the product's own, at its own times,
but go over few connections. LISTEN connections are real, one for each worker: they cost by being there.

Scenes:

rest     nothing to do: beats, looks at the maintenance, tests of LISTEN
submits  the same, and some intents a second that wake whoever waits
steps    a backlog, of which all together work off so many steps a second; each takes as long as that allows
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import threading
import time
from statistics import quantiles
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from bench.fleet_crowd import NAME, QUEUES, Crowd
from bench.fleet_ears import Ears
from bench.fleet_probe import Probe
from bench.report import number, publish, table
from bench.server import fresh_database, server
from tributary_daemon import Client, Migrator

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from bench.fleet_probe import Figures


SCENES = ("rest", "submits", "steps")
SLOTS = 10
_SPARE = 60  # connections beside those that listen
_STARTS = """
    select percentile_cont(0.5) within group (order by late),
           percentile_cont(0.99) within group (order by late)
    from (select extract(epoch from s.claimed_at - s.created_at)::float8 * 1000 as late
          from tributary.steps s where s.shard = 0 and s.claimed_at is not null) as started
"""
HEADS = (
    "scene", "workers", "round trips/s", "commits/s", "server, cores", "WAL, KiB/s", "beat, ms p50 · p99",
    "claim, ms p50 · p99", "late, ms p99", "start, ms p50 · p99", "at work · locked", "dead rows", "waits",
)  # fmt: skip


class Seen(NamedTuple):
    """What one scene with one number of workers has shown.

    Attributes:
        row: of the table.
        note: more of it, as a sentence.
        counts: round trips by kind, and rows claimed.
        heard: wake-ups that arrived, each at one worker.
        figures: of the server.
    """

    row: Sequence[str]
    note: str
    counts: Counter[str]
    heard: int
    figures: Figures


class Submitter(threading.Thread):
    """Submits intents at a steady rate, as a client does."""

    def __init__(self, url: str, rate: float) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.failure: BaseException | None = None
        self._url, self._rate = url, rate
        self._over = threading.Event()

    def run(self) -> None:
        """Submit until it is ended."""
        try:
            with Client(self._url) as client:
                began = time.monotonic()
                while not self._over.wait(0.01):
                    while self.sent < (time.monotonic() - began) * self._rate:
                        client.submit(NAME, {"i": self.sent})
                        self.sent += 1
        except BaseException as error:  # noqa: BLE001 - end() raises it
            self.failure = error

    def end(self) -> None:
        """End it.

        Raises:
            RuntimeError: it had ended by itself.
        """
        self._over.set()
        self.join(30)
        if self.failure is not None:
            raise RuntimeError("the submits have ended") from self.failure


def see(at: str, scene: str, workers: int, options: argparse.Namespace) -> Seen:
    """Let so many workers be at rest or at work for a while; return what it cost.

    Args:
        at: the server.
        scene: one of SCENES.
        workers: how many.
        options: of the command.
    """
    url = fresh_database(at, "bench_fleet")
    Migrator(url).up()
    steps = scene == "steps"
    work = workers * options.processes * SLOTS / options.steps if steps else options.work
    crowd = Crowd(
        url,
        workers=workers,
        processes=options.processes,
        lanes=options.connections,
        slots=SLOTS,
        work=work,
        poll=options.poll,
    )
    if steps:
        backlog = (
            int(options.steps * (options.seconds + options.warmup) * 1.5)
            + workers * options.processes * SLOTS
        )
        with Client(url) as client:
            client.submit_many(NAME, ({"i": number} for number in range(backlog)))
    probe = Probe(url)
    submitter = Submitter(url, options.submits) if scene == "submits" else None
    memory = (0.0, 0.0)
    try:
        ears = Ears(url, crowd) if options.listen else None
        try:
            if ears is not None:
                ears.__enter__()
            crowd.start()
            if submitter is not None:
                submitter.start()
            _watch(crowd, ears, options.warmup)
            crowd.forget()
            heard = ears.heard if ears is not None else 0
            probe.begin()
            _watch(crowd, ears, options.seconds)
            figures, counts, took, late = probe.end(), crowd.counts(), crowd.took(), crowd.late()
            if ears is not None:
                heard = ears.heard - heard
                memory = probe.memory()
        finally:
            if submitter is not None:
                submitter.end()
            crowd.end()
            if ears is not None:
                ears.__exit__()
    finally:
        probe.close()
    with psycopg.connect(url) as sql:
        half, most = sql.execute(_STARTS).fetchone() or (None, None)
    trips = sum(count for kind, count in counts.items() if kind != "rows")
    claims = [second for kind, times in took.items() if "claim" in kind for second in times]
    kinds = ", ".join(
        f"{kind} {count / figures.seconds:,.1f}" for kind, count in sorted(counts.items()) if kind != "rows"
    )
    note = (
        f"{scene}, {workers}: round trips a second: {kinds}."
        f" {counts['rows'] / figures.seconds:,.1f} steps claimed and {heard / figures.seconds:,.0f} wake-ups"
        f" heard a second; the generator took {figures.own:.2f} cores;"
        f" workers, processes and leaders have {figures.size / 1024:,.0f} KiB."
    )
    if memory[0]:
        own, share = (size / 2**20 for size in memory)
        note += f" A session that listens: {own:.1f} MiB of its own, {share:.1f} with its share."
    return Seen(
        (
            scene, f"{workers:,}", number(trips / figures.seconds), number(figures.commits),
            f"{figures.cpu:.2f}", number(figures.wal / 1024), _pair(took.get("beat", [])), _pair(claims),
            number(1000 * _quantile(late, 0.99)) if late else "",
            f"{number(half)} · {number(most)}" if half is not None and not steps else "",
            f"{figures.active:.1f} · {figures.locked:.2f}", number(figures.dead),
            ", ".join(f"{what} {100 * share:.0f}%" for what, share in figures.waits),
        ),
        note,
        counts,
        heard,
        figures,
    )  # fmt: skip


def _watch(crowd: Crowd, ears: Ears | None, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
        crowd.check()
        if ears is not None:
            ears.check()


def _pair(seconds: Sequence[float]) -> str:
    if not seconds:
        return ""
    return f"{number(1000 * _quantile(seconds, 0.5))} · {number(1000 * _quantile(seconds, 0.99))}"


def _quantile(values: Sequence[float], share: float) -> float:
    if len(values) < 2:
        return values[0]
    return quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def asked(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 300, 1000])
    parser.add_argument("--processes", type=int, default=2, help="of each worker")
    parser.add_argument("--seconds", type=float, default=20, help="that are measured, of each scene")
    parser.add_argument(
        "--warmup", type=float, default=12, help="seconds before that; LISTEN tests itself after ten"
    )
    parser.add_argument(
        "--connections", type=int, default=50, help="that carry the statements of all workers"
    )
    parser.add_argument("--no-listen", dest="listen", action="store_false", help="nobody listens, all poll")
    parser.add_argument("--poll", type=float, default=1, help="seconds: TRIB_POLL_INTERVAL of the workers")
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--submits", type=float, default=5, help="intents a second")
    parser.add_argument("--work", type=float, default=0.05, help="seconds that each of those takes")
    parser.add_argument("--steps", type=float, default=300, help="steps a second of the backlog")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """See all that was asked for; return the exit code."""
    options = asked(arguments)
    _allow_files(2 * max(options.workers) + 200)
    settings = {
        "shared_buffers": "256MB", "max_wal_size": "4GB",
        "max_connections": str(options.listen * max(options.workers) + options.connections + _SPARE),
    }  # fmt: skip
    given = os.environ.get("BENCH_SERVER")
    rows, notes = [], []
    with server(settings=None if given else settings) as at:
        for scene in options.scenes:
            for workers in options.workers:
                try:
                    seen = see(at, scene, workers, options)
                except RuntimeError as error:
                    notes.append(f"{scene}, {workers}: it broke: {error}: {error.__cause__!r}")
                    print(notes[-1], flush=True)
                    continue
                rows.append(seen.row)
                notes.append(seen.note)
                print(f"{' | '.join(seen.row)}\n  {seen.note}", flush=True)
    text = (
        f"{options.seconds:g} s each, {options.processes} processes a worker,"
        f" {options.connections} connections, queues {', '.join(QUEUES)}.\n\n{table(HEADS, rows)}\n\n"
        + "\n".join(f"- {note}" for note in notes)
    )
    publish("fleet", text)
    return 0


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
