"""PgBouncer in transaction mode in front of a server, on a port of its own; it can be killed and started."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.relay import Relay

_NOBODY = 65534
_PATIENCE = 10.0  # seconds


class Pooler:
    """PgBouncer in front of the server of a URL.

    Attributes:
        url: the same database through it.

    Raises:
        RuntimeError: there is no PgBouncer on this machine.
    """

    def __init__(self, url: str) -> None:
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise RuntimeError("no pgbouncer here; Debian, Ubuntu: apt-get install pgbouncer")
        self._program = program
        # as root it refuses to run, and as anybody else it may not reach the server's socket
        self._relay = Relay(url)
        self._user = _NOBODY if os.geteuid() == 0 else None
        self._home = Path(tempfile.mkdtemp(prefix="trib-pooler-"))
        if self._user:
            os.chown(self._home, self._user, -1)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.url = make_conninfo(url, host="127.0.0.1", port=self._port)
        self._process: subprocess.Popen[bytes] | None = None
        self._configure(url)

    def __enter__(self) -> Self:
        self._relay.__enter__()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._relay.__exit__()
        shutil.rmtree(self._home, ignore_errors=True)

    def start(self) -> float:
        """Start it; return the monotonic time at which it listens.

        Raises:
            RuntimeError: it does not listen.
        """
        self._process = subprocess.Popen(
            [self._program, "-q", str(self._home / "pgbouncer.ini")],
            user=self._user, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE
        while not self._listens():
            if time.monotonic() > deadline:
                log = self._home / "log"
                raise RuntimeError(f"PgBouncer does not listen: {log.read_text() if log.exists() else ''}")
            time.sleep(0.005)
        return time.monotonic()

    def stop(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", self._port), 1).close()
            return True
        return False

    def _configure(self, url: str) -> None:
        given = conninfo_to_dict(url)
        behind = conninfo_to_dict(self._relay.url)
        password = f" password={given['password']}" if given.get("password") else ""
        (self._home / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={behind['port']} user={given['user']}{password}\n"
            "[pgbouncer]\n"
            "listen_addr = 127.0.0.1\n"
            f"listen_port = {self._port}\n"
            "unix_socket_dir =\n"
            "auth_type = any\n"
            "pool_mode = transaction\n"
            "default_pool_size = 30\n"
            "max_client_conn = 200\n"
            f"logfile = {self._home}/log\n",
            encoding="utf-8",
        )
