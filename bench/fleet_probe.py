"""What a crowd costs its server: CPU, WAL, commits, waits, dead rows, memory of connections."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psycopg

if TYPE_CHECKING:
    from collections.abc import Sequence

_TICKS = os.sysconf("SC_CLK_TCK")
_COUNTERS = """
    select d.xact_commit::float8, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8,
           (select coalesce(sum(n_dead_tup), 0) from pg_stat_user_tables
            where relname in ('workers', 'processes', 'leaders'))::float8,
           (select sum(pg_total_relation_size(c.oid)) from pg_class c
            where c.relnamespace = 'tributary'::regnamespace
              and c.relname in ('workers', 'processes', 'leaders'))::float8
    from pg_stat_database d where d.datname = current_database()
"""
_WAITS = """
    select coalesce(wait_event_type || ':' || wait_event, 'running')
    from pg_stat_activity
    where datname = current_database() and state = 'active' and pid <> pg_backend_pid()
"""
_LISTENERS = """
    select pid from pg_stat_activity where datname = current_database() and application_name = 'fleet listen'
"""


class Figures(NamedTuple):
    """What a stretch of time has cost.

    Attributes:
        seconds: how long it was.
        commits: transactions a second.
        cpu: cores that the server's processes used.
        wal: bytes a second.
        own: cores that the generator used.
        dead: rows of workers, processes and leaders that are dead at the end.
        size: bytes of these tables with their indexes.
        active: sessions at work at one moment, on average.
        locked: of these, those that waited for a lock.
        waits: what sessions at work were at, most often first: (what, share).
    """

    seconds: float
    commits: float
    cpu: float
    wal: float
    own: float
    dead: float
    size: float
    active: float
    locked: float
    waits: Sequence[tuple[str, float]]


class Probe:
    """Looks at a server on the same machine."""

    def __init__(self, url: str) -> None:
        self._sql = psycopg.connect(url, autocommit=True, application_name="fleet probe")
        self._watch = psycopg.connect(url, autocommit=True, application_name="fleet probe")
        self._postmaster = _parent(self._sql.info.backend_pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._waits: Counter[str] = Counter()
        self._looks = 0
        self._thread.start()
        self.begin()

    def close(self) -> None:
        """Close its connections."""
        self._over.set()
        self._thread.join(10)
        self._sql.close()
        self._watch.close()

    def begin(self) -> None:
        """Begin to measure."""
        self._waits, self._looks = Counter(), 0
        self._began, self._busy, self._own = time.monotonic(), self._cpu(), time.process_time()
        self._counters = self._count()

    def end(self) -> Figures:
        """Return what was since."""
        passed = time.monotonic() - self._began
        cpu, own = self._cpu() - self._busy, time.process_time() - self._own
        counters, looks = self._count(), max(1, self._looks)
        commits, wal, dead, size = counters
        seen = sum(self._waits.values())
        return Figures(
            passed,
            # its own looks are transactions, too
            (commits - self._counters[0] - looks - 2) / passed,
            cpu / passed,
            (wal - self._counters[1]) / passed,
            own / passed,
            dead,
            size,
            seen / looks,
            sum(count for what, count in self._waits.items() if what.startswith("Lock:")) / looks,
            [(what, count / max(1, seen)) for what, count in self._waits.most_common(4)],
        )

    def memory(self) -> tuple[float, float]:
        """Return what a LISTEN session has: bytes of its own, and its share of all (PSS), on average."""
        pids = [row[0] for row in self._sql.execute(_LISTENERS).fetchall()][:100]
        own = share = 0.0
        for pid in pids:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
                name, _, rest = line.partition(":")
                if name in ("Private_Dirty", "Private_Clean"):
                    own += int(rest.split()[0]) * 1024
                elif name == "Pss":
                    share += int(rest.split()[0]) * 1024
        return own / max(1, len(pids)), share / max(1, len(pids))

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self._waits.update(row[0] for row in self._watch.execute(_WAITS).fetchall())
            self._looks += 1

    def _count(self) -> tuple[float, ...]:
        # what a session did is told to others once it is at rest, a second later at most
        self._sql.execute("select pg_stat_clear_snapshot()")
        row = self._sql.execute(_COUNTERS).fetchone()
        assert row is not None
        return tuple(map(float, row))

    def _cpu(self) -> float:
        """Return the seconds of CPU that the server's processes have used, ended ones included."""
        used = 0
        children = Path(f"/proc/{self._postmaster}/task/{self._postmaster}/children").read_text(
            encoding="ascii"
        )
        for pid in (self._postmaster, *map(int, children.split())):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            used += int(fields[11]) + int(fields[12])
            if pid == self._postmaster:
                used += int(fields[13]) + int(fields[14])
        return used / _TICKS


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
