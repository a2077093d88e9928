"""Waiting for what other processes do."""

from __future__ import annotations

import time


def wait_until(probe, timeout=10.0, what="the condition"):
    """Do what the fixture ``eventually`` says."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        failure = None
        try:
            answer = probe()
        except AssertionError as error:
            answer, failure = None, error
        if answer:
            return answer
        if time.monotonic() > deadline:
            told = what() if callable(what) else what
            raise AssertionError(
                f"{told} did not come true within {timeout:g} s; last: {answer!r}"
            ) from failure
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
