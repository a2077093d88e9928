"""Events reach those who listen, whatever the others do."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tributary_daemon import events
from tributary_daemon.events import ProcessStarted, attach, emit
from tributary_daemon.model.happenings import EVENT_TYPES
from tributary_daemon.observers import subscribers, tracing
from tributary_daemon.observers.attempts import AttemptEvent

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "events.md").read_text(encoding="utf-8")
assert subscribers.SubscriberFailed
assert tracing.TracingFailed

EVENT = ProcessStarted(process="w/1", pid=7)


def test_everybody_hears_until_detached():
    one, two = [], []
    stop_one, stop_two = attach(one.append), attach(two.append)
    emit(EVENT)
    stop_one()
    emit(EVENT)
    stop_two()
    emit(EVENT)
    assert (one, two) == ([EVENT], [EVENT, EVENT])


def test_a_failing_observer_harms_nobody(capsys):
    heard = []

    def broken(event):
        raise RuntimeError("observer is broken")

    stops = [attach(broken), attach(heard.append)]
    try:
        emit(EVENT)
    finally:
        for stop in stops:
            stop()
    assert heard == [EVENT]
    assert "observer is broken" in capsys.readouterr().err


def kinds_of(base):
    """Return the events below a class that are emitted: those that nothing is derived from."""
    # a dataclass with slots replaces the class that was written, which stays among the subclasses
    below = {one.__name__: one for one in base.__subclasses__()}
    return [base] if not below else [kind for one in below.values() for kind in kinds_of(one)]


@pytest.mark.parametrize("kind", kinds_of(events.Event), ids=lambda kind: kind.__name__)
def test_every_event_is_documented_with_its_fields(kind):
    row = re.search(rf"^\| `{kind.__name__}` \|([^|]*)\|", PAGE, re.MULTILINE)
    assert row, "add it to docs/events.md"
    common = {field.name for field in dataclasses.fields(AttemptEvent)} | {"seconds"}
    own = [field.name for field in dataclasses.fields(kind)]
    if issubclass(kind, AttemptEvent):
        own = [name for name in own if name not in common]
    assert re.findall(r"`(\w+)`", row[1]) == own


def test_the_types_of_the_stream_are_those_that_are_documented():
    page = (DOCS / "state-machine.md").read_text(encoding="utf-8")
    table = page.partition("## Events\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(EVENT_TYPES)


def test_every_event_says_how_loud_it_is_and_what_it_means():
    kinds = events.Event.__subclasses__()
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.level in {"debug", "info", "warning", "error"}
        assert kind.__doc__
        assert not kind.__doc__.startswith(kind.__name__ + "(")
