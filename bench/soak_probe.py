"""What a soak looks at every few seconds: the worker's processes, and its database."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LSN = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8"
# pg_stat_activity of the database that is asked, without whoever asks
_LOOK = """
    select (select count(*) from pg_stat_activity
            where datname = current_database() and application_name like 'trib%')::float8,
           (select sum(pg_table_size(c.oid)) from pg_class c
            where c.relnamespace = 'tributary'::regnamespace and c.relkind = 'r')::float8,
           (select sum(pg_indexes_size(c.oid)) from pg_class c
            where c.relnamespace = 'tributary'::regnamespace and c.relkind = 'r')::float8,
           (select sum(n_dead_tup) from pg_stat_user_tables where schemaname = 'tributary')::float8,
           (select count(*) from tributary.steps where shard = 0 and state = 'available')::float8
"""
# intents alone: what starts at once when it is submitted; ids grow with time
_LATENCY = """
    select percentile_cont(0.5) within group (order by late),
           percentile_cont(0.99) within group (order by late)
    from (
        select extract(epoch from s.started_at - s.created_at)::float8 * 1000 as late
        from tributary.steps s
        where s.shard = 0 and s.run_id >= tributary.first_id(clock_timestamp() - make_interval(secs => %s))
          and s.kind = 'intent' and s.name = 'soak.note.v1' and s.started_at is not null
    ) as started
"""


class Probe:
    """Measures a worker and its database; keeps the points of each series.

    Args:
        url: the database.
        worker: process id of the supervisor.
    """

    def __init__(self, url: str, worker: int) -> None:
        self.series: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self._sql = psycopg.connect(url, autocommit=True, application_name="soak probe")
        self._worker = worker
        self._began = time.monotonic()
        self._wal = (self._began, self._number(_LSN))

    def close(self) -> None:
        """Close its connection."""
        self._sql.close()

    def look(self, window: float) -> None:
        """Measure everything once.

        Args:
            window: seconds back from now whose work tells the latency.
        """
        now = time.monotonic()
        at = now - self._began
        for name, pid in self._processes():
            self._add(at, f"memory, {name}", _resident(pid) / MIB)
            self._add(at, f"open files, {name}", float(len(list(Path(f"/proc/{pid}/fd").iterdir()))))
        row = self._sql.execute(_LOOK).fetchone()
        assert row is not None
        connections, tables, indexes, dead, ready = map(float, row)
        self._add(at, "connections", connections)
        self._add(at, "tables", tables / MIB)
        self._add(at, "indexes", indexes / MIB)
        self._add(at, "dead rows", dead)
        self._add(at, "ready rows", ready)
        self._log(at, now)
        half, most = self._sql.execute(_LATENCY, (window,)).fetchone() or (None, None)
        if half is not None:
            self._add(at, "start, p50", half)
            self._add(at, "start, p99", most)

    def _log(self, at: float, now: float) -> None:
        written = self._number(_LSN)
        before, was = self._wal
        self._add(at, "WAL", (written - was) / (now - before) / 1024)
        self._wal = (now, written)

    def _add(self, at: float, name: str, value: float) -> None:
        self.series[name].append((round(at, 1), round(value, 3)))

    def _number(self, query: str) -> float:
        row = self._sql.execute(query.encode()).fetchone()
        assert row is not None
        return float(row[0])

    def _processes(self) -> Iterator[tuple[str, int]]:
        """Yield names and ids of the supervisor and its processes, in the order of their start."""
        yield "supervisor", self._worker
        pids = Path(f"/proc/{self._worker}/task/{self._worker}/children").read_text(encoding="ascii").split()
        for number, pid in enumerate(sorted(map(int, pids)), 1):
            yield f"process {number}", pid


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
