"""A server for one fault alone: it can be stopped in the ways PostgreSQL knows, and tells when it is back."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from tributary_daemon.daemon import embedded

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

_PATIENCE = 60.0  # seconds


class OwnServer:
    """A server that nobody else uses.

    Attributes:
        url: of it.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.url = embedded.ensure_running(home)

    def stop(self, how: signal.Signals) -> None:
        """Shut it down: SIGINT is fast, SIGQUIT immediate (as a crash, followed by recovery).

        Raises:
            RuntimeError: it does not end.
        """
        file = next(self._home.rglob("postmaster.pid"))
        os.kill(int(file.read_text(encoding="ascii").split()[0]), how)
        deadline = time.monotonic() + _PATIENCE
        while file.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("the server does not end")
            time.sleep(0.005)

    def start(self) -> float:
        """Start it again; return the monotonic time at which it first accepted a login."""
        accepted: list[float] = []
        watch = threading.Thread(target=self._watch, args=(accepted,))
        watch.start()
        embedded.ensure_running(self._home)
        watch.join()
        return accepted[0]

    def close(self) -> None:
        """Stop it."""
        embedded.stop(self._home)

    def _watch(self, accepted: list[float]) -> None:
        while not accepted:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url).close()
                accepted.append(time.monotonic())
            time.sleep(0.005)


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Yield a new server; it is stopped and removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="trib-faults-"))
    home.chmod(0o755)
    try:
        made = OwnServer(home)
        try:
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)
