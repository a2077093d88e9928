"""Options of submits, the pace of waits, reasons: no database."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.client import options
from tributary_daemon.client.documents import ErrorDocument, rfc3339
from tributary_daemon.client.options import Settings
from tributary_daemon.client.reasons import Need
from tributary_daemon.client.waiting import Pace
from tributary_daemon.client.why import reasons
from tributary_daemon.config import Config
from tributary_daemon.errors import InvalidInput, WaitTimeout
from tributary_daemon.model.retry import Retry
from tributary_daemon.store.facts import StepFacts

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"queue": ""}, "not a queue's name"),
        ({"queue": "heavy:4"}, "another meaning"),
        ({"priority": "high"}, "priority must be a whole number"),
        ({"priority": True}, "priority must be a whole number"),
        ({"priority": 40_000}, "out of range"),
        ({"max_attempts": 0}, "max_attempts 0 is out of range"),
        ({"timeout": 0}, "longer than 0"),
        ({"timeout": "soon"}, "not a duration"),
        ({"retry": {"delya": 1}}, "unknown key 'delya'"),
        ({"retry": {"backoff": "linear"}}, "unknown backoff"),
        ({"run_after": datetime(2030, 1, 1)}, "no time zone"),  # noqa: DTZ001 - what is refused
        ({"run_after": "2030-01-01T00:00:00"}, "no time zone"),
        ({"run_after": "tomorrow"}, "not a duration"),
        ({"idempotency_key": ""}, "not an idempotency key"),
        ({"labels": {"a": 1}}, "must be text"),
    ],
)
def test_malformed_options_are_refused(given, message):
    with pytest.raises(InvalidInput, match=message):
        options.terms(Settings(), **given)


def test_only_given_options_are_passed_on():
    assert options.terms(Settings()).submit == {}
    made = options.terms(Settings(), queue="q", priority=0, timeout="1m", retry={"delay": "2s"})
    assert made.submit == {"queue": "q", "priority": 0, "timeout": 60.0, "retry": {"delay": 2.0}}


def test_a_whole_policy_is_passed_on_whole():
    # an intent's own default is another policy: what equals the default of steps must not get lost
    assert options.terms(Settings(), retry=Retry()).submit["retry"]["backoff"] == "exponential"


@given(st.floats(0, 1e7), st.timedeltas(timedelta(0), timedelta(days=300)))
def test_run_after_is_a_time_or_a_delay(seconds, delta):
    assert options.due(seconds) == (None, seconds)
    assert options.due(delta) == (None, delta.total_seconds())
    assert options.due(NOW + delta) == (NOW + delta, None)
    assert options.due((NOW + delta).isoformat()) == (NOW + delta, None)


def test_settings_come_from_the_configuration():
    config = Config(
        tenant="acme",
        sources=MappingProxyType({"tenant": "flag"}),
        defaults=MappingProxyType({"queue": "slow", "retry": MappingProxyType({"delay": 5.0})}),
    )
    settings = Settings.of(config)
    assert (settings.tenant, settings.sees) == ("acme", "acme")
    assert settings.defaults == {"queue": "slow", "retry": {"delay": 5.0}}
    assert Settings.of(config, "other").tenant == "other"
    assert (Settings.of(Config()).tenant, Settings.of(Config()).sees) == ("", None)


def test_a_wait_starts_quick_slows_down_and_ends_in_time():
    clock = [0.0]
    pace = Pace("x", 10, None, lambda: clock[0])
    pauses = []
    while clock[0] < 10:
        pauses.append(pace.pause())
        clock[0] += pauses[-1]
    with pytest.raises(WaitTimeout, match=r"x has not ended after 10\.0s"):
        pace.pause()
    assert pauses[0] == 0.02
    assert max(pauses) == 0.5
    assert sum(pauses) == pytest.approx(10)


@given(st.datetimes(timezones=st.sampled_from([UTC])))
def test_times_are_rfc_3339_in_utc(at):
    text = rfc3339(at)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == at


def test_errors_of_other_runtimes_may_be_incomplete():
    assert ErrorDocument.from_json(None) is None
    assert ErrorDocument.from_json({}) is None
    assert ErrorDocument.from_json({"message": "x"}).to_json() == {
        "type": "Error",
        "message": "x",
        "attempt": 0,
        "reason": None,
        "exit_code": None,
    }


def facts(**changed):
    plain = {
        "ordinal": 1, "step_id": "s", "kind": "step", "name": "a.b.v1", "state": "available", "reason": None,
        "queue": "default", "attempt": 1, "max_attempts": 3, "run_at": None, "started_at": None,
        "finished_at": None,
        "error": None, "worker": None, "pid": None, "paused": False, "paused_at": None, "offered": True,
        "enabled": True, "runtime": "python", "servers": ["w"], "resting": [], "any_worker": True,
        "lone_crashes": None, "flags": 0, "item_key": None, "now": NOW,
    }  # fmt: skip
    return StepFacts(**{**plain, **changed})


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        ({}, "ready", "ready"),
        ({"paused": True, "paused_at": NOW}, "queue_paused", "paused since 2030-01-01T00:00:00.000000Z"),
        ({"enabled": False}, "disabled", "disabled in the registry"),
        ({"servers": [], "resting": ["w1"]}, "worker_paused", "that serve the queue default are paused: w1"),
        ({"servers": []}, "no_worker", "no live worker serves the queue default"),
        ({"servers": [], "any_worker": False}, "no_worker", "no worker is alive"),
        ({"servers": [], "queue": "@1f"}, "no_worker", "the `trib run` that it belongs to has ended"),
        (
            {"claimed": False},
            "no_handler",
            "no live worker that serves the queue default has the handler a.b",
        ),
        ({"claimed": False, "name": "trib.shell.v1"}, "no_handler", "no worker runs shell steps"),
        ({"runtime": "ruby", "claimed": False}, "runtime", "runtime ruby"),
        ({"state": "waiting", "reason": "no_handler"}, "no_handler", "ever offered the handler a.b.v1"),
        (
            {"state": "waiting", "reason": "no_handler", "name": "trib.shell.v1"},
            "no_handler",
            "no worker runs shell",
        ),
        ({"state": "available", "lone_crashes": 2}, "suspect", "2 of the 3 crashes that prove its guilt"),
        ({"state": "waiting", "reason": "paused"}, "paused", "its run is paused"),
        ({"state": "scheduled", "run_at": NOW + timedelta(seconds=90)}, "scheduled", "in 1m30s"),
        ({"state": "scheduled", "reason": "retry", "run_at": NOW}, "retry", "attempt 1 of 3 failed"),
        ({"state": "scheduled", "reason": "snoozed", "run_at": NOW}, "scheduled", "put it off"),
        (
            {"state": "running", "started_at": NOW - timedelta(seconds=5), "worker": "w"},
            "running",
            "in w for 5.0s",
        ),
        ({"state": "blocked"}, "needs", r"it needs up \(running\), bad \(discarded\)"),
        ({"state": "skipped", "reason": "upstream"}, "upstream", r"bad \(discarded\) did not end well"),
        ({"state": "skipped", "reason": "condition"}, "condition", "did not hold"),
        ({"state": "skipped", "reason": "aborted"}, "aborted", "aborted the run"),
        ({"state": "cancelled", "reason": "cancelled"}, "cancelled", "^cancelled$"),
        (
            {"state": "discarded", "reason": "timeout", "error": {"type": "X", "message": "a\nb"}},
            "discarded",
            r"attempt 1 of 3 \(timeout\): X: a$",
        ),
        ({"state": "completed"}, "completed", "attempt 1 completed"),
    ],
)
def test_reasons(changed, code, message):
    needs = [
        Need("up", "running", None, optional=False),
        Need("fine", "discarded", None, optional=True),
        Need("off", "skipped", "condition", optional=False),
        Need("bad", "discarded", None, optional=False),
    ]
    reason = reasons(facts(**changed), needs)[-1]
    assert reason.code == code
    assert re.search(message, reason.message)
