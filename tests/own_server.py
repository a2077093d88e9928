"""A PostgreSQL server of a test's own, to be filled up, restored, reconfigured, killed and promoted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.conftest import system_binaries
from tests.servers import accepts, free_port, until
from tributary_daemon.daemon.embedded_binaries import choose, reachable
from tributary_daemon.errors import EmbeddedError

_CONF = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
shared_buffers = 32MB
max_connections = 60
# the servers are killed, not the machine
fsync = off
"""


def programs(request):
    """Return the PostgreSQL programs of the kind that the other tests use; skip where there are none."""
    choice = request.config.getoption("--postgres")
    try:
        return choose(None, system_binaries() if choice == "system" else None)
    except EmbeddedError as error:
        pytest.skip(f"no PostgreSQL programs to make a server with: {error}")


class OwnServer:
    """One server with data and a port of its own; its superuser is trib, who needs no password.

    Args:
        binaries: from `programs`.
        settings: lines of postgresql.conf; later ones win.
    """

    def __init__(self, binaries, settings=""):
        self._uid = 65534 if os.geteuid() == 0 else None
        self._programs = reachable(binaries, os.geteuid() if self._uid is None else self._uid).directory
        self.directory = Path(tempfile.mkdtemp(prefix="own-", dir=os.environ["TRIB_TEST_ROOT"]))
        self.own(self.directory)
        self._settings = settings
        self._process = None
        self.data = self.directory / "data"
        self.port = free_port()

    def own(self, path):
        """Give a directory to the server's user."""
        if self._uid:
            os.chown(path, self._uid, -1)

    @property
    def host(self):
        """Where it listens, as in a URL."""
        return f"127.0.0.1:{self.port}"

    def url(self, database="postgres", user="trib"):
        """Return the URL of a database."""
        return f"postgresql://{user}@{self.host}/{database}"

    @contextmanager
    def admin(self, database="postgres"):
        """Give an autocommit connection of the superuser."""
        with psycopg.connect(self.url(database), autocommit=True, application_name="admin") as connection:
            yield connection

    def make(self):
        """Make its data."""
        self.run("initdb", "--username=trib", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync",
                 "-D", self.data)  # fmt: skip
        self.configure(_CONF + self._settings)

    def configure(self, lines):
        """Add lines to postgresql.conf; they count from the next start on."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"\n{lines}\n")

    def copy_of(self, other, *options):
        """Make its data a base backup of a running server."""
        self.run("pg_basebackup", "-d", f"host=127.0.0.1 port={other.port} user=trib", "--no-sync",
                 "--checkpoint=fast", *options, "-D", self.data)  # fmt: skip

    def launch(self):
        """Start it, and wait until it can be logged in to."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, "-p", str(self.port)],
                user=self._uid, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        until(self._is_up, 60, "the server is up")

    def start(self):
        """Make its data and start it."""
        self.make()
        self.launch()

    def stop(self, how=signal.SIGQUIT):
        """End it: SIGQUIT at once, SIGINT fast, and wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(30)

    def kill(self):
        """Kill it with all its processes at once."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        self._process.wait(10)

    def promote(self):
        """Make a standby a primary."""
        with self.admin() as standby:
            assert standby.execute("select pg_promote()").fetchone() == (True,)

    def log(self):
        """Return what it has written."""
        return (self.directory / "log").read_text(errors="replace")

    def close(self):
        """End it, and remove its data and what a killed one has left in the machine's memory."""
        self.stop()
        with suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            subprocess.run(["ipcrm", "-m", lines[6].split()[1]], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, program, *arguments):
        """Run one of PostgreSQL's programs to its end."""
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            user=self._uid, cwd="/", capture_output=True, text=True, check=False,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def _is_up(self):
        assert self._process.poll() is None, self.log()
        if not accepts(self.port):
            return False
        with suppress(psycopg.OperationalError), psycopg.connect(self.url()):
            return True
        return False
