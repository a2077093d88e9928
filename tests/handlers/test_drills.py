"""The handlers to try things out with."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.errors import Abort, InvalidInput
from tributary_daemon.handlers import signature
from tributary_daemon.handlers.builtin import drills

NOOP = signature.read(drills.noop, "trib.noop.v1", {})
FAIL = signature.read(drills.fail, "trib.fail.v1", {})
SLEEP = signature.read(drills.sleep, "trib.sleep.v1", {})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text('ab"\\\n'), st.lists))
def test_noop_returns_any_input(value):
    text = drills.AnyJson(value).model_dump_json()
    assert NOOP.dump(drills.noop(**NOOP.validate(text))) == text


def test_sleep_sleeps():
    assert asyncio.run(drills.sleep(**SLEEP.validate('{"seconds": 0.01}'))) == {"slept": 0.01}
    for wrong in ('{"seconds": -1}', "{}", '{"seconds": "long"}', '{"seconds": 1, "x": 1}'):
        with pytest.raises(InvalidInput):
            SLEEP.validate(wrong)


def test_fail_fails_its_first_attempts(a_step):
    arguments = FAIL.validate('{"times": 2, "message": "not yet", "kind": "ConnectionError"}')
    for attempt in (1, 2):
        with pytest.raises(ConnectionError, match="not yet"):
            drills.fail(**arguments, step=a_step(attempt=attempt))
    assert drills.fail(**arguments, step=a_step(attempt=3)) == {"attempt": 3}


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("RuntimeError", RuntimeError),
        ("LookupError", LookupError),
        ("exit", SystemExit),
        ("abort", Abort),
        ("abort_run", Abort),
    ],
)
def test_fail_knows_many_ways(a_step, kind, raised):
    with pytest.raises(raised, match="boom") as caught:
        drills.fail(drills.Fail(message="boom", kind=kind), a_step(attempt=99))
    if raised is Abort:
        assert caught.value.run is (kind == "abort_run")


def test_fail_makes_up_errors_of_other_names(a_step):
    with pytest.raises(RuntimeError) as caught:
        drills.fail(drills.Fail(kind="PaymentDeclined"), a_step())
    assert type(caught.value).__name__ == "PaymentDeclined"
    with pytest.raises(RuntimeError) as caught:
        drills.fail(drills.Fail(kind="UnicodeDecodeError"), a_step())
    assert type(caught.value).__name__ == "UnicodeDecodeError"
    with pytest.raises(InvalidInput, match="class name of an error"):
        FAIL.validate('{"kind": "not a name"}')
