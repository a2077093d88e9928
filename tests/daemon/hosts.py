"""Hosts of one machine: network namespaces on a bridge, each with its own way to a server on it.

A host is cut off by taking its cable out of the bridge. Both ends stay up, and nothing is told to anybody:
packets go nowhere, in both directions, as behind a switch that has died.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

IP = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
_PREFIX = "trn"
_NETWORK = "198.18"  # set aside for measurements of networks; nothing of the outside has such an address


def wanted():
    """Skip, in continuous integration fail, where hosts cannot be made."""
    if os.geteuid() == 0 and IP:
        sweep()
        probe = f"{_PREFIX}{os.getpid()}-probe"
        if ip("netns", "add", probe, check=False):
            ip("netns", "delete", probe)
            return
    why = "hosts need root, ip of iproute2, and a kernel that gives network namespaces"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def ip(*arguments, check=True):
    """Run ip; return whether that went well."""
    done = subprocess.run([IP, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"ip {arguments}: {done.stderr}"
    return done.returncode == 0


def sweep():
    """Remove what killed runs have left: their process ids stand in the names."""
    spaces = Path("/run/netns")
    for path in spaces.glob(f"{_PREFIX}*") if spaces.is_dir() else []:
        if _is_left(path.name):
            for pid in pids_in(path.name):
                _kill(pid)
            ip("netns", "delete", path.name, check=False)
    for path in Path("/sys/class/net").glob(f"{_PREFIX}*"):
        if _is_left(path.name):
            ip("link", "delete", path.name, check=False)


def pids_in(space):
    """Return the processes of a namespace."""
    done = subprocess.run([IP, "netns", "pids", space], capture_output=True, text=True, check=False)
    return [int(word) for word in done.stdout.split()]


def traces():
    """Return what is there of this process's own namespaces and links."""
    mine = f"{_PREFIX}{os.getpid()}"
    spaces = Path("/run/netns")
    found = [*(spaces.iterdir() if spaces.is_dir() else []), *Path("/sys/class/net").iterdir()]
    return [path.name for path in found if path.name.startswith(mine)]


class Network:
    """A bridge with hosts on it.

    Attributes:
        address: of the bridge, where a server can listen.
        addresses: of all its hosts, as a network.
    """

    def __init__(self):
        self.hosts = {}
        self._number = 0
        self._bridge = f"{_PREFIX}{os.getpid()}b"
        self._part = Random().randrange(1, 255)
        self.address = f"{_NETWORK}.{self._part}.1"
        self.addresses = f"{_NETWORK}.{self._part}.0/24"
        # with an address of its own: else it takes the lowest of its cables, another one whenever they change
        hardware = f"02:54:52:00:{self._part:02x}:01"
        ip("link", "add", self._bridge, "address", hardware, "type", "bridge", "forward_delay", "0")
        try:
            ip("address", "add", f"{self.address}/24", "dev", self._bridge)
            ip("link", "set", self._bridge, "up")
        except BaseException:
            self.close()
            raise

    def host(self, name):
        """Add a host."""
        self._number += 1
        stem = f"{_PREFIX}{os.getpid()}"
        made = Host(
            name, f"{stem}-{name}", f"{stem}v{self._number}", self._bridge,
            f"{_NETWORK}.{self._part}.{10 + self._number}",
        )  # fmt: skip
        self.hosts[name] = made
        made.make()
        return made

    def close(self):
        """End all that runs on its hosts, and remove them."""
        for host in self.hosts.values():
            host.close()
        ip("link", "delete", self._bridge, check=False)


class Host:
    """A network namespace with an address of its own.

    Attributes:
        name: of it and of its worker.
        worker: the process of its supervisor, once it was started.
    """

    def __init__(self, name, space, cable, bridge, address):
        self.name = name
        self.worker = None
        self._space = space
        self._cable = cable
        self._bridge = bridge
        self._address = address
        self._log = None

    def make(self):
        """Make it, and plug it in."""
        ip("netns", "add", self._space)
        ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        ip("-n", self._space, "address", "add", f"{self._address}/24", "dev", "eth0")
        ip("-n", self._space, "link", "set", "lo", "up")
        ip("-n", self._space, "link", "set", "eth0", "up")
        ip("link", "set", self._cable, "up")
        self.heal()

    def cut(self):
        """Let no packet pass any more, and tell nobody."""
        ip("link", "set", self._cable, "nomaster")

    def heal(self):
        """Let packets pass."""
        ip("link", "set", self._cable, "master", self._bridge)

    def reaches(self, address):
        """Return whether packets go to and fro: whether an address answers on its own network."""
        refused = (
            "import socket, sys\n"
            "try: socket.create_connection((sys.argv[1], 9), 0.7)\n"
            "except ConnectionRefusedError: sys.exit(0)\n"
            "except OSError: sys.exit(1)\n"
        )
        done = subprocess.run(
            [IP, "netns", "exec", self._space, sys.executable, "-S", "-c", refused, address], check=False
        )
        return done.returncode == 0

    def work(self, url, home, handlers, *options, **environment):
        """Start a worker on it."""
        self._log = home / f"{self.name}.log"
        with self._log.open("ab") as log:
            self.worker = subprocess.Popen(
                [
                    IP, "netns", "exec", self._space, sys.executable, "-m", "tributary_daemon", "worker",
                    "--name", self.name, "--import", str(handlers), *map(str, options),
                ],
                env={**os.environ, "TRIB_DATABASE_URL": url, "TRIB_HOME": str(home), "HOME": str(home),
                     "TRIB_EMBEDDED": "0", **environment},
                cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def log(self):
        """Return what its worker has said."""
        return self._log.read_text(errors="replace") if self._log else ""

    def kill(self):
        """Kill everything that runs on it, at once."""
        # what they start meanwhile is found by another look
        while pids := pids_in(self._space):
            for pid in pids:
                _kill(pid)
            if self.worker is not None:
                self.worker.poll()

    def close(self):
        """Kill and remove it."""
        self.kill()
        if self.worker is not None:
            self.worker.wait(10)
        ip("netns", "delete", self._space, check=False)
        ip("link", "delete", self._cable, check=False)


def _is_left(name):
    made_by = re.match(rf"{_PREFIX}(\d+)[-bv]", name)
    return made_by is not None and not Path(f"/proc/{made_by[1]}").exists()


def _kill(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
