"""Workflow functions of three steps beside DBOS, and runs of functions that wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import psycopg

from bench import handlers, load, product, systems
from bench.charts import Bars
from bench.environments import UnavailableError
from bench.rounds import Measure, fastest, interleave
from bench.scenario import Outcome, row, scenario
from bench.server import settle
from bench.systems import PROCESSES, WORKFLOWS, amount
from tributary_daemon import Client
from tributary_daemon.handlers.declare import name_of
from tributary_daemon.handlers.registry import REGISTRY
from tributary_daemon.spec.functions import spec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

STEPS = 3
_SENDERS = 4
PEER_BAR, WAKE_BAR = 20.0, 1_000.0
RATE = """
    select count(*) / extract(epoch from max(r.finished_at) - min(s.finished_at))
    from tributary.runs r, (select min(finished_at) as finished_at from tributary.steps) as s
    where r.state = 'completed'
"""
GOOD = """
    select count(*)
    from tributary.steps s
    join tributary.payloads p on (p.shard, p.run_id, p.ordinal) = (s.shard, s.run_id, 0)
    where s.step_id = 'main' and s.state = 'completed' and s.attempt = 1
      and s.result = jsonb_build_object('i', (p.payload ->> 'i')::integer + 3)
"""
BYTES = """
    select sum(pg_total_relation_size(format('tributary.%I', t)::regclass))
    from unnest(array['runs', 'steps', 'payloads', 'edges', 'history', 'waits', 'progress']) as t
"""


@scenario(
    "functions",
    short={"runs": 3_000, "waiting": 2_000, "rounds": 2, "seconds": 2.5, "tries": 0},
    full={"runs": 20_000, "waiting": 10_000, "rounds": 5, "seconds": 6.0, "tries": 2},
)
def functions(at: str, *, runs: int, waiting: int, rounds: int, seconds: float, tries: int) -> Outcome:
    """Workflow functions of three steps, beside DBOS; many that wait, and how fast they wake."""
    outcome = Outcome()
    measures: Measure = {
        "trib, in place": partial(_drained, at, handlers.in_place, runs),
        "trib, by workers": partial(_drained, at, handlers.by_workers, runs // 3),
    }
    peer = next(peer for peer in WORKFLOWS if peer.name == "DBOS")
    many = {"runs": amount(peer, runs * STEPS, seconds) // STEPS, "steps": STEPS}
    try:
        variant, note = fastest(at, peer, many, tries)
    except UnavailableError as error:
        outcome.notes.append(f"{peer.name} is missing: {error}")
    else:
        outcome.notes.append(note)
        measures[peer.name] = partial(_peer, at, peer, variant, many)
    found = interleave(measures, rounds)
    outcome.notes += found.notes()
    outcome.rows = [row(name, rates, "functions/s") for name, rates in found.rates.items()]
    if peer.name in found.rates:
        outcome.rows += [
            row(f"{name} / {peer.name}", found.ratios(name, peer.name), "x", at_least=bar)
            for name, bar in (("trib, in place", PEER_BAR), ("trib, by workers", None))
        ]
    tomorrow = "jsonb_build_object('until', clock_timestamp() + interval '1 day')"
    for name, function, inputs, wake in (
        ("timers due at once", handlers.sleeper, tomorrow, _fire),
        ("signals sent at once", handlers.listener, "'{}'::jsonb", _signal),
    ):
        size, rate = _woken(at, function, inputs, waiting, wake)
        outcome.rows += [
            row(f"bytes of a run that waits, {name}", size, "B"),
            row(f"wake-ups, {waiting:,} {name}", rate, "/s", at_least=WAKE_BAR),
        ]
    outcome.raw = {"rates": found.rates}
    outcome.charts = [
        Bars("Functions of three steps, two processes", "ended per second, log scale", found.rates, log=True)
    ]
    return outcome


def _peer(at: str, peer: systems.Peer, variant: Mapping[str, object], many: Mapping[str, int]) -> float:
    return systems.drain(at, peer, variant, many) / STEPS


def _database(at: str, function: Callable[..., object]) -> str:
    """Return the URL of a fresh database that knows a function."""
    url = product.database(at)
    with Client(url) as client:
        client.register(spec_of(REGISTRY.get(str(name_of(function)))))
    return url


def _drained(at: str, function: Callable[..., object], runs: int) -> float:
    url, name = _database(at, function), name_of(function)
    with psycopg.connect(url) as connection:
        connection.execute(
            "select tributary.submit_workflow(%s, jsonb_build_object('i', i)) from generate_series(1, %s) i",
            (name, runs),
        )
    settle(url, analyze=True)
    with psycopg.connect(url, autocommit=True) as connection:
        with product.worker(url, PROCESSES):
            product.wait(lambda: _none(connection, product.UNFINISHED_RUNS), product.PATIENCE, f"{runs} runs")
        row = connection.execute(GOOD).fetchone()
        if row != (runs,):
            raise RuntimeError(f"of {runs} functions, {row} ended as they should")
        # from the first step that ended to the last function: as the peer is measured
        return load.number(connection, RATE)


def _woken(
    at: str,
    function: Callable[..., object],
    inputs: str,
    count: int,
    wake: Callable[[psycopg.Connection], object],
) -> tuple[float, float]:
    """Return the bytes of a run that waits, and how many of them end per second once all are woken."""
    url, name = _database(at, function), name_of(function)
    with psycopg.connect(url, autocommit=True) as connection, product.worker(url, PROCESSES):
        empty = load.number(connection, BYTES)
        connection.execute(
            f"select tributary.submit_workflow(%s, {inputs}) from generate_series(1, %s)".encode(),
            (name, count),
        )
        waiting = "select count(*) from tributary.waits"
        product.wait(lambda: load.number(connection, waiting) == count, product.PATIENCE, "all to wait")
        size = (load.number(connection, BYTES) - empty) / count
        before = load.number(connection, "select extract(epoch from clock_timestamp())")
        wake(connection)
        product.wait(lambda: _none(connection, product.UNFINISHED_RUNS), product.PATIENCE, f"{count} to wake")
        last = load.number(connection, "select extract(epoch from max(finished_at)) from tributary.runs")
    return size, count / (last - before)


def _fire(connection: psycopg.Connection) -> None:
    """Let all timers be due now."""
    connection.execute("update tributary.waits set due_at = clock_timestamp()")


def _signal(connection: psycopg.Connection) -> None:
    """Send a signal to every run, by four senders, in transactions of 100."""
    ids = [run for (run,) in connection.execute("select run_id from tributary.waits order by run_id")]
    with ThreadPoolExecutor(_SENDERS) as senders:
        list(senders.map(partial(_send, connection.info.dsn), (ids[n::_SENDERS] for n in range(_SENDERS))))


def _send(dsn: str, ids: Sequence[str]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for first in range(0, len(ids), 100):
            part = ids[first : first + 100]
            connection.execute(
                "select tributary.signal(id, 'go', '{\"i\": 1}') from unnest(%s) as id", (part,)
            )


def _none(connection: psycopg.Connection, unfinished: str) -> bool:
    row = connection.execute(unfinished.encode()).fetchone()
    return row is not None and not row[0]
