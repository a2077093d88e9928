"""What it costs to be observed: two workers side by side, one of them scraped or traced."""

from __future__ import annotations

import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from bench import load, product, shapes
from bench.scenario import Outcome, scenario
from bench.side_by_side import Side, filled, pair, prepare, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS: Final = 10
WAYS: Final = ("bare", "scraped", "traced")
BAR: Final = 3


class Scraper(load.Beside):
    """Asks a worker for its metrics every second, as Prometheus would do at its shortest.

    Attributes:
        pages: that it has got.
    """

    def __init__(self, url: str, port: int) -> None:
        super().__init__(url)
        self._port = port
        self.pages = 0

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                connection.request("GET", "/metrics")
                answer = connection.getresponse()
                self.pages += answer.status == http.client.OK and b"tributary_slots" in answer.read()
            finally:
                connection.close()


class Collector:
    """Takes what is exported, and drops it.

    Attributes:
        size: bytes that have come.
    """

    def __init__(self) -> None:
        collector = self
        self.size = 0

        class Taker(BaseHTTPRequestHandler):
            # connections stay open, as those to collectors do
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                collector.size += len(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Observed(Side):
    """A worker that is scraped or traced, or neither."""

    def __init__(self, url: str, way: str) -> None:
        super().__init__(url, {})
        self._way = way
        self._sign: Callable[[], int] | None = None

    def __enter__(self) -> Self:
        port = _free_port()
        if self._way == "scraped":
            self.given = {"TRIB_HEALTH_LISTEN": f"127.0.0.1:{port}"}
        elif self._way == "traced":
            collector = self._open.enter_context(Collector())
            self._sign = lambda: collector.size
            self.given = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.01",
            }
        super().__enter__()
        if self._way == "scraped":
            scraper = self._open.enter_context(Scraper(self.url, port))
            self._sign = lambda: scraper.pages
        return self

    def begun(self) -> bool:
        """Return whether a page of metrics, or a span, has come; where nobody listens, that is so."""
        return self._sign is None or self._sign() > 0


@scenario(
    "observers",
    short={"count": 200_000, "runs": 12_000, "rounds": 2},
    # what is looked for is less than two minutes of one machine differ: many pairs tell more than long ones
    full={"count": 200_000, "runs": 12_000, "rounds": 12},
)
def observers(at: str, *, count: int, runs: int, rounds: int) -> Outcome:
    """What attempts cost with `/metrics` scraped every second, with one in a hundred traced, with neither."""
    works = {
        "intents": filled(at, "intents", lambda url: load.ready(url, count)),
        "chains": filled(at, "chains", lambda url: product.submit(url, shapes.chain(STEPS), runs)),
    }
    prepare(at, 2 * max(count, runs * STEPS))
    costs: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for way in WAYS:
            for what, name in works.items():
                sides = (lambda url: Observed(url, "bare"), lambda url, way=way: Observed(url, way))
                costs.setdefault(f"{what}, {way}", []).append(pair(at, number, (name, name), sides))
    notes = [
        f"Two workers of one process drain at the same time; chains have {STEPS} steps.",
        "What is lost between two that are both bare is what cannot be told apart.",
        "CPU is that of a worker and its connections in the server, without the scraper and the collector.",
        "The second after the first page or span is not in it: clients of either are imported then.",
    ]
    return Outcome(rows_of(costs, "bare", BAR), {"costs": costs}, notes=notes)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
