"""The server of a sitting: one for everything that is compared, with the same settings."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql

from tributary_daemon.daemon import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SETTINGS = {
    "shared_buffers": "2GB",
    "max_wal_size": "8GB",
    "max_connections": "200",
    "wal_compression": "pglz",
    "checkpoint_timeout": "900",
}


@contextmanager
def server(*, settings: Mapping[str, str] | None = None, programs: Path | None = None) -> Iterator[str]:
    """Yield the URL of a server: that of BENCH_SERVER, else a temporary one, removed afterwards.

    fsync and synchronous_commit are on. An own server is stopped and its data are removed at the end.

    Args:
        settings: of a server that differs from the others; it is always a temporary one.
        programs: the directory of PostgreSQL's programs, or of wrappers around them; the same holds.
    """
    given = os.environ.get("BENCH_SERVER")
    if given and not settings and not programs:
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="trib-bench-"))
    home.chmod(0o755)
    try:
        yield embedded.ensure_running(home, settings={**SETTINGS, **(settings or {})}, bin_dir=programs)
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def fresh_database(at: str, name: str, *, like: str = "template1") -> str:
    """Create database ``name`` anew on the server ``at``; return its URL.

    Args:
        at: the server.
        name: of the database.
        like: the database that it is a copy of. Its pages go through the WAL: copied as files they would end
            with a checkpoint, after which the next change of each page, in whatever database, logs all of it.
    """
    drop_database(at, name)
    with psycopg.connect(at, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {} strategy wal_log").format(
                sql.Identifier(name), sql.Identifier(like)
            )
        )
    return url_of(at, name)


def drop_database(at: str, name: str) -> None:
    """Drop database ``name`` of the server ``at``, if there is one; that ends with a checkpoint."""
    with psycopg.connect(at, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def url_of(at: str, name: str) -> str:
    """Return the connection string of database ``name`` on the server ``at``."""
    return conninfo.make_conninfo(at, dbname=name)


def drop_databases(at: str) -> None:
    """Drop every database that a measurement has made: those named bench_*."""
    with psycopg.connect(at, autocommit=True) as connection:
        names = connection.execute(
            "select datname from pg_database where datname like 'bench\\_%'"
        ).fetchall()
        for (name,) in names:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def settle(url: str, *, analyze: bool, checkpoint: bool = True) -> None:
    """Write out what loading left behind, so that no measurement pays for it.

    Args:
        url: the database.
        analyze: vacuum and analyze, too.
        checkpoint: after one, the next change of each page logs the whole page.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        if analyze:
            connection.execute("vacuum analyze")
        if checkpoint:
            connection.execute("checkpoint")


def recycle_wal(url: str, megabytes: int) -> None:
    """Write WAL and a checkpoint behind it, so that so much has files to go into.

    A server that has been at work renames files of old WAL. A new one makes each anew: 16 MB of zeros and
    their fsync, 55 ms here, for which every commit waits.

    Args:
        url: any database of the server.
        megabytes: that are to find a file.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("checkpoint")
        for _ in range(0, megabytes, 64):
            connection.execute(
                "select pg_logical_emit_message(false, 'bench', repeat('x', 1 << 20))"
                " from generate_series(1, 64)"
            )
        connection.execute("checkpoint")


def finish_rate(url: str, finish_times: str) -> float:
    """Return rows per second from the first to the last of all finishes: start-up is left out.

    The same definition for everything that is compared.

    Args:
        url: the database.
        finish_times: a query of one column, the times at which rows were finished.
    """
    query = sql.SQL(
        "with finished (at) as ({}) select count(*) filter (where at > (select min(at) from finished)),"
        " extract(epoch from max(at) - min(at))::float8 from finished"
    ).format(sql.SQL(finish_times))
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    later, seconds = row
    return float(later / max(seconds, 1e-6))
