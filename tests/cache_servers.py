"""Servers of the step cache that tests start: Redis, and MariaDB, in directories of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pymysql
import pytest
import redis

from tests.servers import free_port, until

_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
REDIS = shutil.which("redis-server", path=_PLACES) or shutil.which("valkey-server", path=_PLACES)
MARIADB = shutil.which("mariadbd", path=_PLACES) or shutil.which("mysqld", path=_PLACES)
_INSTALL = shutil.which("mariadb-install-db", path=_PLACES)


class _Server:
    """A process with a directory.

    Attributes:
        url: as the setting ``cache`` takes it.
    """

    url = ""

    def __init__(self, what):
        self.directory = Path(tempfile.mkdtemp(prefix=f"{what}-", dir=os.environ["TRIB_TEST_ROOT"]))
        self.process = None

    def launch(self, command):
        """Start the process."""
        log = (self.directory / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def log(self):
        """Return what it has said."""
        return (self.directory / "log").read_text(errors="replace")

    def freeze(self):
        """Let it stand still: connections stay, nothing answers."""
        self.process.send_signal(signal.SIGSTOP)
        # until the last of its threads has taken the signal others go on answering
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self):
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """End it at once; what it has written to disk stays."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        """End it and forget its files."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class RedisServer(_Server):
    """Redis, without files, with a password."""

    program, package = REDIS, "redis-server"

    def __init__(self):
        super().__init__("redis")
        self.port = free_port()
        self.url = f"redis://:sesame@127.0.0.1:{self.port}/1"

    def start(self):
        """Start it, and wait until it answers."""
        self.launch(
            [REDIS, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--requirepass", "sesame"]
        )
        until(self._answers, 20, f"redis answers; its log:\n{self.log()}")

    def _answers(self):
        with redis.Redis.from_url(self.url) as client:
            try:
                return client.ping()
            except redis.RedisError:
                return False

    def empty(self):
        """Forget everything."""
        with redis.Redis.from_url(self.url) as client:
            client.flushdb()


class MariaServer(_Server):
    """MariaDB on a socket, with one database."""

    program, package = MARIADB, "mariadb-server"

    def __init__(self):
        super().__init__("maria")
        self._socket = self.directory / "socket"
        self.url = f"mysql://cache:sesame@localhost/cache?unix_socket={quote(str(self._socket))}"
        self._data = self.directory / "data"
        # run by root, it asks for a name
        self._user = ["--user=root"] if os.geteuid() == 0 else []
        made = subprocess.run(
            [_INSTALL, "--no-defaults", f"--datadir={self._data}", "--auth-root-authentication-method=normal",
             "--skip-test-db", *self._user],
            check=False, capture_output=True, text=True, cwd=self.directory,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr

    def start(self):
        """Start it, and wait until it answers."""
        self.launch(
            [MARIADB, "--no-defaults", f"--datadir={self._data}", f"--socket={self._socket}",
             "--skip-networking", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=8M",
             "--innodb-flush-log-at-trx-commit=0", f"--pid-file={self.directory / 'pid'}", *self._user]
        )  # fmt: skip
        until(self._answers, 40, f"mariadb answers; its log:\n{self.log()}")

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                # a client that fails would leave its socket behind
                probe.connect(str(self._socket))
            except OSError:
                return False
        try:
            self.root("create database if not exists cache")
        except pymysql.err.OperationalError:
            # it may listen before it can be asked
            return False
        self.root("create user if not exists cache@localhost identified by 'sesame'")
        self.root("grant all on cache.* to cache@localhost")
        return True

    def root(self, statement):
        """Run a statement as root."""
        connection = pymysql.connect(unix_socket=str(self._socket), user="root", autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def empty(self):
        """Forget everything."""
        self.root("drop database if exists cache")
        self.root("create database cache")


def serving(kind):
    """Yield a server that runs; skip, or fail where that is continuous integration, if there is none."""
    if kind.program is None:
        message = f"no {kind.package} for the tests: apt-get install {kind.package}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    server = kind()
    try:
        server.start()
        yield server
    finally:
        server.close()
