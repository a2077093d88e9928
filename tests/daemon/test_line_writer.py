"""The writer of lines: in batches, late at most, and never in the way of an end."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from tributary_daemon import events
from tributary_daemon.daemon import line_writer
from tributary_daemon.daemon.held import Held
from tributary_daemon.daemon.line_writer import LineWriter


class Sink:
    """A database that can go away."""

    def __init__(self):
        self.written = []
        self.pause = 0.0
        self.fails = []
        self.away = False
        self.losses = 0

    def write(self, chunks):
        if self.away:
            raise psycopg.OperationalError("gone")
        if self.fails:
            raise self.fails.pop(0)
        self.written.append([piece.data.decode() for chunk in chunks for piece in chunk.pieces])

    def lost(self, error):
        self.losses += 1
        self.pause = 0.05

    def close(self):
        return


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def writer(sink):
    writer = LineWriter(sink, 1_048_576, "w/1")
    yield writer
    writer.close()


@pytest.fixture
def told():
    seen = []
    detach = events.attach(seen.append)
    yield seen
    detach()


def an_attempt(writer, number=1):
    run_id = f"0199aaaa-0000-7000-8000-{number:012d}"
    held = Held(run_id, 0, 7, "intent", "a.b.v1", None, "default", 1, 3, 0, "{}")
    return writer.open(held)


def ended(buffer):
    done = threading.Event()
    buffer.end(done.set)
    return done


def test_there_is_no_thread_before_something_is_said(writer):
    before = threading.active_count()
    buffer = an_attempt(writer)
    assert threading.active_count() == before
    buffer.line("x", "info", {})
    assert threading.active_count() == before + 1


def test_an_end_comes_when_its_lines_are_written(writer, sink):
    buffer = an_attempt(writer)
    buffer.line("x", "info", {})
    buffer.line("y", "info", {})
    assert ended(buffer).wait(5)
    assert sink.written == [["x", "y"]]


def test_lines_of_many_are_written_together_before_long(writer, sink, eventually, monkeypatch):
    # nothing is due before all are there, however slowly they come
    monkeypatch.setattr(line_writer, "EVERY", 60.0)
    began = time.monotonic()
    for number in range(50):
        an_attempt(writer, number).line(str(number), "info", {})
    assert began + 60 <= writer._due <= time.monotonic() + 60
    with writer._news:
        writer._due = 0.0
        writer._news.notify()
    eventually(lambda: sum(map(len, sink.written)) == 50)
    assert len(sink.written) == 1


def test_a_line_is_written_before_long_though_its_attempt_goes_on(writer, sink, eventually):
    an_attempt(writer).line("x", "info", {})
    eventually(lambda: sink.written == [["x"]])


def test_a_database_that_is_away_delays_no_end_and_loses_nothing(writer, sink, eventually):
    sink.away = True
    buffer = an_attempt(writer)
    buffer.line("x", "info", {})
    assert ended(buffer).wait(5)
    assert (sink.losses, sink.written) == (1, [])
    sink.away, sink.pause = False, 0.0
    eventually(lambda: sink.written == [["x"]])


def test_what_waits_for_the_database_is_bounded(writer, sink, told, monkeypatch):
    monkeypatch.setattr(line_writer, "BACKLOG", 100_000)
    sink.pause = 60.0
    for number in range(20):
        buffer = an_attempt(writer, number)
        buffer.line("z" * 10_000, "info", {})
        assert ended(buffer).wait(5)
    assert sum(chunk.size for chunk in writer._backlog) <= 100_000
    assert sum(event.lines for event in told if isinstance(event, events.LinesLost)) >= 10


def test_what_is_refused_is_said_and_does_not_come_again(writer, sink, told):
    sink.fails = [psycopg.DataError("no")]
    buffer = an_attempt(writer)
    buffer.line("x", "info", {})
    assert ended(buffer).wait(5)
    other = an_attempt(writer, 2)
    other.line("y", "info", {})
    assert ended(other).wait(5)
    assert sink.written == [["y"]]
    assert [(event.process, event.lines, event.error) for event in told] == [("w/1", 1, "no")]


def test_the_last_words_are_written_when_it_is_closed(writer, sink):
    an_attempt(writer).line("x", "info", {})
    writer.close()
    assert sink.written == [["x"]]
    assert ended(an_attempt(writer, 2)).is_set()
