"""What it costs to be observed: two workers side by side, one of them scraped or traced.

From one drain to the next a shared machine is a third faster or slower, far more than what is looked for. So
the two drain at the same time, each a database of its own on the same server, and what counts is what an
attempt costs either: its processes and their connections. Where all cores are taken that is the rate lost.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from bench import load, product, shapes
from bench.processes import children, cpu_seconds
from bench.scenario import Outcome, row, scenario
from bench.server import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import psycopg

STEPS: Final = 10
WAYS: Final = ("bare", "scraped", "traced")
BAR: Final = 3
_BACKENDS = """
    select array_agg(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'trib %'
"""
# the server's own statistics are up to a second old
_FINISHED = "select count(*) from tributary.steps where state = 'completed'"


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


class Side:
    """A worker of one process on a database of its own.

    Attributes:
        sign: what has been heard of it: pages of metrics, bytes of spans; None where nobody listens.
    """

    def __init__(self, url: str, way: str) -> None:
        self._url, self._way = url, way
        self._open = ExitStack()
        self._sql: psycopg.Connection
        self._pid = 0
        self.sign: Callable[[], int] | None = None

    def __enter__(self) -> Self:
        asked, port = {}, _free_port()
        if self._way == "scraped":
            asked = {"TRIB_HEALTH_LISTEN": f"127.0.0.1:{port}"}
        elif self._way == "traced":
            collector = self._open.enter_context(Collector())
            self.sign = lambda: collector.size
            asked = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG": "0.01",
                "OTEL_BSP_SCHEDULE_DELAY": "1000",
            }
        self._sql = self._open.enter_context(load.opened(self._url))
        with environment(asked):
            self._pid = self._open.enter_context(product.worker(self._url, 1))
        if self._way == "scraped":
            scraper = self._open.enter_context(Scraper(self._url, port))
            self.sign = lambda: scraper.pages
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def used(self) -> tuple[float, float]:
        """Return the attempts that it has finished, and the seconds of CPU that it and its backends used."""
        attempts = load.number(self._sql, _FINISHED)
        backends = self._sql.execute(_BACKENDS).fetchall()[0][0]
        return attempts, cpu_seconds([self._pid, *children(self._pid), *backends])

    def at_its_end(self) -> bool:
        """Return whether it has nothing left to do."""
        return self._sql.execute(load.NOTHING_LEFT.encode()).fetchall()[0][0] is True


@scenario(
    "observers",
    short={"count": 150_000, "runs": 9_000, "rounds": 2},
    # what is looked for is less than two minutes of one machine differ: many pairs tell more than long ones
    full={"count": 150_000, "runs": 9_000, "rounds": 12},
)
def observers(at: str, *, count: int, runs: int, rounds: int) -> Outcome:
    """What attempts cost with `/metrics` scraped every second, with one in a hundred traced, with neither."""
    costs: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for way in WAYS:
            for what in ("intents", "chains"):
                # neither is the first one every time, nor on the database that was filled first; a database
                # that is made is a checkpoint, after which those that are there log whole pages
                left, right = [product.database(at, name=f"bench_{side}") for side in ("left", "right")]
                for url in (left, right):
                    _fill(url, what, count, runs)
                urls = (left, right) if number % 2 == 0 else (right, left)
                sides = Side(urls[0], "bare"), Side(urls[1], way)
                found = _beside(sides if number % 4 < 2 else sides[::-1])
                costs.setdefault(f"{what}, {way}", []).append(found if number % 4 < 2 else found[::-1])
    rows = []
    for name, pairs in costs.items():
        lost = [100 * (1 - bare / observed) for bare, observed in pairs]
        rows += [
            row(f"CPU of an attempt, {name}", [observed for _, observed in pairs], "us"),
            row(f"rate lost, {name}", lost, "%", at_most=None if name.endswith("bare") else BAR),
        ]
    notes = [
        f"Two workers of one process drain at the same time; chains have {STEPS} steps.",
        "What is lost between two that are both bare is what cannot be told apart.",
        "CPU is that of a worker and its connections in the server, without the scraper and the collector.",
        "The second after the first page or span is not in it: clients of either are imported then.",
    ]
    return Outcome(rows, {"costs": costs}, notes=notes)


def _beside(sides: tuple[Side, Side]) -> tuple[float, float]:
    """Return the microseconds of CPU that an attempt costs each of two, while both have work."""
    with sides[0], sides[1]:
        product.wait(
            lambda: all(side.sign is None or side.sign() > 0 for side in sides), 30, "a sign of both"
        )
        time.sleep(1)
        before = [side.used() for side in sides]
        product.wait(lambda: any(side.at_its_end() for side in sides), product.PATIENCE, "the end of one")
        after = [side.used() for side in sides]
    costs = [
        1e6 * (cpu - cpu_before) / (attempts - attempts_before)
        for (attempts_before, cpu_before), (attempts, cpu) in zip(before, after, strict=True)
    ]
    return costs[0], costs[1]


def _fill(url: str, what: str, count: int, runs: int) -> None:
    if what == "intents":
        load.ready(url, count)
    else:
        product.submit(url, shapes.chain(STEPS), runs)
    settle(url, analyze=True, checkpoint=False)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
