"""Traces of the real SQL functions: random ones are allowed by the model, damaged ones are not."""

from __future__ import annotations

import pytest

from tests.model_check.campaign import Campaign
from tests.model_check.damages import DAMAGES, scripted
from tests.model_check.mutants import MUTANTS
from tests.model_check.recording import PLANS, Recorder, Stage
from tests.model_check.replay import Refused, judge

pytestmark = pytest.mark.one_shard("the model is of one shard")

PARTS = 4
SOME = 160
MANY = 4_000
USUAL = {"available>running", "running>completed", "running>available", "running>discarded"} | {
    "blocked>available",
    "available>cancelled",
}
RARE = {
    *("running>scheduled", "running>cancelled", "running>skipped", "scheduled>available"),
    *("blocked>skipped", "blocked>cancelled", "scheduled>cancelled"),
    *("discarded>available", "cancelled>available", "cancelled>blocked", "skipped>blocked"),
    "completed>available",
}


@pytest.mark.timeout(3600)  # many round trips, and the machine may be busy
@pytest.mark.parametrize("part", range(PARTS))
def test_random_traces_are_allowed(connection, traces, part):
    count, seed = traces
    campaign = Campaign(connection, seed)
    for number in range(part, count, PARTS):
        campaign.trace(number)
    print(campaign.told())
    told = {word for name, word in campaign.seen if name == "accepted"}
    changes = {word for name, word in campaign.seen if name == "became"}
    if count >= SOME:
        assert told >= {"completed", "retry"}
        assert ("refused", "completed") in campaign.seen
        assert changes >= USUAL
    if count >= MANY:
        assert told >= {"discarded", "skipped", "aborted", "snoozed", "released", "returned"}
        assert told >= {"crashed", "suspected", "crashed_alone"}
        assert changes >= RARE


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
    with pytest.raises(Refused, match=r"3\. \('rescue',\): step 0 has crashes 0, the model 1"):
        judge(DAMAGES["a rescue counts no crash"](fan_in))


def test_wrong_rules_do_not_allow_what_the_database_does(fan_in):
    for name in ("no fence at all", "rescue without the attempt's count", "rescue keeps the token"):
        with pytest.raises(Refused):
            judge(fan_in, MUTANTS[name].rules)
