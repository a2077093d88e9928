"""A way to a database that can be shut and opened again."""

from __future__ import annotations

import contextlib
import socket
import threading

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Gate:
    """A TCP proxy of one server. Shut, it cuts what is open and refuses what is new: the server is down."""

    def __init__(self, url):
        given = conninfo_to_dict(url)
        host, port = str(given["host"]), given.get("port") or 5432
        self._family = socket.AF_UNIX if host.startswith("/") else socket.AF_INET
        self._target = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._ends = []
        self._pumps = []
        self._shut = False
        self.url = make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._thread, *self._pumps):
            thread.join(10)
        for end in self._ends:
            end.close()

    def shut(self):
        with self._lock:
            self._shut = True
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def open(self):
        with self._lock:
            self._shut = False

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._shut:
                    client.close()
                    continue
                server = socket.socket(self._family)
                server.connect(self._target)
                self._ends += [client, server]
            for source, sink in ((client, server), (server, client)):
                pump = threading.Thread(target=_pump, args=(source, sink), daemon=True)
                self._pumps.append(pump)
                pump.start()


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    # the other half sees the end too
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
