"""The health and the metrics of a worker over HTTP: three GETs, answered by threads that hold up nobody."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from contextlib import contextmanager, nullcontext, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final

from tributary_daemon import events
from tributary_daemon.config.values import host_and_port
from tributary_daemon.daemon import health
from tributary_daemon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tributary_daemon.daemon.health import Health, HealthReport, Verdict
    from tributary_daemon.daemon.metrics import Metrics

REQUEST_WITHIN: Final = 5.0
MOST_BYTES: Final = 16_384
MOST_CONNECTIONS: Final = 32
_LINE: Final = 4_096

_PATHS: Final[dict[str, Callable[[HealthReport, float], Verdict]]] = {
    "/healthz": health.live,
    "/readyz": health.ready,
}
_METRICS: Final = "/metrics"
_JSON: Final = "application/json; charset=utf-8"


@contextmanager
def serving(listen: str | None, health: Health, metrics: Metrics | None = None) -> Iterator[None]:
    """Answer questions about health while the block runs; does nothing without an address.

    Args:
        listen: ``HOST:PORT``; port 0 for a free one, which the log names.
        health: where the supervisor publishes.
        metrics: of the worker; none are told if omitted.

    Raises:
        ConfigError: the address cannot be used.
    """
    if listen is None:
        yield
        return
    server = HealthServer(listen, health, metrics)
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    events.emit(events.HealthServed(address=server.address))
    try:
        with metrics.attached() if metrics is not None else nullcontext():
            yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class HealthServer(ThreadingMixIn, TCPServer):
    """Listens; a thread for each connection, and when there are too many, the oldest is given up.

    What `http.server.ThreadingHTTPServer` adds to these two bases is a look-up of the host's name, which may
    take as long as a name server that is away.

    Args:
        listen: ``HOST:PORT``, ``[HOST]:PORT`` for IPv6.
        health: where the supervisor publishes.
        metrics: of the worker; none are told if omitted.

    Raises:
        ConfigError: the address cannot be used.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, listen: str, health: Health, metrics: Metrics | None = None) -> None:
        self.health = health
        self.metrics = metrics
        self._lock = threading.Lock()
        self._open: dict[socket.socket, None] = {}
        host, port = host_and_port(listen)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.address_family = found[0][0]
            # a scope, as of fe80::1%eth0, is part of what the system has found
            address: Any = found[0][4]
            super().__init__(address, _Handler)
        except OSError as error:
            raise ConfigError(
                f"health_listen: cannot listen on {listen}: {error.strerror or error}",
                hint="perhaps another worker has this port: give each one its own, or port 0 for a free one",
            ) from error

    @property
    def address(self) -> str:
        """Where it listens, as in a URL."""
        host, port = self.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own; who has been here longest makes room."""
        with self._lock:
            given_up = [] if len(self._open) < MOST_CONNECTIONS else [next(iter(self._open))]
            for oldest in given_up:
                del self._open[oldest]
            self._open[request] = None
        for oldest in given_up:
            # its thread sees the end of the connection and leaves
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def close_request(self, request: Any) -> None:
        """Forget a connection and close it."""
        with self._lock:
            self._open.pop(request, None)
        super().close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that went away is no event of this worker."""


class _Bounded(io.RawIOBase):
    """Reads a connection: so many bytes at most, and all of them before a deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + REQUEST_WITHIN
        self._left = MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the request took too long")
        if self._left <= 0:
            return 0
        self._connection.settimeout(remaining)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count


class _Handler(BaseHTTPRequestHandler):
    server: HealthServer
    connection: socket.socket

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Bounded(self.connection), 2_048)

    def handle(self) -> None:
        """Answer one request; the connection is not kept."""
        # whoever is too slow, or gone, gets no answer
        with suppress(OSError):
            self.close_connection = True
            self.raw_requestline = self.rfile.readline(_LINE + 1)
            if not self.raw_requestline:
                return
            self.requestline, self.request_version, self.command = "", "", ""
            if len(self.raw_requestline) > _LINE:
                self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            elif self.parse_request():
                self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        judge = _PATHS.get(path)
        metrics = self.server.metrics if path == _METRICS else None
        if judge is None and metrics is None:
            self._send(HTTPStatus.NOT_FOUND, {"error": "there are /healthz, /readyz and /metrics"})
        elif self.command not in {"GET", "HEAD"}:
            self._send(HTTPStatus.METHOD_NOT_ALLOWED, {"error": "GET or HEAD"}, {"Allow": "GET, HEAD"})
        elif metrics is not None:
            self._tell(metrics)
        elif judge is not None:
            verdict = judge(self.server.health.report, time.monotonic())
            self._send(HTTPStatus.OK if verdict.well else HTTPStatus.SERVICE_UNAVAILABLE, verdict.document)

    def _tell(self, metrics: Metrics) -> None:
        try:
            body, kind = metrics.page()
        except Exception as error:  # noqa: BLE001 - whoever scrapes is to see that it failed, and how
            # the log has what may not be for everybody's eyes
            events.emit(events.ProcessFailed(error=f"no metrics: {error!r}"))
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": f"no metrics: {type(error).__name__}"})
        else:
            self._write(HTTPStatus.OK, body, {"Content-Type": kind})

    def _send(self, status: HTTPStatus, document: dict[str, Any], more: dict[str, str] | None = None) -> None:
        body = json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"
        self._write(status, body, {"Content-Type": _JSON, **(more or {})})

    def _write(self, status: HTTPStatus, body: bytes, more: dict[str, str]) -> None:
        self.connection.settimeout(REQUEST_WITHIN)
        # the base sends nothing but the body to whoever has named no version
        self.request_version = "HTTP/1.0"
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
            **more,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - the base's face
        """Answer a malformed request in JSON, without repeating what was sent."""
        status = HTTPStatus(code)
        self._send(status, {"error": status.phrase})

    def version_string(self) -> str:
        """Name no versions to strangers."""
        return "trib"

    def log_message(self, *_: Any) -> None:
        """Log nothing: probes come every few seconds."""
