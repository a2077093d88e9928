"""What an attempt costs its process, in calls: they can be counted, where a clock measures the machine."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from pydantic import BaseModel

import tributary_daemon
from tributary_daemon import Client, Worker, handler

PACKAGE = str(Path(tributary_daemon.__file__).parent)
COUNT = 1_000
# a call is a tenth of a microsecond and more among busy threads, and an attempt takes fifteen
MOST = 40


class Number(BaseModel):
    i: int


@pytest.fixture
def calls():
    """The functions of the package that threads have called which were started meanwhile."""
    called = []

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            # from many threads: an append is not interrupted, a count would be
            called.append(frame.f_code)

    threading.setprofile(note)
    yield called
    threading.setprofile(None)


def test_an_attempt_costs_few_calls(database, monkeypatch, eventually, calls):
    monkeypatch.setenv("TRIB_LOG_LEVEL", "error")

    @handler("calls.noop.v1")
    def noop(args: Number) -> Number:
        return args

    with Client(database) as client, psycopg.connect(database, autocommit=True) as sql:
        client.submit_many("calls.noop.v1", [{"i": i} for i in range(COUNT)])

        def ended():
            done = "select count(*) from tributary.steps where state = 'completed' and attempt = 1"
            return sql.execute(done).fetchone() == (COUNT,)

        with Worker(client, drain_timeout=10):
            eventually(ended, 60)
    # what is done for a batch is no whole call of each of its attempts
    each = Counter({code: round(times / COUNT) for code, times in Counter(calls).items()})
    assert each.total() > MOST / 2
    assert each.total() <= MOST, "\n".join(f"{n} {code.co_qualname}" for code, n in each.most_common() if n)
