"""Retry policies: arithmetic, bounds, and their stored form."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import cpu_seconds
from tributary_daemon.errors import InvalidInput
from tributary_daemon.model.retry import BACKOFFS, INTENT_RETRY, STEP_RETRY, Retry


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (Retry(jitter=0), [1, 2, 4, 8]),
        (Retry(backoff="fixed", delay="1h", jitter=0), [3600, 3600, 3600, 3600]),
        (Retry(backoff="quadratic", delay=60, jitter=0), [60, 240, 300, 300]),
        (Retry(delay="10s", multiplier=3, max_delay="1m", jitter=0), [10, 30, 60, 60]),
    ],
)
def test_waits_grow_as_the_backoff_says(policy, waits):
    assert [policy.wait(failure, Random(1)) for failure in range(1, 5)] == waits


def test_an_intent_waits_a_minute_then_four():
    waits = [INTENT_RETRY.wait(failure, Random(0)) for failure in (1, 2)]
    assert 54 <= waits[0] <= 66
    assert 216 <= waits[1] <= 264


@given(
    backoff=st.sampled_from(BACKOFFS),
    delay=st.floats(0, 1e6),
    multiplier=st.floats(1, 100),
    max_delay=st.one_of(st.none(), st.floats(0, 1e6)),
    jitter=st.floats(0, 1),
    failures=st.integers(1, 10_000),
)
def test_a_wait_is_bounded_and_survives_storage(backoff, delay, multiplier, max_delay, jitter, failures):
    policy = Retry(backoff=backoff, delay=delay, multiplier=multiplier, max_delay=max_delay, jitter=jitter)
    bound = max_delay if max_delay is not None else max(300.0, delay)
    assert 0 <= policy.wait(failures, Random(3)) <= bound * (1 + jitter) + 1e-6
    assert Retry.from_json(policy.to_json(), STEP_RETRY) == policy


def test_errors_are_told_apart_by_name_and_exit_code():
    policy = Retry(on=("TimeoutError", "requests.exceptions.ConnectionError"), not_on=("KeyError",))
    assert policy.retries({"TimeoutError"})
    assert policy.retries({"ConnectionError", "requests.exceptions.ConnectionError"})
    assert not policy.retries({"ValueError"})
    assert not policy.retries({"KeyError"})
    assert not policy.retries({"TimeoutError", "KeyError"}), "what is never retried comes first"
    shell = Retry(on_exit=(75,))
    assert shell.retries({"ShellFailed"}, exit_code=75)
    assert not shell.retries({"ShellFailed"}, exit_code=1)


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("Timeout", False),
        ("*Timeout", True),
        ("requests.*", True),
        ("requests.?xceptions.[A-Z]*", True),
        ("requests.*.Read", False),
        ("*: *timed out*", True),
        ("ReadTimeout: *read=5*", True),
        ("ReadTimeout: read=5", False),
        ("OSError: *read=5*", True),
        ("*: *refused*", False),
        ("*: *READ*", False),
    ],
)
def test_patterns_match_a_name_or_a_name_and_the_message(entry, found):
    names = {"ReadTimeout", "requests.exceptions.ReadTimeout", "OSError", "builtins.OSError"}
    message = "the host\ntimed out: read=5 s"
    assert Retry(on=(entry,)).retries(names, message) is found
    assert Retry(not_on=(entry,)).retries(names, message) is not found


def test_a_pattern_meets_hostile_text_in_linear_time():
    policy = Retry(on=("*: " + "*a" * 20 + "*b",))
    assert cpu_seconds(lambda: policy.retries({"E"}, "a" * 8_000), enough=1) < 1


@pytest.mark.parametrize(
    "wrong", [{"backoff": "linear"}, {"jitter": 2}, {"multiplier": 0.5}, {"delay": "soon"}, {"max_delay": -1}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InvalidInput):
        Retry(**wrong)
