"""A TCP relay in front of a server that can swallow everything: the peers believe that they are connected."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Relay:
    """Relays connections to the server of a URL.

    Attributes:
        url: the same database through the relay.
        opened_since_swallowing: connections that were opened after `swallow`.
    """

    def __init__(self, url: str) -> None:
        given = conninfo_to_dict(url)
        host, port = str(given["host"]), int(given.get("port") or 5432)
        self._unix = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else None
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._generation = 0
        self._ends: list[socket.socket] = []
        self.opened_since_swallowing = 0
        self.url = make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def swallow(self) -> None:
        """From now on nothing passes on the connections that are open; new ones work."""
        self._generation += 1

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._unix is None:
                server = socket.create_connection(self._target)
            else:
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._unix)
            self._ends += [client, server]
            if self._generation:
                self.opened_since_swallowing += 1
            for source, sink in ((client, server), (server, client)):
                threading.Thread(
                    target=self._pump, args=(source, sink, self._generation), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, generation: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if generation == self._generation:
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
