"""A worker that begins to wait misses nobody who submits at that moment."""

from __future__ import annotations

import pytest

from tributary_daemon import Worker
from tributary_daemon.app import Client
from tributary_daemon.daemon import supervisor as module
from tributary_daemon.daemon.family import Family


@pytest.fixture
def slow(desk, monkeypatch):
    """A client whose workers poll so rarely that a missed submit shows."""
    monkeypatch.chdir(desk.home)
    monkeypatch.setenv("TRIB_DATABASE_URL", desk.url)
    monkeypatch.setenv("TRIB_POLL_INTERVAL", "4s")
    monkeypatch.setenv("TRIB_BEAT", "4s")
    with Client(desk.url) as client:
        yield client


def test_a_submit_between_the_look_and_the_commit_of_the_beat_that_asks_for_wake_ups(desk, slow, monkeypatch):
    submitted = []
    real = module.membership.beat_worker

    def beat(connection, *args, wants_wake, **named):
        if not wants_wake or not armed or submitted:
            return real(connection, *args, wants_wake=wants_wake, **named)
        with connection.transaction():
            pulse = real(connection, *args, wants_wake=True, **named)
            # the look is over, and nobody can see yet that there is one who waits
            submitted.append(desk.submit("trib.noop.v1"))
        return pulse

    armed, saturated = [], []
    monkeypatch.setattr(module.membership, "beat_worker", beat)
    monkeypatch.setattr(Family, "saturated", property(lambda _: bool(saturated)))
    waiting = "select wants_wake from tributary.workers"
    with Worker(slow, name="late"):
        desk.until(desk.submit("trib.noop.v1"), "completed")
        saturated.append(True)
        desk.wait(lambda: desk.one(waiting) == (False,), 20, "it waits no more")
        armed.append(True)
        saturated.clear()
        desk.wait(lambda: submitted, 20, "it waits again")
        desk.until(submitted[0], "completed")
    took = "select extract(epoch from claimed_at - created_at) from tributary.steps where run_id = %s"
    assert desk.one(took, submitted[0])[0] < 2
