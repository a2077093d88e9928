"""A TCP relay in front of a server that goes deaf: it keeps connections open, and passes nothing on."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Relay:
    """Relays connections to the server of a URL, which may go away and come back.

    Attributes:
        url: the same database through the relay.
    """

    def __init__(self, url: str) -> None:
        given = conninfo_to_dict(url)
        self._server = f"{given['host']}/.s.PGSQL.{given.get('port') or 5432}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._deaf = False
        self._lost: set[int] = set()
        self._open: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._lock = threading.Lock()
        self._numbers = 0
        self.url = make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for pair in self._open.values():
                _close(*pair)

    def go_deaf(self) -> None:
        """From now on nothing passes, on new connections neither; nobody is told."""
        with self._lock:
            self._deaf = True
            self._lost |= set(self._open)

    def hear(self) -> None:
        """New connections work again; those of before stay silent."""
        with self._lock:
            self._deaf = False

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._server)
            except OSError:
                # the server is down: so is this connection
                _close(client, server)
                continue
            with self._lock:
                self._numbers += 1
                number = self._numbers
                self._open[number] = (client, server)
                if self._deaf:
                    self._lost.add(number)
            for source, sink, hides in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(number, source, sink, hides), daemon=True).start()

    def _pump(self, number: int, source: socket.socket, sink: socket.socket, hides: bool) -> None:  # noqa: FBT001 - one of two directions
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if number not in self._lost:
                    sink.sendall(data)
        if hides and number in self._lost:
            # the client of a lost connection learns nothing, not even that the server has closed it
            return
        with self._lock:
            self._open.pop(number, None)
            self._lost.discard(number)
        _close(source, sink)


def _close(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
