"""Events reach those who listen, whatever the others do."""

from __future__ import annotations

from tributary_daemon import events
from tributary_daemon.events import ProcessStarted, attach, emit

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


def test_every_event_says_how_loud_it_is_and_what_it_means():
    kinds = events.Event.__subclasses__()
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.level in {"debug", "info", "warning", "error"}
        assert kind.__doc__
        assert not kind.__doc__.startswith(kind.__name__ + "(")
