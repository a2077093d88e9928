"""Which shard a process claims from next: fair, by priority, whole batches, and nothing asked in vain."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest

from tributary_daemon.daemon import claiming, turns
from tributary_daemon.daemon.turns import Turns
from tributary_daemon.store.lanes import Lane, Scouted, Survey


class Scouts:
    """What scouts find, by a clock of the test's own: shard -> priority of what is ready there."""

    def __init__(self, ready, waited=0.0, seconds=0.001):
        self.now, self.ready, self.waited, self.seconds = 100.0, ready, waited, seconds
        self.asked, self.promoted, self.due = [], [], []

    def survey_shards(self, shards):
        self.now += self.seconds
        self.asked.append(list(shards))
        found = {shard: self.ready[shard] for shard in shards if shard in self.ready}
        return Scouted(
            {shard: Survey([(Lane("default", priority, ""), 1)], []) for shard, priority in found.items()},
            dict.fromkeys(found, self.waited),
            [shard for shard in self.due if shard in shards],
        )

    def promote_and_survey(self, shard):
        self.promoted.append(shard)
        return 1, Survey([(Lane("default", 0, ""), 1)], [])


@pytest.fixture
def run(monkeypatch):
    """Return a function that makes turns over shards beside a database."""

    def make(shards, ready, **more):
        scouts = Scouts(ready, **more)
        clock = SimpleNamespace(monotonic=lambda: scouts.now)
        for module in (claiming, turns):
            monkeypatch.setattr(module, "time", clock)
        return Turns(shards, ["default"], [], 0), scouts

    return make


def rounds(process, scouts, seconds, *, full=True):
    """Claim in rounds of 20 ms, all of them full; return the shards that were claimed from."""
    claimed, until = [], scouts.now + seconds
    while scouts.now < until:
        process.scout(scouts)
        for one, claims in process.order(()):
            if claims:
                claimed.append(one.shard)
                one.more = full
                break
        scouts.now += 0.02
    return claimed


def test_one_shard_is_asked_without_any_scout(run):
    process, scouts = run(1, {0: 0})
    assert process.more
    assert process.scout(scouts) is None
    assert [(one.shard, claims) for one, claims in process.order({0})] == [(0, True)]
    assert scouts.asked == []


def test_a_saturated_process_takes_whole_turns_and_leaves_no_shard_out(run):
    process, scouts = run(16, dict.fromkeys(range(16), 0))
    claimed = rounds(process, scouts, 8.0)
    changes = sum(one != other for one, other in pairwise(claimed))
    assert set(claimed) == set(range(16)), "within seconds each has had its turn"
    assert changes <= 8.0 / 0.25, "and stays with one for a quarter of a second"
    assert len(scouts.asked) <= 81, "ten times a second it looks where work is"


def test_the_best_priority_comes_first_and_the_others_do_not_starve(run):
    process, scouts = run(4, {0: 0, 1: 0, 2: 7, 3: 0})
    claimed = rounds(process, scouts, 10.0)
    assert claimed[0] == 2
    assert claimed.count(2) > len(claimed) / 2
    assert set(claimed) == {0, 1, 2, 3}


def test_a_better_priority_ends_the_turn(run):
    process, scouts = run(4, {0: 0})
    assert set(rounds(process, scouts, 0.2)) == {0}
    scouts.ready[3] = 9
    assert rounds(process, scouts, 0.2)[-1] == 3


def test_what_is_for_others_in_all_shards_takes_a_tenth_of_the_time(run):
    process, scouts = run(16, dict.fromkeys(range(16), 0))
    busy, began = 0.0, scouts.now

    def exchange(shard, ended, requests, freed):
        nonlocal busy
        scouts.now += 0.002
        busy += 0.002
        return [], [[] for _ in requests]

    scouts.exchange = exchange
    while scouts.now < began + 10.0:
        process.ask()
        process.scout(scouts)
        for one, claims in process.order(()):
            if claims:
                one.exchange(scouts, [], 10, {}, 10)
        scouts.now += 0.005
    assert busy > 0
    assert busy / (scouts.now - began) < 0.12


def test_what_is_under_way_goes_on_for_a_second_in_a_shard_whose_turn_is_over(run):
    process, scouts = run(4, {0: 0, 1: 0})
    at = rounds(process, scouts, 0.1)[0]
    first = process.claimings[at]
    del scouts.ready[at]
    first.more = False
    assert rounds(process, scouts, 0.05)[-1] == 1 - at
    assert process.goes_on(first)
    assert not process.goes_on(process.claimings[2]), "it had no turn"
    scouts.ready[3] = 9
    rounds(process, scouts, 0.2)
    assert not process.goes_on(first), "something better waits"
    del scouts.ready[3]
    rounds(process, scouts, 0.1)
    scouts.now += 1.0
    assert not process.goes_on(first)


def test_shards_without_work_are_asked_nothing(run):
    process, scouts = run(16, {})
    process.hurry()
    process.scout(scouts)
    assert scouts.asked == [list(range(16))]
    assert list(process.order(())) == []
    assert process.due_in(scouts.now) is None, "and nobody looks again until somebody says so"
    process.scout(scouts)
    assert len(scouts.asked) == 1


def test_outcomes_are_written_without_a_claim_while_another_shard_has_enough(run):
    process, scouts = run(4, {1: 0})
    process.scout(scouts)
    assert [(one.shard, claims) for one, claims in process.order({3})] == [(3, False), (1, True)]
    process.claimings[1].more = False
    assert [(one.shard, claims) for one, claims in process.order({3})] == [(3, True)]


def test_what_is_due_is_promoted_where_it_is(run):
    process, scouts = run(4, {})
    scouts.due = [2]
    process.scout(scouts)
    assert scouts.promoted == [2]
    assert process.claimings[2].more


def test_a_share_is_served_and_others_are_helped_after_two_seconds(run):
    process, scouts = run(4, {0: 0, 3: 0}, waited=1.0)
    process.serve({0, 1}, helps=True)
    assert set(rounds(process, scouts, 3.0)) == {0}
    assert [0, 1, 2, 3] in scouts.asked
    assert sum(len(asked) == 4 for asked in scouts.asked) <= 4, "once a second"
    scouts.waited = 2.5
    assert set(rounds(process, scouts, 5.0)) == {0, 3}


def test_who_was_told_its_shards_looks_at_no_others(run):
    process, scouts = run(4, {0: 0, 3: 0}, waited=60.0)
    process.serve({0, 1}, helps=False)
    assert set(rounds(process, scouts, 5.0)) == {0}
    assert all(asked == [0, 1] for asked in scouts.asked)
    assert next((one.shard, claims) for one, claims in process.order({3})) == (3, False), (
        "what it holds is finished"
    )
