"""Subscribers hear all there is room for, and break nothing: raising, blocking, slow, or not to be loaded."""

from __future__ import annotations

import threading
import time
from importlib import metadata

import pytest

from tributary_daemon import events
from tributary_daemon.errors import ConfigError
from tributary_daemon.events import ProcessStarted
from tributary_daemon.observers import subscribers
from tributary_daemon.observers.subscribers import EventsDropped, Subscriber, SubscriberFailed

EVENT = ProcessStarted(process="w/1", pid=7)


@pytest.fixture
def said():
    found = []
    detach = events.attach(found.append)
    yield found
    detach()


def test_it_hears_in_order_what_was_emitted_until_it_ends():
    heard = []
    end = subscribers.subscribe(heard.append)
    assert subscribers.anybody()
    for number in range(100):
        events.emit(ProcessStarted(process="w/1", pid=number))
    end()
    events.emit(EVENT)
    assert [event.pid for event in heard] == list(range(100))
    assert not subscribers.anybody()


def test_what_is_published_is_for_subscribers_alone(said):
    heard = []
    end = subscribers.subscribe(heard.append)
    subscribers.publish(EVENT)
    end()
    assert heard == [EVENT]
    assert said == []


def test_one_that_raises_is_said_once_and_counted(said):
    def broken(event):
        raise RuntimeError("observer is broken")

    heard = []
    ends = [subscribers.subscribe(broken, "broken"), subscribers.subscribe(heard.append)]
    for _ in range(10):
        subscribers.publish(EVENT)
    for end in ends:
        end()
    assert heard[:10].count(EVENT) + heard[10:].count(EVENT) == 10
    failed = [event for event in said if isinstance(event, SubscriberFailed)]
    assert failed[0] == SubscriberFailed("broken", "RuntimeError: observer is broken", 1)
    assert sum(event.times for event in failed) >= 10
    assert len(failed) <= 3


def test_one_that_blocks_loses_events_and_delays_nobody(said):
    gate = threading.Event()
    slow = Subscriber(lambda event: gate.wait(60), "slow", room=5)
    for _ in range(100):
        slow.put(EVENT)
    # the first was taken, or is the first of five that wait
    assert said == [EventsDropped("slow", 1)]
    slow.close(time.monotonic())
    dropped = sum(event.count for event in said)
    assert 94 <= dropped <= 100
    gate.set()


def test_what_is_named_is_loaded(tmp_path, monkeypatch, said):
    (tmp_path / "ears.py").write_text("heard = []\ndef listen(event): heard.append(event)\nwrong = 7\n")
    monkeypatch.chdir(tmp_path)
    end = subscribers.start(["./ears.py:listen", "all"])
    subscribers.publish(EVENT)
    end()
    from ears import heard  # noqa: PLC0415 - written above

    assert heard == [EVENT]
    assert subscribers.start(["off"])() is None
    for wrong, why in (
        ("./ears.py:nothing", "has no 'nothing'"),
        ("./ears.py:wrong", "is no function"),
        ("nobody", "no entry point 'nobody'"),
        ("./away.py:listen", "does not import"),
    ):
        with pytest.raises(ConfigError, match=why):
            subscribers.start([wrong], strict=True)
        subscribers.start([wrong])()
        assert isinstance(said[-1], SubscriberFailed)
        assert why in said[-1].error
    assert not subscribers.anybody()


def test_installed_ones_are_found_by_name(monkeypatch, said):
    heard = []

    class Point:
        name = "installed"

        def load(self):
            return heard.append

    class Broken(Point):
        name = "broken"

        def load(self):
            raise ImportError("no such module")

    monkeypatch.setattr(metadata, "entry_points", lambda group: [Point(), Broken()])
    # whoever installs something broken has not named it: the worker starts
    end = subscribers.start(["all"], strict=True)
    subscribers.publish(EVENT)
    end()
    assert EVENT in heard
    assert said[0] == SubscriberFailed("broken", "ImportError: no such module")
    with pytest.raises(ConfigError, match="no such module"):
        subscribers.start(["broken"], strict=True)
