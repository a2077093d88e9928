"""A primary and a synchronous standby, to be killed and promoted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import psycopg

from tests.servers import accepts, free_port, until
from tributary_daemon.daemon.embedded_binaries import reachable

_CONF = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
shared_buffers = 32MB
max_connections = 60
# the servers are killed, not the machine
fsync = off
"""


class Pair:
    """Two servers; a commit on the primary waits until the standby has it.

    Attributes:
        url: of both, in this order.
    """

    def __init__(self, binaries):
        self._uid = 65534 if os.geteuid() == 0 else None
        self._programs = reachable(binaries, os.geteuid() if self._uid is None else self._uid).directory
        self._directory = Path(tempfile.mkdtemp(prefix="pair-", dir=os.environ["TRIB_TEST_ROOT"]))
        if self._uid:
            os.chown(self._directory, self._uid, -1)
        self.ports = [free_port(), free_port()]
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.url = f"postgresql://trib@{hosts}/postgres"
        self._processes = [None, None]

    def alone(self, number):
        """Return the URL of one of them."""
        return f"postgresql://trib@127.0.0.1:{self.ports[number]}/postgres"

    def start(self):
        """Start both, and replication between them."""
        self._run(
            "initdb",
            "--username=trib",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
            self._data(0),
        )
        with (self._data(0) / "postgresql.conf").open("a") as file:
            file.write(_CONF)
        self._launch(0)
        self._run(
            "pg_basebackup", "-d", f"host=127.0.0.1 port={self.ports[0]} user=trib", "-R", "--no-sync",
            "--checkpoint=fast", "-D", self._data(1),
        )  # fmt: skip
        self._launch(1)
        with psycopg.connect(self.alone(0), autocommit=True) as primary:
            primary.execute("alter system set synchronous_standby_names = '*'")
            primary.execute("select pg_reload_conf()")
            synced = "select 1 from pg_stat_replication where sync_state = 'sync'"
            until(lambda: primary.execute(synced).fetchone(), 30, "the standby is synchronous")

    def kill(self, number):
        """Kill a server with all its processes at once."""
        process = self._processes[number]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        process.wait(10)

    def promote(self):
        """Make the standby the primary."""
        with psycopg.connect(self.alone(1), autocommit=True) as standby:
            assert standby.execute("select pg_promote()").fetchone() == (True,)

    def close(self):
        """End both, and remove what a killed one has left in the machine's memory."""
        for process in self._processes:
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGQUIT)
                process.wait(10)
        for number in (0, 1):
            with suppress(OSError, IndexError):
                lines = (self._data(number) / "postmaster.pid").read_text().splitlines()
                subprocess.run(["ipcrm", "-m", lines[6].split()[1]], check=False, capture_output=True)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _data(self, number):
        return self._directory / str(number)

    def _launch(self, number):
        with (self._directory / f"log{number}").open("ab") as log:
            self._processes[number] = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data(number), "-p", str(self.ports[number])],
                user=self._uid, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        until(lambda: self._is_up(number), 60, "the server is up")

    def _is_up(self, number):
        assert self._processes[number].poll() is None, (self._directory / f"log{number}").read_text()
        if not accepts(self.ports[number]):
            return False
        with suppress(psycopg.OperationalError), psycopg.connect(self.alone(number)):
            return True
        return False

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            user=self._uid, cwd="/", capture_output=True, text=True, check=False,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
