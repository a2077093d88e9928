"""A command as a process group of its own: its output is passed on, and it leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tributary_daemon.handlers.step_log import NOWHERE

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Mapping, Sequence

    from tributary_daemon.handlers.step_log import Output

TAIL_BYTES: Final = 16_384
_READ_BYTES: Final = 65_536
_BREATH: Final = 0.001
GRACE: Final = 5.0
_LOOK_EVERY: Final = 0.2
_LAST_OUTPUT: Final = 1.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        code: exit code, or minus the number of a signal.
        stdout: at most its last 16 KiB, as its output has returned them.
        stderr: the same.
    """

    code: int
    stdout: str
    stderr: str


async def run_group(
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: str,
    *,
    outputs: tuple[Output, Output] = (NOWHERE, NOWHERE),
    grace: float = GRACE,
    started: Callable[[int], None] = lambda _group: None,
) -> Ended:
    """Run a command to its end; whatever it started in its group ends with it.

    When this is cancelled, the group gets SIGTERM, and SIGKILL after ``grace`` seconds.

    Args:
        command: program and arguments.
        environment: all of its environment.
        directory: its working directory.
        outputs: take what it writes to stdout and to stderr.
        grace: seconds between SIGTERM and SIGKILL.
        started: told the number of the group.

    Raises:
        OSError: it cannot be started.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )
    )
    process, cancelled = await _settled(starting)
    assert process.stdout is not None
    assert process.stderr is not None
    tails = [_Tail(process.stdout, outputs[0]), _Tail(process.stderr, outputs[1])]
    readers = [asyncio.ensure_future(tail.read()) for tail in tails]
    try:
        started(process.pid)
        if cancelled:
            raise asyncio.CancelledError  # noqa: TRY301 - the same path as that of a cancel a moment later
        await _exit_of(process)
    except asyncio.CancelledError:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(_exit_of(process), grace)
        raise
    finally:
        # also when the command itself has ended: what it left in the background goes with it
        _signal_group(process.pid, signal.SIGKILL)
        # somebody who left the group may hold the pipes open for ever
        await asyncio.wait(readers, timeout=_LAST_OUTPUT)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        await _exit_of(process)
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - closes pipes held by others
    assert process.returncode is not None
    return Ended(process.returncode, tails[0].text(), tails[1].text())


async def _settled(starting: asyncio.Future[Process]) -> tuple[Process, bool]:
    """Return the process, and whether this task was cancelled while it started.

    It may be at work before asyncio has handed it out: a cancel in that moment must not kill it alone,
    without its group and its grace.
    """
    cancelled = False
    while not starting.done():
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            cancelled = True
        except OSError:
            break
    return starting.result(), cancelled


async def _exit_of(process: Process) -> None:
    """Wait for the exit itself: some versions of `Process.wait` also wait for the end of its pipes."""
    waiter = asyncio.ensure_future(process.wait())
    try:
        while process.returncode is None:
            await asyncio.wait({waiter}, timeout=_LOOK_EVERY)
    finally:
        waiter.cancel()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Tail:
    """Passes a stream on and keeps its end; reads all of it, so the writer is never blocked."""

    def __init__(self, stream: asyncio.StreamReader, output: Output) -> None:
        self._stream = stream
        self._output = output
        self._data = bytearray()

    async def read(self) -> None:
        while chunk := await self._stream.read(_READ_BYTES):
            self._keep(self._output.feed(chunk))
            if len(chunk) >= _READ_BYTES:
                # a flood: it is slowed to some 60 MB a second, as others want the loop, too
                await asyncio.sleep(_BREATH)

    def _keep(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > TAIL_BYTES:
            del self._data[:-TAIL_BYTES]

    def text(self) -> str:
        self._keep(self._output.close())
        return self._data.decode("utf-8", "replace").replace("\x00", "\\x00")
