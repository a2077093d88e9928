"""How lines of attempts look."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from tributary_daemon.cli.follow import ChangeLines
from tributary_daemon.cli.log_lines import LogLines, WithLines, cleared
from tributary_daemon.client.log_records import LogRecord


def a_record(text, **fields):
    values = {"id": "r", "step": "build", "item": None, "attempt": 1, "stream": "stdout", "level": None}
    at = datetime(2026, 11, 25, 4, 5, 6, 7_000, tzinfo=UTC)
    return LogRecord(**{**values, "at": at, "text": text, "fields": None, **fields})


def lines(*records, **shape):
    shown = LogLines(colored=False, **shape)
    return [shown.line(record) for record in records]


def test_each_line_names_who_said_it():
    assert lines(
        a_record("one"), a_record("two", step="a"), a_record("three", attempt=2), a_record("f", item="k")
    ) == ["build | one", "a     | two", "build#2 | three", "build[k] | f"]
    assert lines(a_record("one"), a_record("two", attempt=2), named=False) == ["one", "#2 | two"]
    assert lines(a_record("one", step=None), timed=True) == ["04:05:06.007Z one"]


def test_lines_of_a_log_show_level_and_fields():
    fields = {"n": 1, "path": "/x", "what": "two words", "exception": "Traceback\nValueError: x"}
    assert lines(a_record("said", stream="log", level="warning", fields=fields), named=False) == [
        'warning said n=1 path=/x what="two words"\nTraceback\nValueError: x'
    ]
    assert lines(a_record("7 lines dropped", stream="dropped"), named=False) == ["... 7 lines dropped ..."]


def test_each_step_has_its_colour_and_stderr_is_red():
    shown = LogLines(colored=True)
    one, two = shown.line(a_record("x")), shown.line(a_record("x", step="other", stream="stderr"))
    assert one == "\x1b[36mbuild |\x1b[0m x"
    assert two == "\x1b[35mother |\x1b[0m \x1b[31mx\x1b[0m"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m plain", "red plain"),
        ("10%\r50%\r100%\r", "100%"),
        ("\x1b]0;title\x07text", "text"),
        ("bell\x07", "bell\x07"),
    ],
)
def test_a_line_is_what_a_terminal_would_have_left(text, shown):
    assert cleared(text) == shown
    assert "\x1b" not in lines(a_record(text))[0]


def test_progress_shows_lines_before_what_they_led_to(a_run, a_step):
    out = io.StringIO()
    said = [[a_record("first")], [a_record("second")]]
    with WithLines(ChangeLines(out), lambda: said.pop(0), out) as shown:
        shown.seen(a_run({"build": a_step(state="running")}))
        shown.seen(a_run({"build": a_step()}, state="completed"))
    written = out.getvalue().splitlines()
    assert written[0] == "build | first"
    assert written.index("build | second") < next(
        place for place, line in enumerate(written) if "completed  build" in line
    )
