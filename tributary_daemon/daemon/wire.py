"""What a process and its isolated ones say to each other: pickled messages over a socket pair."""

from __future__ import annotations

import pickle
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tributary_daemon.daemon.chunks import Chunk
    from tributary_daemon.daemon.held import Held
    from tributary_daemon.daemon.setup import ProcessSetup
    from tributary_daemon.model.outcome import Outcome

NOT_IMPORTABLE: Final = "not_importable"
"""Reason of an attempt whose handler is not found in a process of its own."""
_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True, slots=True)
class Order:
    """What the isolated process is to do."""

    setup: ProcessSetup
    held: Held
    memory: int | None


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
class Answer:
    """The end; None when the attempt finished itself on its own connection."""

    outcome: Outcome | None


def send(end: socket.socket, message: Any) -> None:
    """Send one message."""
    data = pickle.dumps(message)
    end.sendall(_LENGTH.pack(len(data)) + data)


def receive(end: socket.socket, patience: float | None) -> Any:
    """Return the next message; None when none has begun to come within ``patience`` seconds.

    Raises:
        EOFError: the other side is gone.
    """
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
    return pickle.loads(data)  # noqa: S301 - from our own child, which runs with our own rights
