"""A client on the test's own database, and a worker of a few lines that needs no daemon."""

from __future__ import annotations

import json

import psycopg
import pytest

from tributary_daemon import app, events
from tributary_daemon.client import awaited


@pytest.fixture
def client(database):
    with app.Client(database) as opened:
        yield opened


class Hand:
    """A worker by hand: offers names, claims what is ready, finishes it as told."""

    def __init__(self, url):
        self._connection = psycopg.connect(url, autocommit=True)
        self.process = None

    def offer(self, *names):
        self.process = self._one(
            "select tributary.register_process('hand', 'python', %s, 4711)", [list(names)]
        )
        self.names = list(names)

    def sql(self, text, params=()):
        cursor = self._connection.execute(text, params)
        return cursor.fetchall() if cursor.description else []

    def claim(self):
        """Claim one row straight in the table, as a claim would leave it."""
        rows = self.sql(
            """
            update tributary.steps s
            set state = 'running', attempt = attempt + 1, process_id = %s,
                claimed_at = tributary.clock(), reason = null
            where ctid = (select ctid from tributary.steps where state = 'available'
                          order by priority desc, seq limit 1)
            returning run_id, ordinal, seq
            """,
            [self.process],
        )
        return rows[0] if rows else None

    def finish(self, row, outcome, *, result=None, error=None, delay=None):
        """Write down what an attempt led to, as a process would; return the refused tokens."""
        run_id, ordinal, seq = row
        return self.sql(
            """
            select * from tributary.finish_steps(
                tributary.shard_of(%s::uuid), %s, array[%s]::uuid[], array[%s]::integer[],
                array[%s]::bigint[], array[%s]::text[],
                array[%s]::text[], array[%s]::text[], array[%s]::float8[], array[0.0]::float8[],
                true, '{}', '{}', 0)
            """,
            [
                run_id,
                self.process,
                run_id,
                ordinal,
                seq,
                outcome,
                None if result is None else json.dumps(result),
                None if error is None else json.dumps(error),
                delay,
            ],
        )

    def close(self):
        self._connection.close()

    def _one(self, text, params):
        return self.sql(text, params)[0][0]


@pytest.fixture
def hand(database):
    worker = Hand(database)
    yield worker
    worker.close()


DIAMOND = """
name: test.diamond.v1
steps:
  top: {task: test.a.v1}
  left: {task: test.a.v1, needs: top}
  right: {task: test.a.v1, needs: top, continue_on_error: true}
  bottom: {task: test.a.v1, needs: [left, right]}
  alone: {task: test.a.v1}
"""


@pytest.fixture
def diamond(tmp_path):
    path = tmp_path / "diamond.yaml"
    path.write_text(DIAMOND)
    return path


@pytest.fixture
def emitted():
    found = []
    detach = events.attach(found.append)
    yield found
    detach()


@pytest.fixture
def slow_polls(monkeypatch):
    """Whoever ends soon was told: polls would come in a minute at the earliest."""
    for name in ("FIRST_POLL", "SLOWEST_POLL", "BACKSTOP"):
        monkeypatch.setattr(awaited, name, 60.0)
