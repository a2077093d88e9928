"""Retry demo: attempts counted up to a success, and used up."""

from __future__ import annotations

from datetime import datetime


def test_the_third_attempt_succeeds_after_two_delays(run_example):
    code, run = run_example("retry_demo")
    assert (code, run["state"], run["result"]) == (0, "completed", {"attempts": 3}), run
    unreliable = run["steps"]["unreliable"]
    assert (unreliable["attempt"], unreliable["error"]) == (3, None)
    assert run["steps"]["after"]["result"] == {"note": "reached after attempt 3"}
    created, finished = (datetime.fromisoformat(moment) for moment in (run["created_at"], run["finished_at"]))
    assert (finished - created).total_seconds() >= 1.0  # two delays of 500 ms


def test_attempts_are_used_up(run_example):
    code, run = run_example("retry_demo", "-i", "failures=3")
    assert (code, run["state"]) == (1, "failed")
    assert run["steps"]["unreliable"]["state"] == "discarded"
    assert run["steps"]["unreliable"]["error"]["attempt"] == 3
    assert run["steps"]["unreliable"]["error"]["message"] == "the service is busy"
    assert run["steps"]["after"]["state"] == "skipped"
