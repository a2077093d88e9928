"""The embedded PostgreSQL: one server per TRIB_HOME, shared by every ``trib`` of the user."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from tributary_daemon.daemon.embedded_cluster import PORT, SUPERUSER, Cluster
from tributary_daemon.errors import EmbeddedError
from tributary_daemon.store import db

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

DATABASE = "tributary"
_LOCK_TIMEOUT = 180.0


@dataclass(frozen=True, slots=True)
class EmbeddedStatus:
    """The embedded server as ``trib doctor`` shows it.

    Attributes:
        running: it accepts logins.
        pid: of its first process; None when not running.
        url: where it is, or would be.
        data: its data directory.
        log: its log file.
        version: major version of the data; None before the first start.
    """

    running: bool
    pid: int | None
    url: str
    data: Path
    log: Path
    version: int | None


def allowed(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether an embedded server may be started without being asked for.

    A service of systemd must say so (``TRIB_EMBEDDED=1``): it would otherwise work on an empty database
    in its own home when its TRIB_DATABASE_URL is missing. A terminal inside a desktop session has
    inherited INVOCATION_ID, too, and is no service.
    """
    said = environ.get("TRIB_EMBEDDED", "").strip().lower()
    if said:
        return said in {"1", "true", "yes", "on"}
    return "INVOCATION_ID" not in environ or sys.stderr.isatty()


def ensure_running(
    home: Path, *, settings: Mapping[str, str] | None = None, bin_dir: Path | None = None
) -> str:
    """Return the URL of the embedded server, starting it (and first building it) if need be.

    Args:
        home: TRIB_HOME.
        settings: server settings beside the shipped ones; they count only when it is started here.
        bin_dir: use the programs in this directory only.

    Raises:
        EmbeddedError: no PostgreSQL found, or it does not start.
    """
    home = home.absolute()
    cluster = Cluster(home, settings=settings, bin_dir=bin_dir)
    if cluster.is_ready():
        return _url(cluster, DATABASE)
    try:
        _make_home(home)
        with _lock(home):
            if not cluster.is_ready():
                if not cluster.data.exists():
                    cluster.build()
                cluster.start()
                _make_database(cluster)
    except OSError as error:
        raise EmbeddedError(
            f"cannot use {home} for the embedded PostgreSQL: {error}",
            hint="set TRIB_HOME to a directory on a local disk that you may write, or TRIB_DATABASE_URL",
        ) from error
    return _url(cluster, DATABASE)


def stop(home: Path) -> bool:
    """Stop the embedded server; its connections end. Return whether one was running.

    Raises:
        EmbeddedError: another process has held the lock of ``home`` for minutes.
    """
    home = home.absolute()
    if not home.is_dir():
        return False
    with _lock(home):
        return Cluster(home).stop()


def status(home: Path) -> EmbeddedStatus:
    """Return how the embedded server is; starts nothing."""
    cluster = Cluster(home.absolute())
    running = cluster.is_ready()
    postmaster = cluster.postmaster()
    return EmbeddedStatus(
        running=running,
        pid=postmaster.pid if running and postmaster else None,
        url=_url(cluster, DATABASE),
        data=cluster.data,
        log=cluster.log,
        version=cluster.version(),
    )


def _url(cluster: Cluster, database: str) -> str:
    host = quote(str(cluster.socket_dir()), safe="/")
    return f"postgresql://{SUPERUSER}@/{database}?host={host}&port={PORT}"


def _make_home(home: Path) -> None:
    """Make ``home``, closed to others; what root makes inside somebody's directory becomes theirs."""
    missing = [path for path in (home, *home.parents) if not path.exists()]
    if not missing:
        return
    parent = missing[-1].parent.stat()
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0 and parent.st_uid != 0:
            os.chown(path, parent.st_uid, parent.st_gid)


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Hold the lock of ``home``; the kernel gives it back when its holder dies, however that happens."""
    deadline = time.monotonic() + _LOCK_TIMEOUT
    descriptor = os.open(home / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"another process has been starting or stopping the server in {home} for"
                        f" {_LOCK_TIMEOUT:.0f} s",
                        hint=f"see {home / 'postgres.log'}",
                    ) from None
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _make_database(cluster: Cluster) -> None:
    with db.connect(_url(cluster, "postgres"), application_name="trib embedded") as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
    cluster.mark_ready()
