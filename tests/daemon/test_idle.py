"""What a worker sends while it has nothing to do, counted by the server."""

from __future__ import annotations

import time

import pytest

CALLS = """
    select funcname::text, calls from pg_stat_user_functions where schemaname = 'tributary' and calls > 0
"""
LAST = """
    select coalesce(max(query_start), '-infinity') from pg_stat_activity
    where datname = current_database() and application_name ~ '^trib .*/'
"""
RESTED = """
    select coalesce(min(clock_timestamp() - state_change) > interval '12 s', false) from pg_stat_activity
    where datname = current_database() and application_name ~ '^trib .*/'
"""
SECONDS = 8.0
TENTH = frozenset({"sample_queues", "sweep_groups"})  # what the leader does once in ten seconds
NESTED = frozenset({"supervise", "attend", "lead", "queue_opens", "queue_held"})


@pytest.fixture
def counted(desk):
    """Let the server count the calls of functions in this test's database."""
    name = desk.one("select quote_ident(current_database())")[0]
    desk.sql.execute(f"alter database {name} set track_functions = 'pl'")
    return desk


def calls(desk):
    return dict(desk.sql.execute(CALLS).fetchall())


def test_an_idle_worker_sends_less_than_two_statements_a_second(counted, crew):
    """Load can only make them fewer: none of them is repeated sooner for being late."""
    worker = crew(processes=4)
    counted.wait(lambda: len(counted.pids()) == 4, 30, "four processes")
    run = counted.submit("t.note.v1")
    counted.until(run, "completed")
    # a connection that rests reports what it did within 10 s; by then the leader has settled, too
    counted.wait(lambda: counted.one(RESTED)[0], 60, "what its processes did at their start is counted")
    before, spoke, began = calls(counted), counted.one(LAST)[0], time.monotonic()
    time.sleep(SECONDS)
    after, took = calls(counted), time.monotonic() - began
    sent = {name: count - before.get(name, 0) for name, count in after.items() if name not in NESTED}
    # the server learns of a call up to a second after it
    assert sum(sent.values()) / (took + 2) < 2, sent
    assert {name for name, count in sent.items() if count} - TENTH == {"beat_worker", "attend_work"}
    assert all(sent.get(name, 0) <= 2 for name in TENTH)
    assert counted.one(LAST)[0] == spoke, "its processes say nothing at all"
    assert worker.stop() == 0
