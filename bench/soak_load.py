"""The steady load of a soak: intents, runs, retries, fan-outs and a schedule, all with payloads of 1 KB."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.types.json import Jsonb

from tributary_daemon import Client

if TYPE_CHECKING:
    from typing import Self

WORKFLOW = Path(__file__).with_name("soak.yaml")
_TEXT = "tributary " * 100  # 1 KB
_FLAKY = 10  # every so many intents fail at first
_RUNS = 20  # for so many intents there is a run, of ten steps
_TICK = "select tributary.schedule_intent('soak.tick', '*/5 * * * * *', 'soak.note.v1', %s)"
_PAUSE = 0.1


class Load:
    """A thread that submits at a steady rate; what it cannot submit in time it makes up for.

    Args:
        url: the database.
        rate: intents per second.

    Attributes:
        intents: submitted so far.
        runs: submitted so far.
    """

    def __init__(self, url: str, rate: float) -> None:
        self.intents = 0
        self.runs = 0
        self._url = url
        self._rate = rate
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Self:
        with Client(self._url) as client:
            client.register(str(WORKFLOW))
        with psycopg.connect(self._url, autocommit=True) as sql:
            sql.execute(_TICK, (Jsonb({"n": 0, "text": _TEXT}),))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Make sure that it goes on.

        Raises:
            RuntimeError: a submit failed.
        """
        if self._failure is not None:
            raise RuntimeError("the load has ended") from self._failure

    def _run(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True, application_name="soak load") as sql:
                began = time.monotonic()
                while not self._stop.wait(_PAUSE):
                    due = int((time.monotonic() - began) * self._rate)
                    while self.intents < due:
                        self._one(sql)
        except BaseException as error:  # noqa: BLE001 - check() raises it
            self._failure = error

    def _one(self, sql: psycopg.Connection) -> None:
        n = self.intents
        name = "soak.flaky.v1" if n % _FLAKY == 0 else "soak.note.v1"
        sql.execute("select tributary.submit_intent(%s, %s)", (name, Jsonb({"n": n, "text": _TEXT})))
        self.intents += 1
        if n % _RUNS == 0:
            inputs = Jsonb({"n": n, "text": _TEXT})
            sql.execute("select tributary.submit_workflow('soak.mixed.v1', %s)", (inputs,))
            self.runs += 1
