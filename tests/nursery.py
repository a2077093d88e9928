"""Child processes that need not import everything anew: a process that has imported all forks each of them.

``python tests/nursery.py SOCKET`` serves; `Nursery` asks it. What comes of it is a process of its own, with
the environment, directory, arguments and standard streams it is given. It starts in
10 ms instead of half a second, of which a suite with a thousand commands has no other use.
"""

from __future__ import annotations

import array
import atexit
import gc
import json
import os
import pkgutil
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from typing import TYPE_CHECKING

import tributary_daemon

if TYPE_CHECKING:
    from collections.abc import Sequence

_STREAMS = 3
_LENGTH = 8
# what Python and the C library look at once, when they start
_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ")


class Nursery:
    """The side of the tests: asks for processes, waits for their end.

    Args:
        directory: of its socket.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / f"nursery-{os.getpid()}"
        self._environment = _at_start({**os.environ, "PYTHONUNBUFFERED": "1"})
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._path)],
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError("the nursery did not start")

    def close(self) -> None:
        """End it; what it has forked goes on."""
        self._process.kill()
        self._process.communicate()
        self._path.unlink()

    def fits(self, env: dict[str, str]) -> bool:
        """Whether a process with this environment may be forked: what Python reads at its start fits."""
        return _at_start(env) == self._environment

    def start(
        self, arguments: Sequence[str], *, env: dict[str, str], cwd: Path, streams, session=False
    ) -> Forked:
        """Start ``trib`` with these arguments and files as its standard streams, maybe in a new session."""
        asked = socket.socket(socket.AF_UNIX)
        asked.connect(str(self._path))
        request = json.dumps(
            {"arguments": arguments, "env": env, "cwd": str(cwd), "session": session}
        ).encode()
        files = array.array("i", [stream.fileno() for stream in streams])
        asked.sendmsg([len(request).to_bytes(_LENGTH)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        asked.sendall(request)
        return Forked(arguments, int.from_bytes(_exactly(asked, _LENGTH)), asked)

    def run(self, arguments: list[str], *, input: str | None, env: dict[str, str], cwd: Path, timeout: float):  # noqa: A002
        """Do what ``subprocess.run`` does with captured text."""
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write((input or "").encode())
            given.seek(0)
            process = self.start(arguments, env=env, cwd=cwd, streams=(given, out, err))
            try:
                code = process.wait(timeout)
            except TimeoutExpired:
                process.kill()
                process.wait()
                raise TimeoutExpired(arguments, timeout, _text(out), _text(err)) from None
            return CompletedProcess(arguments, code, _text(out), _text(err))


class Forked:
    """What ``subprocess.Popen`` is for its process; the parent of this one is a keeper of the nursery."""

    def __init__(self, args: Sequence[str], pid: int, keeper: socket.socket) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self._keeper = keeper

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        if self.returncode is None and select.select([self._keeper], [], [], 0)[0]:
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit code."""
        if self.returncode is None:
            if not select.select([self._keeper], [], [], timeout)[0]:
                raise TimeoutExpired(self.args, timeout or 0)
            self._ended()
        return self.returncode  # type: ignore[return-value]

    def send_signal(self, number: int) -> None:
        """Send a signal, if it has not ended."""
        if self.poll() is None:
            # it may have ended just now
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self) -> None:
        self.returncode = int.from_bytes(_exactly(self._keeper, _LENGTH), signed=True)
        self._keeper.close()


def _at_start(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_AT_START)}


def _text(file) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise EOFError("the nursery has hung up")
        data += part
    return data


def _serve(listener: socket.socket) -> list[str]:
    """Fork a keeper for each request, who forks the process and tells of its end; return in that process."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        asked, _ = listener.accept()
        if os.fork() == 0:
            break
        asked.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listener.close()
    head, ancillary, _, _ = asked.recvmsg(_LENGTH, socket.CMSG_SPACE(_STREAMS * array.array("i").itemsize))
    streams = array.array("i", ancillary[0][2])
    request = json.loads(_exactly(asked, int.from_bytes(head)))
    pid = os.fork()
    if pid:
        asked.sendall(pid.to_bytes(_LENGTH))
        _, status = os.waitpid(pid, 0)
        try:
            asked.sendall(os.waitstatus_to_exitcode(status).to_bytes(_LENGTH, signed=True))
        except OSError:
            pass  # nobody waits any more
        finally:
            os._exit(0)
    asked.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if request["session"]:
        os.setsid()
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    random.seed()
    time.tzset()
    return request["arguments"]


def main() -> None:
    """Import everything, then serve; in each process that is forked, be ``trib``."""
    offspring = import_module("offspring")
    sys.path[0] = str(Path.cwd())
    for found in pkgutil.walk_packages(tributary_daemon.__path__, "tributary_daemon."):
        if not found.name.endswith("__main__"):
            import_module(found.name)
    main_module = import_module("tributary_daemon.__main__")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen(64)
        print("ready", flush=True)
        # collections would touch, and so copy, all that is shared
        gc.freeze()
        sys.argv = [str(main_module.__file__), *_serve(listener)]
    if sys.argv[1:2] in (["worker"], ["run"]):
        offspring.with_twin(_end_with)
    _end_with(main_module.main)


def _end_with(run) -> None:
    """Run, and end as Python does, but for taking apart all that was imported: that takes longest."""
    code = 0
    try:
        run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - the last one to see it
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
