"""Processes of a worker that need not import everything anew either.

A worker starts each of its processes as a fresh interpreter, which takes half a second of CPU time to import
what it needs. A worker that the nursery has forked has a twin: a process beside it that has imported
everything and begun nothing, in its session and its group. The twin forks what the worker starts. What comes
of it is a child of the worker, with the file numbers, environment and directory that the worker gave; the
worker waits for it and kills it as any other. On other systems than Linux it starts its processes itself.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MODULE = "tributary_daemon.daemon.child"
_LENGTH = 8
_MOST_FILES = 16
# above what anybody numbers
_ASIDE = 200
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER
_GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
# those of Popen._execute_child, counted from its `cwd`
_HANDLES = slice(5, 11)


def with_twin(end_with: Callable[[Callable[[], None]], None]) -> None:
    """Fork the twin of this process, and have `subprocess` ask it for processes of workers.

    Args:
        end_with: runs a main function and ends the process.
    """
    if not sys.platform.startswith("linux"):
        return
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        end_with(_serve(theirs))
    theirs.close()
    _Started.twin = ours
    subprocess.Popen = _Started


class _Started(subprocess.Popen):
    """A process that the twin has forked, if it is one of a worker."""

    twin: socket.socket
    alone = threading.Lock()

    def _execute_child(self, args, executable, preexec_fn, close_fds, pass_fds, *more):
        words = [os.fsdecode(word) for word in args] if isinstance(args, list) else []
        if words[:3] != [sys.executable, "-m", _MODULE]:
            super()._execute_child(args, executable, preexec_fn, close_fds, pass_fds, *more)
            return
        numbers = sorted(pass_fds)
        files = [*_streams(*more[_HANDLES]), *numbers]
        request = {
            "arguments": words[3:], "numbers": [0, 1, 2, *numbers],
            "env": dict(os.environ), "cwd": str(Path.cwd()),
        }  # fmt: skip
        with self.alone:
            self.pid = _ask(self.twin, json.dumps(request).encode(), files)
        self._child_created = True
        self._close_pipe_fds(*more[_HANDLES])


def _streams(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite):
    given = (p2cread, c2pwrite, errwrite)
    return [number if file == -1 else file for number, file in enumerate(given)]


def _ask(twin, request, files):
    # what the twin's fork leaves without a parent becomes ours
    _adopt_orphans(True)
    try:
        twin.sendmsg(
            [len(request).to_bytes(_LENGTH)],
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))],
        )
        twin.sendall(request)
        return int.from_bytes(_exactly(twin, _LENGTH))
    finally:
        _adopt_orphans(False)


def _adopt_orphans(wanted):
    if ctypes.CDLL(None, use_errno=True).prctl(_ADOPT, int(wanted), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _serve(asked):
    """Fork what is asked for; return its main function in that process."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _GROUP_SIGNALS}
    while True:
        try:
            request, files = _asked(asked)
            reading, writing = os.pipe()
            between = os.fork()
            if between == 0:
                child = os.fork()
                if child == 0:
                    break
                os.write(writing, child.to_bytes(_LENGTH))
                os._exit(0)
            for file in (*files, writing):
                os.close(file)
            child = os.read(reading, _LENGTH)
            os.close(reading)
            # from its end on the worker is the parent
            os.waitpid(between, 0)
            asked.sendall(child)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            # the worker has ended
            os._exit(0)
    for file in (asked.detach(), reading, writing):
        os.close(file)
    for number, handler in before.items():
        signal.signal(number, handler)
    _number(files, request["numbers"])
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    module = import_module(_MODULE)
    sys.path[0] = request["cwd"]
    sys.argv = [module.__file__, *request["arguments"]]
    random.seed()
    time.tzset()
    return module.main


def _asked(asked):
    head, ancillary, _, _ = asked.recvmsg(_LENGTH, socket.CMSG_SPACE(_MOST_FILES * array.array("i").itemsize))
    if not head:
        raise EOFError
    return json.loads(_exactly(asked, int.from_bytes(head))), array.array("i", ancillary[0][2])


def _number(files, numbers):
    """Give files the numbers that they have in the worker."""
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD, _ASIDE) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(aside, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)


def _exactly(connection, length):
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise EOFError("the other side has hung up")
        data += part
    return data
