"""What a process and its isolated ones say to each other: pickled messages over a socket pair.

An isolated process gets whole objects from its own parent. What it answers is read by a closed list of
classes: a handler that was taken over in there builds nothing else, and calls nothing, in here.
"""

from __future__ import annotations

import io
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from tributary_daemon.daemon.chunks import Chunk, Piece
from tributary_daemon.model.outcome import ErrorRecord, Outcome

if TYPE_CHECKING:
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.setup import ProcessSetup

NOT_IMPORTABLE: Final = "not_importable"
"""Reason of an attempt whose handler is not found in a process of its own."""
_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Order:
    """What the isolated process is to do.

    Attributes:
        setup: of the process that holds the lease.
        held: the lease.
        memory: bytes that it may take; None for any number.
        traceparent: of the span that is to be current; None where nobody traces.
    """

    setup: ProcessSetup
    held: Held
    memory: int | None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """User code is about to run."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Progress, as JSON text."""

    details: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the attempt has said since the last such message."""

    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """The attempt wants a connection of its own; answered by `Granted` once there is room."""


@dataclass(frozen=True, slots=True)
class Granted:
    """It may open one."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The handler is done, and what it has opened is being closed; the rest as in `Answer`."""

    outcome: Outcome | None
    made: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The end; None when the attempt finished itself on its own connection.

    Attributes:
        made: the result of one that did, where it is to be kept in the step cache.
    """

    outcome: Outcome | None
    made: str | None = None


def send(end: socket.socket, message: Any) -> None:
    """Send one message."""
    data = pickle.dumps(message)
    end.sendall(_LENGTH.pack(len(data)) + data)


_ANSWERS: Final = {
    (kind.__module__, kind.__qualname__): kind
    for kind in (Started, Beat, Said, Ask, Closing, Answer, Chunk, Piece, ErrorRecord, *get_args(Outcome))
}


class _Closed(pickle.Unpickler):
    """Builds what an isolated process may say, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the classes of answers."""
        try:
            return _ANSWERS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an answer") from None


def receive(end: socket.socket, patience: float | None) -> Any:
    """Return the next message of the parent; None when none has begun to come within ``patience`` seconds.

    Raises:
        EOFError: the other side is gone.
    """
    data = _read(end, patience)
    return None if data is None else pickle.loads(data)  # noqa: S301 - from the process that started this one


def receive_answer(end: socket.socket, patience: float | None) -> Any:
    """Return the next message of an isolated process; otherwise as `receive`.

    Raises:
        EOFError: the other side is gone, or says what no isolated process says.
    """
    data = _read(end, patience)
    if data is None:
        return None
    try:
        return _Closed(io.BytesIO(data)).load()
    except Exception as error:  # whatever bytes that are no answer make of themselves
        raise EOFError(f"not an answer: {error}") from error


def _read(end: socket.socket, patience: float | None) -> bytes | None:
    end.settimeout(patience)
    try:
        head = end.recv(_LENGTH.size, socket.MSG_WAITALL)
    except TimeoutError:
        return None
    finally:
        end.settimeout(None)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = bytearray()
    while len(data) < length:
        more = end.recv(min(length - len(data), 1 << 20))
        if not more:
            raise EOFError
        data += more
    return bytes(data)
