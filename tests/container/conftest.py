"""The image, built on a fresh Debian, and a PostgreSQL that is reached by TCP. Only with ``--image``."""

from __future__ import annotations

import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tributary_daemon.daemon.embedded_binaries import choose, reachable

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("buildah", "debootstrap", "mount", "unshare")
# what the official Python images have, too: an interpreter, its venv module, and pip beside it
PACKAGES = "python3,python3-venv,python3-pip"
SUITE = "bookworm"
REACHING = {"index-url", "extra-index-url", "trusted-host", "proxy", "cert", "timeout", "default-timeout"}
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def pytest_addoption(parser):
    parser.addoption("--image", action="store_true", help="build the container image and try it; as root")
    parser.addoption(
        "--image-base", metavar="FILE", help="tar of the base: used if it exists, else made and kept there"
    )


def run(*command, timeout=300, **kwargs):
    """Run a command to its end; show all that it said if it fails."""
    command = [str(part) for part in command]
    said = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=timeout, check=False, **kwargs,
    )  # fmt: skip
    if said.returncode:
        pytest.fail(f"{shlex.join(command)} exits {said.returncode}:\n{said.stdout[-6000:]}")
    return said.stdout.strip()


def free_port():
    """Return a port of this machine, whose network the containers share, that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def timed(what):
    started = time.monotonic()
    yield
    print(f"\n{what}: {time.monotonic() - started:.0f} s", end="", flush=True)


@dataclass(frozen=True)
class Workshop:
    """A place for images of its own: nothing of this machine's is used or changed.

    Attributes:
        place: a file system in memory; unpacking hundreds of packages waits for no disk.
        driver: how buildah stacks layers.
    """

    place: Path
    driver: str

    def command(self, *args):
        """Return a command of buildah on the workshop's own store."""
        store = [
            f"--root={self.place}/store",
            f"--runroot={self.place}/run",
            f"--storage-driver={self.driver}",
        ]
        return ["buildah", *store, *args]

    def buildah(self, *args):
        """Run it to its end."""
        return run(*self.command(*args))

    def running(self, container, *command, env=()):
        """Return the command that runs ``command`` in a container as its user."""
        settings = [f"--env={setting}" for setting in env]
        return self.command("run", "--isolation=chroot", *settings, container, "--", *command)

    def build(self, context, tag, *options):
        """Build ``tag`` from the Dockerfile in ``context``; this machine's pip settings leave no trace."""
        self.buildah(
            "bud", "--isolation=chroot", "--format=docker", *self._index(), *options, f"--tag={tag}", context
        )

    def _index(self):
        """Return options that tell a build how this machine reaches its package index."""
        settings = {}
        for line in run(sys.executable, "-m", "pip", "config", "list").splitlines():
            key, _, value = line.partition("=")
            name = key.rpartition(".")[2]
            if name in REACHING:
                # the environment is listed before the files, and wins
                settings.setdefault(name, " ".join(shlex.split(value)))
        options = []
        if "cert" in settings:
            # over a file that is there anyway: a mount's place stays in the image
            options.append(f"--volume={settings['cert']}:{CERTIFICATES}:ro")
            settings["cert"] = CERTIFICATES
        config = self.place / "pip.conf"
        lines = [f"{name} = {value}" for name, value in settings.items()]
        config.write_text("\n".join(["[global]", *lines, ""]), encoding="utf-8")
        return [*options, f"--secret=id=pip.conf,src={config}"]


@pytest.fixture(scope="session")
def workshop(request):
    """The place that images are made in; unmounted and removed at the end."""
    if not request.config.getoption("--image", default=False):
        pytest.skip("builds a container image; make image-test")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.fail(f"without {', '.join(missing)}: apt-get install buildah debootstrap mount util-linux")
    if os.geteuid() != 0:
        pytest.fail("debootstrap and buildah's chroot isolation need root")
    place = Path(tempfile.mkdtemp(prefix="trib-image-", dir="/var/tmp"))
    run("mount", "-t", "tmpfs", "-o", "size=3g,mode=755", "trib-image", place)
    made = Workshop(place, _driver(place))
    try:
        yield made
    finally:
        made.buildah("rm", "--all")
        made.buildah("rmi", "--all", "--force")
        # the store mounts itself
        run("umount", "--recursive", place)
        place.rmdir()


def _driver(place):
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir()
    layers = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    tried = subprocess.run(
        ["mount", "-t", "overlay", "-o", layers, "overlay", place / "merged"],
        capture_output=True,
        check=False,
    )
    if tried.returncode:
        return "vfs"
    run("umount", place / "merged")
    return "overlay"


@pytest.fixture(scope="session")
def base(request, workshop):
    """An image of a Debian that was installed a moment ago, with its Python and nothing else."""
    kept = request.config.getoption("--image-base")
    tar = Path(kept) if kept else workshop.place / "base.tar"
    if not tar.exists():
        with timed("debootstrap"):
            root = workshop.place / "debian"
            run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, root, timeout=900)
            unneeded = [
                "--exclude=./var/cache/apt/*",
                "--exclude=./var/lib/apt/lists/*",
                "--exclude=./var/log/*",
            ]
            run("tar", "-C", root, *unneeded, "-cf", tar, ".")
            shutil.rmtree(root)
    container = workshop.buildah("from", "scratch")
    workshop.buildah("add", "--quiet", container, tar, "/")
    workshop.buildah("commit", "--quiet", "--rm", container, "localhost/base")
    return "localhost/base"


@pytest.fixture(scope="session")
def image(workshop, base):
    """Name of the image that the Dockerfile makes."""
    with timed("the image"):
        workshop.build(ROOT, "tributary", f"--build-arg=BASE={base}")
    return "localhost/tributary"


@dataclass(frozen=True)
class Container:
    """A working container, and its file system as this machine sees it."""

    workshop: Workshop
    name: str
    root: Path

    def run(self, *command, env=()):
        """Run a command in it as its user, without a namespace of processes."""
        return run(*self.workshop.running(self.name, *command, env=env))


@pytest.fixture(scope="session")
def enter(workshop):
    """Return a function that makes a container of an image."""

    def of(image):
        name = workshop.buildah("from", "--pull-never", image)
        return Container(workshop, name, Path(workshop.buildah("mount", name)))

    return of


@pytest.fixture(scope="session")
def container(enter, image):
    """A container of the image."""
    return enter(image)


@pytest.fixture(scope="session")
def tcp_server(workshop):
    """URL of a PostgreSQL on 127.0.0.1 that wants a password, as anybody's server does."""
    account = pwd.getpwnam("nobody")
    programs = reachable(choose(None), account.pw_uid).directory
    data, password = workshop.place / "data", workshop.place / "password"
    word = secrets.token_hex(16)
    data.mkdir(mode=0o700)
    password.write_text(word)
    for path in (data, password):
        os.chown(path, account.pw_uid, account.pw_gid)
    port = free_port()
    who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": "/"}
    run(
        programs / "initdb", "-D", data, "--username=tributary", "--auth=scram-sha-256",
        f"--pwfile={password}", "--locale=C", "--encoding=UTF8", "--no-sync", **who,
    )  # fmt: skip
    options = (f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
    with (workshop.place / "postgres.log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *(part for option in options for part in ("-c", option))],
            stdout=log, stderr=log, **who,
        )  # fmt: skip
    try:
        yield f"postgresql://tributary:{word}@127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


@pytest.fixture
def tcp_database(tcp_server, eventually):
    """URL of a fresh, empty database there."""
    name = f"test_{secrets.token_hex(4)}"

    def create():
        try:
            with psycopg.connect(f"{tcp_server}/postgres", autocommit=True) as admin:
                admin.execute(f"create database {name}")
        except psycopg.OperationalError:
            return False
        return True

    eventually(create, 30, "the server starts")
    return f"{tcp_server}/{name}"


@pytest.fixture
def health():
    """The setting that keeps this test's worker from a port that something else has."""
    return f"TRIB_HEALTH_LISTEN=127.0.0.1:{free_port()}"
