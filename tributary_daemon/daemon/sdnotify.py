"""Messages to systemd, or to any service manager that speaks its protocol, over $NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXTENDS_BY: Final = 15.0
_EXTENDS_EVERY: Final = 5.0


class ServiceManager:
    """Tells the service manager how the worker does; nothing happens where there is none.

    Args:
        environ: the environment, with NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every = _watchdog(environ)
        self._watchdog_at = 0.0
        self._extend_at = 0.0
        self._status = ""

    @property
    def listens(self) -> bool:
        """Whether there is a service manager."""
        return bool(self._address)

    @property
    def watchdog_every(self) -> float | None:
        """Seconds between two signs that the manager's watchdog wants; None when it has none."""
        return self._every

    def ready(self) -> None:
        """The worker claims."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say what goes on, one line; the same text is sent once."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """The worker makes progress; sent as often as the watchdog asks for."""
        now = time.monotonic()
        if self._every is not None and now >= self._watchdog_at:
            self._watchdog_at = now + self._every
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The worker drains."""
        self._send("STOPPING=1")

    def extend(self) -> None:
        """The drain goes on as planned: do not kill the worker for the next 15 s."""
        now = time.monotonic()
        if now >= self._extend_at:
            self._extend_at = now + _EXTENDS_EVERY
            self._send(f"EXTEND_TIMEOUT_USEC={int(_EXTENDS_BY * 1_000_000)}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # a manager that restarts asks again by its own means
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end, suppress(OSError):
            end.setblocking(False)
            end.sendto(message.encode(), self._address)


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Return half of the watchdog's time; None when it is not meant for this process."""
    wanted = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID") or str(os.getpid())
    if not wanted.isdigit() or int(wanted) == 0 or meant != str(os.getpid()):
        return None
    return int(wanted) / 2_000_000
