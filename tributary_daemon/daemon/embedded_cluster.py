"""One data directory and the server on it: build, start, find, stop."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tributary_daemon.daemon import embedded_account, embedded_binaries
from tributary_daemon.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tributary_daemon.daemon.embedded_account import Account
    from tributary_daemon.daemon.embedded_binaries import Binaries

SUPERUSER = "trib"  # not the schema's name, which "$user" in search_path would then find
PORT = 5432
_SOCKET = f".s.PGSQL.{PORT}"
_LONGEST_SOCKET = 103  # of sockaddr_un: 107 on Linux, 103 on macOS, both without the ending NUL
_BUILDING = "postgres.building-"
_READY_TIMEOUT = 120.0
_STOP_TIMEOUT = 30.0
_ORPHANS_TIMEOUT = 30.0
_STATE_LINE = 7  # of postmaster.pid, counted from 0
_LOG_LIMIT = 8 * 1024 * 1024

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    # relative to the data directory, where the server lives: no path is too long, nobody else gets there
    "unix_socket_directories": "'.'",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "max_connections": "200",
    "shared_buffers": "128MB",
    # until a vacuum, claims pass by dead entries: those of a minute double their time at 28,000/s
    "autovacuum_naptime": "15s",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "jit": "off",
    # files instead of /dev/shm: a container's is small, and logind empties a user's at logout
    "dynamic_shared_memory_type": "mmap",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_checkpoints": "off",
    "cluster_name": "'tributary'",
}


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What ``postmaster.pid`` says."""

    pid: int
    state: str


class Cluster:
    """The embedded server's files and process. Callers hold the lock of ``home`` for everything that changes.

    Args:
        home: TRIB_HOME; exists.
        settings: added to the shipped ones.
        bin_dir: use these programs only.
    """

    def __init__(
        self, home: Path, *, settings: Mapping[str, str] | None = None, bin_dir: Path | None = None
    ) -> None:
        self.home = home
        self.data = home / "postgres"
        self.log = home / "postgres.log"
        self._marker = self.data / "tributary.ready"
        self._settings = {**SETTINGS, **(settings or {})}
        self._bin_dir = bin_dir

    # -- reading: cheap, without the lock

    def is_ready(self) -> bool:
        """Return whether the server accepts logins and its database exists: two reads, one connect."""
        postmaster = self.postmaster()
        return (
            postmaster is not None
            and postmaster.state == "ready"
            and self._marker.exists()
            and self.accepts()
        )

    def postmaster(self) -> Postmaster | None:
        """Return what the running (or crashed) server wrote down, None without one."""
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
            return Postmaster(int(lines[0]), "".join(lines[_STATE_LINE:]).strip() or "starting")
        except (OSError, ValueError, IndexError):
            return None

    def accepts(self) -> bool:
        """Return whether something listens on the socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self.socket_dir() / _SOCKET))
            except BlockingIOError:
                # its queue is full, so it lives
                return True
            except OSError:
                return False
        return True

    def socket_dir(self) -> Path:
        """Return a directory whose socket clients can name: the data, or a short link to them.

        Raises:
            EmbeddedError: the link's name is taken by another user.
        """
        if len(os.fsencode(self.data / _SOCKET)) <= _LONGEST_SOCKET:
            return self.data
        mark = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        link = Path("/tmp") / f"tributary-{os.geteuid()}-{mark}"  # noqa: S108 - owner is verified below
        with contextlib.suppress(FileExistsError):
            link.symlink_to(self.data)
        if link.lstat().st_uid != os.geteuid() or not link.is_symlink() or link.readlink() != self.data:
            raise EmbeddedError(
                f"{link} is in the way and not ours", hint="remove it, or set TRIB_HOME to a shorter path"
            )
        return link

    def version(self) -> int | None:
        """Return the major version of the data, None before they exist."""
        try:
            return int((self.data / "PG_VERSION").read_text(encoding="ascii").partition(".")[0])
        except (OSError, ValueError):
            return None

    # -- changing: under the lock

    def build(self) -> None:
        """Make the data directory beside its place and move it there when it is whole."""
        for leftover in self.home.glob(f"{_BUILDING}*"):
            # of a process that was killed; what its initdb still writes goes with the next one
            shutil.rmtree(leftover, ignore_errors=True)
        building = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=self.home))
        try:
            account = self._adopt(building)
            maker = embedded_account.for_initdb(account)
            maker.give(building)
            binaries = embedded_binaries.choose(None, self._bin_dir)
            self._initdb(building, maker, embedded_binaries.reachable(binaries, maker.uid))
            account.give_tree(building)
            building.rename(self.data)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise

    def _adopt(self, building: Path) -> Account:
        refusals = []
        for account in embedded_account.candidates(self.home):
            try:
                account.give(building)
            except OSError as error:
                refusals.append(f"user id {account.uid}: {error.strerror}")
            else:
                return account
        raise EmbeddedError(
            f"cannot give the data to an unprivileged user, which PostgreSQL needs ({'; '.join(refusals)})",
            hint="run as an ordinary user, or set TRIB_DATABASE_URL",
        )

    def _initdb(self, directory: Path, account: Account, binaries: Binaries) -> None:
        command = [
            str(binaries.directory / "initdb"),
            f"--username={SUPERUSER}",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
        ]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        answer = _run(command, directory, account, stderr=subprocess.STDOUT)
        if answer.returncode != 0:
            raise EmbeddedError(
                f"initdb failed: {_tail(answer.stdout)}",
                hint="set TRIB_DATABASE_URL to use a server of your own, or TRIB_HOME to use another disk",
            )

    def start(self) -> None:
        """Start the server, in a session of its own, and wait until it accepts logins.

        A server that another process has started, or that is stopping, is waited for; what a crash left
        behind is cleared.

        Raises:
            EmbeddedError: it does not start; the message carries the end of its log.
        """
        account = embedded_account.owner_of(self.data)
        binaries = embedded_binaries.choose(self.version(), self._bin_dir)
        binaries = embedded_binaries.reachable(binaries, account.uid)
        deadline = time.monotonic() + _READY_TIMEOUT
        self._write_settings(account)
        while not self._await_present(deadline):
            self._clear_stale()
            seen = self.log.stat().st_size if self.log.exists() else 0
            pid = self._launch(account, binaries)
            if self._await_launched(pid, deadline):
                return
            said = self._said(seen)
            # backends of a killed server need a moment to notice; then the next try succeeds
            if "shared memory block" not in said and "postmaster.pid" not in said:
                raise EmbeddedError(
                    f"PostgreSQL does not start: {_tail(said)}", hint=f"the whole log is {self.log}"
                )
            time.sleep(0.1)

    def _await_present(self, deadline: float) -> bool:
        """Wait for a server that is there already; return whether it has become ready."""
        while (postmaster := self.postmaster()) is not None and self._is_ours(postmaster.pid):
            if postmaster.state == "ready" and self.accepts():
                return True
            self._pause(deadline)
        return False

    def _await_launched(self, pid: int, deadline: float) -> bool:
        """Wait for the server just launched; return False if it has died."""
        while _alive(pid):
            postmaster = self.postmaster()
            if postmaster == Postmaster(pid, "ready") and self.accepts():
                return True
            self._pause(deadline)
        return False

    def _pause(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"PostgreSQL has not become ready within {_READY_TIMEOUT:.0f} s: {_tail(self._said(0))}",
                hint=f"it may be recovering from a crash: try again; the whole log is {self.log}",
            )
        time.sleep(0.005)

    def _is_ours(self, pid: int) -> bool:
        """Return whether ``pid`` is a live process in our data directory, not one that reused the number."""
        if not _alive(pid):
            return False
        if not sys.platform.startswith("linux"):
            return True
        try:
            return Path(f"/proc/{pid}/cwd").samefile(self.data)
        except OSError:
            return False

    def _clear_stale(self) -> None:
        """Remove the lock files of a server that is gone, once none of its children is left.

        The server would do so itself, except where the number of the dead one has been given to another
        process, as happens after a restart of a container.
        """
        if self.postmaster() is None or not sys.platform.startswith("linux"):
            return
        deadline = time.monotonic() + _ORPHANS_TIMEOUT
        _wait(lambda: not self._orphans(), deadline)
        if self._orphans():
            raise EmbeddedError(
                f"processes of a crashed server still use {self.data}: {self._orphans()}",
                hint="end them, then try again",
            )
        for name in ("postmaster.pid", f"{_SOCKET}.lock"):
            (self.data / name).unlink(missing_ok=True)

    def _orphans(self) -> list[int]:
        pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in pids if self._is_ours(pid)]

    def _write_settings(self, account: Account) -> None:
        """Write the settings of this release; a user's own belong in local.conf, which is read after."""
        lines = ["# Written at every start; your own settings belong in local.conf beside this file."]
        lines += [f"{name} = {value}" for name, value in self._settings.items()]
        lines.append("include_if_exists = 'local.conf'")
        path = self.data / "postgresql.conf"
        fresh = path.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
        fresh.chmod(0o600)
        account.give(fresh)
        fresh.replace(path)

    def _launch(self, account: Account, binaries: Binaries) -> int:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        # The shell ends at once, so the server is nobody's child: it leaves no zombie, whose number would
        # look alive, when it dies before the process that started it.
        command = ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", str(binaries.directory / "postgres")]
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            return int(_run(command, self.data, account, stderr=log).stdout)

    def _said(self, since: int) -> str:
        try:
            with self.log.open("rb") as log:
                log.seek(max(since, self.log.stat().st_size - 65_536))
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def mark_ready(self) -> None:
        """Note that the database exists, for ``is_ready``."""
        self._marker.touch()

    def stop(self) -> bool:
        """Stop the server: fast first, then at once. Return whether one was running."""
        postmaster = self.postmaster()
        if postmaster is None or not (self._is_ours(postmaster.pid) or self.accepts()):
            return False
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(postmaster.pid, how)
            if _wait(lambda: not _alive(postmaster.pid), time.monotonic() + _STOP_TIMEOUT):
                break
        return True


def _run(
    command: list[str], data: Path, account: Account, *, stderr: IO[bytes] | int
) -> subprocess.CompletedProcess[str]:
    """Run a program of the server on ``data``, in a session of its own, as ``account``.

    Under another user id the path may lead through directories closed to it (``/root``). So the program
    inherits the opened directory and names it through /proc, which asks for no right on the way.
    """
    with contextlib.ExitStack() as stack:
        name, inherited = str(data), []
        if account.switch and Path("/proc/self/fd").is_dir():
            descriptor = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            name, inherited = f"/proc/self/fd/{descriptor}", [descriptor]
        return subprocess.run(  # noqa: S603 - our own command
            [*command, "-D", name],
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            start_new_session=True,
            check=False,
            pass_fds=inherited,
            **account.popen(),
        )


def _environment() -> dict[str, str]:
    # none of the caller's PG* variables, and no locale: its messages are read
    return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL": "C", "TZ": "UTC"}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return not sys.platform.startswith("linux")
    return state.rpartition(")")[2].split()[0] != "Z"


def _wait(condition: Callable[[], bool], deadline: float) -> bool:
    pause = 0.002
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.3, 0.05)
    return True


def _tail(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return "\n  ".join(lines[-8:]) or "no message"
