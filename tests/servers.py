"""Servers that tests start beside the session's PostgreSQL: a pooler, a relay that can swallow everything."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def free_port():
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def accepts(port):
    """Return whether somebody listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def until(probe, timeout, what):
    """Wait until a probe is true."""
    deadline = time.monotonic() + timeout
    while not (answer := probe()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return answer


class PgBouncer:
    """PgBouncer in front of the server of a URL.

    Attributes:
        url: the same database through it.
    """

    def __init__(self, url, *, pool_size=4, mode="transaction"):
        self.port = free_port()
        self.url = make_conninfo(url, host="127.0.0.1", port=self.port)
        self._directory = Path(tempfile.mkdtemp(prefix="bouncer-", dir=os.environ["TRIB_TEST_ROOT"]))
        self._process = None
        # as root it refuses to run, and as anybody else it does not reach the embedded server's socket
        self._user = 65534 if os.geteuid() == 0 else None
        if self._user:
            os.chown(self._directory, self._user, -1)
        self.relay = Relay(url)
        given = conninfo_to_dict(url)
        password = f" password={given['password']}" if given.get("password") else ""
        (self._directory / "pgbouncer.ini").write_text(f"""
[databases]
* = host=127.0.0.1 port={self.relay.port} user={given["user"]}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {pool_size}
max_client_conn = 200
logfile = {self._directory}/log
""")

    def start(self):
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [PGBOUNCER, "-q", str(self._directory / "pgbouncer.ini")],
            user=self._user, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: accepts(self.port), 10, f"PgBouncer listens; its log:\n{self.log()}")

    def log(self):
        """Return what it has written."""
        path = self._directory / "log"
        return path.read_text() if path.exists() else ""

    def stop(self, how=signal.SIGKILL):
        """End it."""
        self._process.send_signal(how)
        self._process.wait(10)

    def close(self):
        """End it and its way to the server."""
        self.stop()
        self.relay.close()


class Relay:
    """A TCP proxy of one server that can swallow everything: both sides stay connected and hear nothing.

    Attributes:
        url: the same database through it.
        port: where it listens.
        swallow_new: whether nothing is passed on from the beginning on new connections.
    """

    def __init__(self, url):
        given = conninfo_to_dict(url)
        host, port = given["host"], given.get("port") or 5432
        self._family = socket.AF_UNIX if host.startswith("/") else socket.AF_INET
        self._target = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs = []
        self._threads = []
        self._swallowed = set()
        self.swallow_new = False
        self.port = self._listener.getsockname()[1]
        self.url = make_conninfo(url, host="127.0.0.1", port=self.port)
        self._acceptor = threading.Thread(target=self._serve, daemon=True)
        self._acceptor.start()

    def swallow(self, only=b""):
        """Pass nothing on any more on the connections that are open now and whose login holds ``only``."""
        self._swallowed |= {number for number, (first, *_) in enumerate(self._pairs) if only in first[0]}
        return len(self._swallowed)

    def close(self):
        """End every connection."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(10)
        for _, *ends in self._pairs:
            for end in ends:
                _shut(end)
        for thread in self._threads:
            thread.join(10)
        for _, *ends in self._pairs:
            for end in ends:
                end.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(self._family)
            server.connect(self._target)
            first = [b""]
            number = len(self._pairs)
            self._pairs.append((first, client, server))
            if self.swallow_new:
                self._swallowed.add(number)
            for source, sink, login in ((client, server, first), (server, client, None)):
                thread = threading.Thread(target=self._pass, args=(number, source, sink, login), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass(self, number, source, sink, login):
        while True:
            try:
                data = source.recv(65_536)
            except OSError:
                data = b""
            if login is not None and len(login[0]) < 4096:
                login[0] += data
            if number in self._swallowed:
                # not even the end is passed on
                if not data:
                    return
                continue
            if not data:
                _shut(sink)
                return
            try:
                sink.sendall(data)
            except OSError:
                return


def _shut(end):
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
