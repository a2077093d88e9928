"""What has ended with traced attempts is looked for in the rhythm of looks, not in that of attempts."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from tributary_daemon.daemon import span_looks
from tributary_daemon.daemon.setup import ProcessSetup
from tributary_daemon.daemon.span_looks import SpanLooks
from tributary_daemon.store.spans import Noted

EVERY = 0.3


@pytest.fixture
def looks(monkeypatch):
    """Looks that ask no database; ``asked`` has what each would have asked for."""
    monkeypatch.setattr(span_looks, "EVERY", EVERY)
    made = SpanLooks(ProcessSetup(url="nowhere", label="w/1"), lambda *_: None)
    made.asked = []

    def ask(_shard, noted):
        made.asked.append(list(noted))
        return set()

    monkeypatch.setattr(made, "_ask", ask)
    yield made
    made.close()


def attempt(number, shard=0):
    return SimpleNamespace(shard=shard, run_id="r", ordinal=number, seq=number)


def ordinals(asked):
    return [one.ordinal for noted in asked for one in noted]


def test_attempts_that_follow_each_other_share_a_look(looks, eventually):
    began = time.monotonic()
    for number in range(200):
        looks.note(attempt(number))
        time.sleep(0.005)
    eventually(lambda: len(ordinals(looks.asked)) == 200, 10, "all are looked for")
    # had each of them woken the thread there would be as many as attempts
    assert 1 <= len(looks.asked) <= (time.monotonic() - began) / EVERY + 1
    assert ordinals(looks.asked) == list(range(200))


def test_nothing_is_asked_before_the_first_attempt_and_the_rest_at_the_end(looks):
    assert looks._thread is None
    looks.note(attempt(1))
    looks.note(attempt(2, shard=3))
    looks.close()
    assert looks.asked == [[Noted(0, "r", 1, 1)], [Noted(3, "r", 2, 2)]]
    assert not looks._thread.is_alive()
