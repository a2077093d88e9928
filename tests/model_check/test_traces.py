"""Traces of the real SQL functions: random ones are allowed by the model, damaged ones are not."""

from __future__ import annotations

import pytest

from tests.model_check.campaign import Campaign
from tests.model_check.damages import DAMAGES, scripted
from tests.model_check.mutants import MUTANTS
from tests.model_check.recording import PLANS, Recorder, Stage
from tests.model_check.replay import Refused, judge


@pytest.mark.timeout(3600)  # many round trips, and the machine may be busy
def test_random_traces_are_allowed(connection, traces):
    count, seed = traces
    campaign = Campaign(connection, seed)
    for number in range(count):
        campaign.trace(number)
    seen = campaign.seen
    told = {word for name, word in seen if name == "accepted"}
    assert told >= {"completed", "retry", "discarded", "released", "snoozed", "crashed", "suspected"}
    assert {word for name, word in seen if name == "refused"} >= {"completed", "retry", "discarded"}
    changes = {word for name, word in seen if name == "became"}
    assert changes >= {
        *("available>running", "running>completed", "running>discarded", "running>available"),
        *("running>scheduled", "running>cancelled", "running>skipped", "blocked>available"),
        *("blocked>skipped", "blocked>cancelled", "scheduled>available", "discarded>available"),
        "cancelled>available",
    }
    print(campaign.told())


@pytest.fixture
def fan_in(connection):
    """A trace of the fan-in with a rescue, stale tokens, a failure and a retry."""
    stage = Stage(connection, PLANS["fan-in"], "fan-in")
    with connection.transaction(force_rollback=True):
        return scripted(Recorder(stage))


def test_damaged_traces_are_refused(fan_in):
    judge(fan_in)
    assert [entry.asked[0] for entry in fan_in.entries][-3:] == ["finish", "retry", "claim"]
    allowed = []
    for name, damage in DAMAGES.items():
        damaged = damage(fan_in)
        assert damaged != fan_in, name
        try:
            judge(damaged)
            allowed.append(name)
        except Refused:
            pass
    assert allowed == []


def test_what_is_refused_is_named(fan_in):
    with pytest.raises(Refused, match=r"3\. \('rescue',\): step 0 has crashes 0, the model 1"):
        judge(DAMAGES["a rescue counts no crash"](fan_in))


@pytest.mark.parametrize(
    "name", ["no fence at all", "rescue without the attempt's count", "rescue keeps the token"]
)
def test_wrong_rules_do_not_allow_what_the_database_does(fan_in, name):
    with pytest.raises(Refused):
        judge(fan_in, MUTANTS[name].rules)
