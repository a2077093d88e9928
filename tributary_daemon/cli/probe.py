"""One question to a health endpoint, over a bare socket: probes come often and must be quick."""

from __future__ import annotations

import json
import re
import socket
import time
from dataclasses import dataclass
from typing import Any, Final

from tributary_daemon.config.values import Refused, host_and_port
from tributary_daemon.errors import ConfigError

_URL: Final = re.compile(r"http://(?P<address>[^/?#@\s]+)(?P<path>/[^?#\s]*)?(?:[?#]\S*)?", re.IGNORECASE)
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - translated, not listened on
_MOST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said.

    Attributes:
        status: of HTTP; None when nobody answered.
        document: the JSON object it sent.
        fault: why there is no document.
    """

    status: int | None
    document: dict[str, Any]
    fault: str | None = None

    @property
    def well(self) -> bool:
        """Whether the answer is yes."""
        return self.status == 200  # noqa: PLR2004 - HTTP's OK


def target(text: str, path: str) -> tuple[str, int, str]:
    """Return host, port and path of a URL, or of ``HOST:PORT``; ``path`` where it names none.

    Raises:
        ConfigError: it is neither, or the port is only known to the worker.
    """
    url = _URL.fullmatch(text if "://" in text else f"http://{text}")
    address, given = (url["address"], url["path"] or "") if url else ("", "")
    try:
        host, port = host_and_port(address if re.search(r":[0-9]+$", address) else f"{address}:80")
    except Refused:
        raise ConfigError(
            f"{text!r} is no address of a health endpoint", hint="http://HOST:PORT/readyz, or HOST:PORT"
        ) from None
    if port == 0:
        raise ConfigError(
            f"{text}: the worker chose its port when it started",
            hint="give the URL that its log names, or a fixed port in TRIB_HEALTH_LISTEN",
        )
    return _ANYWHERE.get(host, host), port, path if given in ("", "/") else given


def ask(host: str, port: int, path: str, timeout: float) -> Answer:
    """Ask once; whoever does not answer within ``timeout`` seconds is not there."""
    deadline = time.monotonic() + timeout
    name = f"[{host}]" if ":" in host else host
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {name}:{port}\r\n\r\n".encode())
            reply = b""
            while len(reply) < _MOST_BYTES:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                data = connection.recv(65_536)
                if not data:
                    break
                reply += data
    except OSError as error:
        return Answer(None, {}, error.strerror or str(error))
    return _read(reply)


def _read(reply: bytes) -> Answer:
    head, _, body = reply.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/[0-9.]+ ([0-9]{3})\b", head)
    if status is None:
        return Answer(None, {}, "what answers there does not speak HTTP")
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return Answer(int(status[1]), {}, "what answers there is no worker")
    return Answer(int(status[1]), document)
