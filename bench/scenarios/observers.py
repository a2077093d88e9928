"""What it costs to be observed: the same drains with scraped metrics, with traces, with neither."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from bench import load, product, shapes
from bench.scenario import Outcome, row, scenario
from bench.server import settle
from tributary_daemon import Client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STEPS: Final = 10
WAYS: Final = ("bare", "scraped", "traced")


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
            def do_POST(self) -> None:
                collector.size += len(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
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


@contextmanager
def environment(given: Mapping[str, str]) -> Iterator[None]:
    """Have workers see these variables meanwhile."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@scenario(
    "observers",
    short={"count": 100_000, "runs": 4_000, "rounds": 2},
    full={"count": 200_000, "runs": 10_000, "rounds": 5},
)
def observers(at: str, *, count: int, runs: int, rounds: int) -> Outcome:
    """Drain rates with `/metrics` scraped every second, with one in a hundred traced, and with neither."""
    rates: dict[str, list[float]] = {}
    seen = {"pages": 0, "bytes": 0}
    for number in range(rounds):
        for way in WAYS[number % 3 :] + WAYS[: number % 3]:
            drained = _drain(_intents(at, count), count, way, seen)
            rates.setdefault(f"intents, {way}", []).append(drained)
            drained = _drain(_chains(at, runs), runs * STEPS, way, seen)
            rates.setdefault(f"chains, {way}", []).append(drained)
    rows = [row(f"drain rate, {name}", found, "/s") for name, found in rates.items()]
    for what in ("intents", "chains"):
        for way in WAYS[1:]:
            pairs = zip(rates[f"{what}, bare"], rates[f"{what}, {way}"], strict=True)
            lost = [100 * (1 - there / here) for here, there in pairs]
            rows.append(row(f"rate lost, {what} {way}", lost, "%", at_most=3))
    notes = [
        f"Chains have ten steps. {seen['pages']} pages were scraped, {seen['bytes']} bytes of spans came.",
        "The collector drops them on the machine of the worker: what it computes is taken from the worker.",
        "One machine varies by more than these bars from run to run: the median of many rounds counts.",
    ]
    return Outcome(rows, {"rates": rates, "seen": seen}, notes=notes)


def _drain(url: str, most: int, way: str, seen: dict[str, int]) -> float:
    if way == "scraped":
        port = _free_port()
        scraper = Scraper(url, port)
        with environment({"TRIB_HEALTH_LISTEN": f"127.0.0.1:{port}"}):
            rate = load.drain_rate(url, most, beside=scraper)
        seen["pages"] += scraper.pages
        return rate
    if way == "traced":
        with Collector() as collector:
            asked = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.01",
            }
            with environment(asked):
                rate = load.drain_rate(url, most)
        seen["bytes"] += collector.size
        return rate
    return load.drain_rate(url, most)


def _intents(at: str, count: int) -> str:
    url = product.database(at)
    with Client(url) as client:
        client.submit_many("bench.noop.v1", ({"i": number} for number in range(count)))
    settle(url, analyze=True, checkpoint=False)
    return url


def _chains(at: str, runs: int) -> str:
    url = product.shaped(at, shapes.chain(STEPS), runs)
    settle(url, analyze=True, checkpoint=False)
    return url


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
