"""`step.log`: to the worker's log as before, and kept with the attempt."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from tributary_daemon.errors import HandlerError
from tributary_daemon.handlers.step_log import NOWHERE, Nowhere, logger
from tributary_daemon.model.masking import Mask


@pytest.fixture
def log():
    """Return what the worker's log got; only warnings and above."""
    out = io.StringIO()
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(30),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    structlog.reset_defaults()


def test_lines_are_kept_from_info_on_whatever_the_level_of_the_worker(log, a_step, runtime):
    powers = runtime()
    step = a_step(powers)
    step.log.debug("no")
    step.log.info("%d of %d", 1, 2, path="/x")
    step.log.bind(part=3).warning("slow")
    assert powers.said.lines == [("info", "1 of 2", {"path": "/x"}), ("warning", "slow", {"part": 3})]
    assert log() == [{"event": "slow", "part": 3, "level": "warning"}]
    assert step.log is step.log


def test_exceptions_are_kept_with_their_traceback(log, a_step, runtime):
    powers = runtime()
    try:
        int("bad")
    except ValueError:
        a_step(powers).log.exception("it failed", n=1)
    ((level, text, fields),) = powers.said.lines
    assert (level, text, fields["n"]) == ("error", "it failed", 1)
    assert fields["exception"].endswith("'bad'")
    assert log()[0]["event"] == "it failed"


def test_a_step_that_keeps_nothing_logs_as_usual(log, a_step):
    logger("x", NOWHERE).error("said")
    assert log() == [{"event": "said", "level": "error"}]
    assert NOWHERE.output("stdout").feed(b"x") == b"x"


def test_what_is_not_kept_is_masked_all_the_same():
    lines = Nowhere(Mask(["hunter2"]))
    stdout, stderr = lines.output("stdout"), lines.output("stderr")
    assert stdout.feed(b"it is hun") == b"it is "
    assert stderr.feed(b"ter2") == b"ter2"
    assert stdout.feed(b"ter2!") + stdout.close() == b"***!"


def test_output_of_other_programs_can_be_kept(a_step, runtime):
    powers = runtime()
    step = a_step(powers)
    step.output("stderr").feed(b"oops\n")
    assert powers.said.streams == {"stderr": b"oops\n"}
    with pytest.raises(HandlerError, match="no stream"):
        step.output("log")
