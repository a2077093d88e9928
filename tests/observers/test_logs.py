"""Log lines: their shape, the ids they carry, and the secrets they do not."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings

import pytest
import structlog

from tributary_daemon import events
from tributary_daemon.engine.executor import execute_sync
from tributary_daemon.engine.lease import Lease
from tributary_daemon.errors import ConfigError
from tributary_daemon.handlers.registry import Handler
from tributary_daemon.handlers.step import Step
from tributary_daemon.handlers.step_log import NOWHERE
from tributary_daemon.model.masking import Mask
from tributary_daemon.observers import logs


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Unkept:
    def lines(self, _attempt):
        return NOWHERE


@pytest.fixture(autouse=True)
def as_before():
    """The logging of the test process is what it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    while logs._detach:
        logs._detach.pop()()


@pytest.fixture
def lines():
    """Configure JSON logs; return a function that gives the lines written so far."""
    out = io.StringIO()
    logs.configure("json", "debug", out)
    return lambda: [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_with_time_and_level(lines):
    structlog.get_logger().info("hello", n=1, path={"a": [1, None]}, odd=object)
    (line,) = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
    assert (line["event"], line["level"], line["n"], line["path"]) == ("hello", "info", 1, {"a": [1, None]})
    assert list(line)[:3] == ["timestamp", "level", "event"]


def test_a_line_is_one_line_whatever_is_logged(lines):
    structlog.get_logger().info("two\nlines\x00\ud800", **{"k\n": "v\n"})
    assert lines()[0]["event"] == "two\nlines\x00\ud800"


def test_ids_are_bound_while_a_handler_runs(lines):
    def work(step: Step) -> None:
        step.log.warning("half way", percent=50)
        logging.getLogger("somelib").info("from a library")

    lease = Lease("r-1", 2, 1, "step", "a.b.v1", "charge", "default", 3, 5, 0, "{}")
    execute_sync(Handler("a.b.v1", work, is_async=False), lease, Step(lease, Unkept()))
    structlog.get_logger().info("afterwards")
    own, library, after = lines()
    for line in (own, library):
        assert (line["run_id"], line["step"], line["attempt"]) == ("r-1", "charge", 3)
    assert (own["event"], own["percent"], own["level"]) == ("half way", 50, "warning")
    assert (library["event"], library["logger"]) == ("from a library", "somelib")
    assert "run_id" not in after


def test_secrets_of_the_attempt_are_masked_wherever_they_stand(lines):
    def work(step: Step) -> None:
        logging.getLogger("somelib").info("sent abc-123 to %s", {"x": "abc-123"})
        raise ValueError("refused: abc-123")

    lease = Lease("r-1", 2, 1, "step", "a.b.v1", "charge", "default", 3, 5, 0, "{}", mask=Mask(["abc-123"]))
    outcome = execute_sync(Handler("a.b.v1", work, is_async=False), lease, Step(lease, Unkept()))
    assert outcome.error.message == "refused: ***"
    assert "abc-123" not in outcome.error.traceback
    structlog.get_logger().info("of another: abc-123")
    *own, other = lines()
    assert [line["event"] for line in own] == ["sent *** to {'x': '***'}", "step failed"]
    assert "abc-123" not in json.dumps(own)
    assert other["event"] == "of another: abc-123"


def test_library_errors_and_warnings_come_as_lines(lines):
    try:
        _ = {}["nothing"]
    except KeyError:
        logging.getLogger("lib").exception("failed: %s", "x")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", stacklevel=1)
        logging.captureWarnings(capture=False)
    error, warning = lines()
    assert error["event"] == "failed: x"
    assert "KeyError" in error["exception"]
    assert "old thing" in warning["event"]


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://trib:hunter2@db/x",
        "postgres://trib:hun@ter2/x@db:5432/x",
        "postgresql+psycopg://trib:hunter2@db/x?sslmode=require",
        "https://me:hunter2@example.org/path",
        "host=db user=trib password=hunter2 dbname=x",
        "host=db password='hunter2 ter2' dbname=x",
        "postgresql://db/x?user=u&password=hunter2",
        "Authorization: Bearer hunter2hunter2",
        "curl -H 'authorization: Basic hunter2' x",
        "{'Authorization': 'hunter2'}",
    ],
)
def test_secrets_in_text_are_masked(lines, text):
    structlog.get_logger().info(text, detail=[text], error=ValueError(text))
    logging.getLogger("lib").warning("%s", text)
    try:
        int(text)
    except ValueError:
        structlog.get_logger().exception("raised")
    for line in lines():
        assert "ter2" not in json.dumps(line)
        assert "***" in json.dumps(line)


def test_values_of_telling_keys_are_masked(lines):
    secret = {
        "password": "p1",
        "db_passwd": "p1",
        "API_KEY": "p1",
        "headers": {"Authorization": "p1"},
        "token": ["p1"],
    }
    structlog.get_logger().info("x", **secret, secret=None, author="ann")
    (line,) = lines()
    assert "p1" not in json.dumps(line)
    assert (line["secret"], line["author"]) == (None, "ann")


@pytest.mark.parametrize(
    "text", ["https://host:8080/a@b", "at 12:30 a@b.org", "postgresql://db:5432/x", "a=b"]
)
def test_innocent_text_stays(text):
    assert logs.mask_text(text) == text


def test_levels(lines):
    out = io.StringIO()
    logs.configure("json", "warning", out)
    structlog.get_logger().info("quiet")
    logging.getLogger("lib").info("quiet")
    events.emit(events.ProcessStarted(process="w/1", pid=1))
    events.emit(events.LeaseLost(run_id="r", ordinal=1))
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["event"] == "lease lost"
    assert lines() == []


def test_events_are_logged_once(lines):
    out = io.StringIO()
    logs.configure("json", "info", out)
    logs.configure("json", "info", out)
    events.emit(events.ProcessDied(process="w/1", pid=4, code=-9))
    events.emit(
        events.StepFailed(
            run_id="r", step="s", name="a.b.v1", attempt=1, type="ValueError", message="x",
            reason=None, delay=1.0, traceback="Traceback …",
        )
    )  # fmt: skip
    exited, failed = (json.loads(line) for line in out.getvalue().splitlines())
    assert (exited["event"], exited["level"], exited["code"]) == ("process died", "warning", -9)
    assert (failed["event"], failed["exception"]) == ("step failed", "Traceback …")
    assert "reason" not in failed
    events.emit(events.ProcessExited(process="w/1", pid=4, code=0))
    assert len(out.getvalue().splitlines()) == 2  # as told to: not worth a line


def test_a_terminal_gets_readable_lines(monkeypatch):
    out = Terminal()
    logs.configure("auto", "info", out)
    structlog.get_logger().info("hello there", n=1)
    assert "hello there" in out.getvalue()
    assert "\x1b[" in out.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    logs.configure("auto", "info", plain)
    structlog.get_logger().info("hello there", n=1)
    assert "\x1b[" not in plain.getvalue()
    pipe = io.StringIO()
    logs.configure("auto", "info", pipe)
    structlog.get_logger().info("hello")
    assert json.loads(pipe.getvalue())["event"] == "hello"


def test_a_terminal_gets_tracebacks_as_such():
    out = Terminal()
    logs.configure("console", "info", out)
    try:
        _ = {}["nothing"]
    except KeyError:
        structlog.get_logger().exception("went wrong")
    assert "KeyError: 'nothing'" in out.getvalue().splitlines()[-1]


def test_unknown_settings_are_refused():
    with pytest.raises(ConfigError, match="unknown log format 'xml'"):
        logs.configure("xml")
    with pytest.raises(ConfigError, match="unknown log level 'loud'"):
        logs.configure("json", "loud")
