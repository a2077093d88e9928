"""What scenarios fill databases with, and how they watch a drain."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from statistics import quantiles
from typing import TYPE_CHECKING, Any

import psycopg

from bench import product
from bench.server import finish_rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

_ID = """(lpad(to_hex((extract(epoch from clock_timestamp() - %(age)s::interval) * 1000)::bigint), 12, '0')
          || '7' || substr(md5(n::text || random()::text), 1, 19))::uuid"""
_READY = f"""
    insert into tributary.steps (run_id, seq, created_at, ordinal, unmet, kind, state, shard, priority,
                                 tenant_id, name, queue, payload)
    select {_ID}, tributary.clock_us() + n, clock_timestamp(), 0, blocked::integer, 'intent',
           case when blocked then 'blocked' else 'available' end::tributary.step_state,
           0, n %% %(priorities)s,
           case when %(tenants)s > 0 then 'big' || n %% greatest(%(tenants)s, 1) else '' end,
           'bench.noop.v1', 'default', '{{"i": 1}}'
    from (select n, n %% 100 < %(blocked)s from generate_series(1, %(count)s) as n) as rows (n, blocked)
"""
_FINISHED = f"""
    insert into tributary.steps (run_id, seq, created_at, claimed_at, started_at, finished_at, attempt,
                                 ordinal, kind, state, shard, name, queue, result, payload)
    select {_ID}, n, at.old, at.old, at.old, at.old, 1, 0, 'intent', 'completed', 0, 'bench.noop.v1',
           'default', '{{"i": 1}}', '{{"i": 1}}'
    from generate_series(1, %(count)s) as n,
         (select clock_timestamp() - %(age)s::interval) as at (old)
"""
_AT_ONCE = 250_000
_FEWEST = 20
NOTHING_LEFT = """
    select not exists (select from tributary.steps where shard = 0 and state = 'available')
           and not exists (select from tributary.steps where shard = 0 and state = 'running')
"""
UPDATED = "select coalesce(pg_stat_get_tuples_updated('tributary.steps'::regclass), 0)"
_CLAIM = """
    select array_agg(run_id), array_agg(ordinal), array_agg(seq), array_agg(payload)
    from tributary.claim_leases(0::smallint, %s, %s::text[], %s::smallint[], %s::text[], %s::bigint[],
                                  array['bench.noop.v1'], 100)
"""
_FINISH = """
    select from tributary.finish_steps(
        0::smallint, %(process)s, %(ids)s::uuid[], %(ordinals)s::integer[], %(seqs)s::bigint[],
        array_fill('completed'::text, array[cardinality(%(seqs)s::bigint[])]), %(results)s::text[],
        array_fill(null::text, array[cardinality(%(seqs)s::bigint[])]),
        array_fill(null::float8, array[cardinality(%(seqs)s::bigint[])]),
        array_fill(0::float8, array[cardinality(%(seqs)s::bigint[])]), false, '{}', '{}', 100)
"""
_LANES = """
    select array_agg(queue), array_agg(priority), array_agg(tenant_id), array_agg(first_seq)
    from (
        select * from tributary.find_lanes(0::smallint, array['default'], 64) order by priority desc
    ) as lanes
"""


@contextmanager
def opened(url: str) -> Iterator[psycopg.Connection]:
    """Open a connection that commits by itself."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def number(connection: psycopg.Connection, sql: str) -> float:
    """Return the one number of a query; 0 for null."""
    return float(_one(connection, sql) or 0)


def _one(connection: psycopg.Connection, sql: str) -> Any:
    row = connection.execute(sql.encode()).fetchone()
    return None if row is None else row[0]


def ready(url: str, count: int, *, blocked: int = 0, priorities: int = 1, tenants: int = 0) -> None:
    """Add intents that may be claimed.

    Args:
        url: the database.
        count: how many rows.
        blocked: of a hundred, how many cannot be claimed.
        priorities: how many of these are in use.
        tenants: over how many they are spread, ``big0`` and so on; 0 for none.
    """
    wanted = {"blocked": blocked, "priorities": priorities, "tenants": tenants}
    _fill(url, _READY, count, {"age": "0", **wanted})


def finished(url: str, count: int, age: str = "1 hour") -> None:
    """Add intents that were completed ``age`` ago, an interval."""
    _fill(url, _FINISHED, count, {"age": age})


def _fill(url: str, statement: str, count: int, parameters: dict[str, object]) -> None:
    with opened(url) as connection:
        for done in range(0, count, _AT_ONCE):
            part = {**parameters, "count": min(_AT_ONCE, count - done)}
            connection.execute(statement.encode(), part)


def drain_rate(
    url: str, most: int, *, processes: int = 2, beside: AbstractContextManager[object] | None = None
) -> float:
    """Let `trib worker` finish ``most`` of the intents that are ready; return their rate per second.

    Args:
        url: the database.
        most: as soon as so many have ended the worker is stopped.
        processes: of the worker.
        beside: entered once its processes have joined, left before it is stopped.
    """
    with opened(url) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        before = number(connection, UPDATED)

        def ended() -> float:
            # a claim and a finish; counted by the server's statistics, so that watching costs nothing
            return (number(connection, UPDATED) - before) / 2

        with product.worker(url, processes), beside or nullcontext():
            product.wait(
                lambda: ended() >= most or _one(connection, NOTHING_LEFT), product.PATIENCE,
                f"{most} rows to be finished",
            )  # fmt: skip
    return finish_rate(
        url,
        f"select finished_at from tributary.steps where state = 'completed' and finished_at > '{row[0]}'",
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return a percentile of measurements; of too few the greatest.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("nothing was measured: what was to be watched ended too soon")
    if len(values) < _FEWEST:
        return max(values)
    return quantiles(values, n=100, method="inclusive")[percent - 1]


class Beside(ABC):
    """What goes on in a thread of its own while a block runs.

    Args:
        url: of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def _run(self) -> None:
        """Go on until ``_stop`` is set."""


class Prober(Beside):
    """A process more, that claims like the others and notes how long each claim took.

    Attributes:
        seconds: of each claim.
    """

    def __init__(self, url: str, pause: float = 0.04) -> None:
        super().__init__(url)
        self.seconds: list[float] = []
        self._pause = pause

    def _run(self) -> None:
        with opened(self._url) as connection:
            process = _one(connection, "select tributary.register_process('prober', 'python')")
            while not self._stop.wait(self._pause):
                connection.execute("select tributary.heartbeat(%s)", (process,))
                lanes = connection.execute(_LANES).fetchone()
                if lanes is None or lanes[0] is None:
                    continue
                began = time.perf_counter()
                claimed = connection.execute(_CLAIM, (process, *lanes)).fetchone()
                self.seconds.append(time.perf_counter() - began)
                if claimed is not None and claimed[0] is not None:
                    names = ("ids", "ordinals", "seqs", "results")
                    connection.execute(
                        _FINISH, {"process": process, **dict(zip(names, claimed, strict=True))}
                    )
