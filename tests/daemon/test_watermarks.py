"""Watermarks and pace: what is asked for, and how much."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.daemon import pace
from tributary_daemon.daemon.watermarks import MOST_LANES, Watermarks
from tributary_daemon.store.lanes import Lane


def row(seq, queue="default", priority=0, tenant=""):
    return (
        "id",
        0,
        seq,
        "intent",
        "n",
        None,
        queue,
        1,
        3,
        0,
        "{}",
        0,
        None,
        0,
        priority,
        tenant,
        None,
        None,
        "(0,1)",
        False,
    )


def asked(marks, queues, most):
    return marks.request(marks.lanes(queues), most, follows_up=True)


def take(marks, *rows):
    """A claim over all known lanes has brought these rows, and no more."""
    marks.took(asked(marks, ["a", "b"], 100), rows, short=False)


def test_the_base_lanes_are_always_asked():
    request = asked(Watermarks(["a", "b"]), ["a", "b"], 7)
    assert {lane.queue for lane in request.lanes} == {"a", "b"}
    assert request.most == 7
    assert list(request.lows) == [0, 0]


def test_a_claim_moves_the_watermark_to_its_lowest_row_and_never_back():
    marks = Watermarks(["a"])
    take(marks, row(30, "a"), row(20, "a"))
    assert marks.low(Lane("a", 0, "")) == 20
    take(marks, row(10, "a"))
    assert marks.low(Lane("a", 0, "")) == 20


def test_better_priorities_come_first_and_equals_take_turns():
    marks = Watermarks(["a", "b"])
    marks.sweep([(Lane("a", 5, ""), 1), (Lane("a", -5, ""), 1)], 1)
    orders = {
        tuple((lane.queue, lane.priority) for lane in asked(marks, ["a", "b"], 1).lanes) for _ in range(4)
    }
    assert orders == {
        (("a", 5), ("a", 0), ("b", 0), ("a", -5)),
        (("a", 5), ("b", 0), ("a", 0), ("a", -5)),
    }


def test_a_sweep_asks_for_unknown_lanes_and_for_what_lies_behind():
    marks = Watermarks(["a"])
    assert marks.sweep([(Lane("a", 0, ""), 5)], 3) is None
    take(marks, row(100, "a"))
    behind = marks.sweep([(Lane("a", 0, ""), 40), (Lane("a", 9, ""), 50)], 3)
    assert list(zip(behind.lanes, behind.lows, strict=True)) == [
        (Lane("a", 9, ""), 50),
        (Lane("a", 0, ""), 40),
    ]
    marks.swept(Lane("a", 0, ""), 70)
    assert list(marks.sweep([(Lane("a", 0, ""), 40)], 3).lows) == [70]
    marks.swept(Lane("a", 0, ""), None)
    assert list(marks.sweep([(Lane("a", 0, ""), 40)], 3).lows) == [40]


def test_a_claim_begins_once_with_what_committed_late():
    marks = Watermarks(["a"])
    lane = Lane("a", 0, "")
    take(marks, row(100, "a"))
    marks.look_back([(lane, 40), (Lane("a", 3, ""), 1)])
    request = asked(marks, ["a"], 5)
    assert list(request.lows) == [40]
    # there may be more of it, if that was all that was asked for
    marks.took(request, [row(40, "a"), row(45, "a")], short=False)
    request = asked(marks, ["a"], 5)
    assert list(request.lows) == [46]
    marks.took(request, [row(60, "a"), row(110, "a")], short=False)
    assert list(asked(marks, ["a"], 5).lows) == [100]
    # what nobody here can run lies there, and was passed over
    marks.swept(lane, 70)
    marks.look_back([(lane, 40)])
    request = asked(marks, ["a"], 5)
    assert list(request.lows) == [70]
    marks.took(request, [], short=True)
    marks.look_back([(lane, 120)])
    assert list(asked(marks, ["a"], 5).lows) == [100]


def low_of(marks, lane, low):
    """Return a claim, in which a lane begins there."""
    request = asked(marks, ["a"], 2)
    assert dict(zip(request.lanes, request.lows, strict=True))[lane] == low
    return request


def test_what_committed_late_waits_for_the_claim_that_comes_to_its_lane():
    marks, late = Watermarks(["a"]), Lane("a", 0, "late")
    take(marks, row(50, "a", 0, "late"), row(60, "a", 0, "late"))
    take(marks, row(100, "a"))
    marks.look_back([(late, 40)])
    # another lane has enough for all that is asked for
    request = low_of(marks, late, 40)
    assert request.lanes[0] != late
    marks.took(request, [row(101, "a")], short=False)
    marks.took(low_of(marks, late, 40), [row(102, "a")], short=True)
    low_of(marks, late, 50)


def test_lanes_once_used_are_forgotten_but_not_the_base():
    marks = Watermarks(["a"])
    marks.sweep([(Lane("a", n, ""), 1) for n in range(1, MOST_LANES + 10)], 1)
    assert len(asked(marks, ["a"], 1).lanes) == MOST_LANES
    marks.forget({Lane("a", 3, ""): 1})
    assert {lane.priority for lane in asked(marks, ["a"], 1).lanes} == {0, 3}


@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from(["", "t"]), st.integers(1, 1000)), max_size=30))
def test_no_available_row_stays_hidden_from_a_sweep(found):
    marks = Watermarks(["a"])
    take(marks, row(500, "a"))
    first = {}
    for priority, tenant, seq in found:
        lane = Lane("a", priority, tenant)
        first[lane] = min(seq, first.get(lane, seq))
    before = {lane: marks.low(lane) for lane in first}
    swept = marks.sweep(list(first.items()), 10)
    lows = dict(zip(swept.lanes, swept.lows, strict=True)) if swept else {}
    for lane, seq in first.items():
        assert lows.get(lane, before[lane]) <= seq


def test_the_pace_follows_what_is_finished(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    measured = pace.Pace(10)
    assert measured.target() == 10
    for _ in range(200):
        now[0] += 0.05
        measured.finished(100)
        measured.target()
    assert 0.9 * 2000 * pace.HORIZON <= measured.target() <= 2000 * pace.HORIZON
    for _ in range(200):
        now[0] += 0.05
        measured.finished(10_000)
        measured.target()
    assert measured.target() == pace.MOST
    measured.stalled()
    assert measured.target() == 10
    for _ in range(200):
        now[0] += pace.HORIZON
        # ten slots that are taken for as long as that: what is fetched ahead would only wait
        measured.finished(10)
        measured.target()
    assert measured.target() == 10


def test_the_pace_is_known_after_one_round(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    measured = pace.Pace(10)
    now[0] += 30.0
    # nothing to do for a while: that is no pace
    assert measured.target() == 10
    now[0] += 0.02
    measured.finished(200)
    assert measured.target() == pytest.approx(10_000 * pace.HORIZON, abs=1)
    measured.stalled()
    now[0] += 0.02
    measured.finished(1)
    # what found no slot is not promised again by a single good round
    assert measured.target() == 10


def drain(marks, ready, claims, most):
    """Let claims take from lanes that hold so many rows each; return who got how much, claim by claim."""
    marks.learn([(Lane("a", 0, tenant), 1) for tenant in ready])
    got = []
    for _ in range(claims):
        left, taken = most, {}
        request = asked(marks, ["a"], most)
        left = min(left, request.most)
        for lane in request.lanes:
            count = min(left, ready.get(lane.tenant, 0))
            if count:
                taken[lane.tenant] = count
                ready[lane.tenant] -= count
                left -= count
        rows = [row(1, "a", 0, tenant) for tenant, count in taken.items() for _ in range(count)]
        marks.took(request, rows, short=left > 0)
        got.append(taken)
    return got


def test_a_tenant_with_much_work_delays_another_by_no_claim():
    marks, ready = Watermarks(["a"]), {"big": 100_000}
    drain(marks, ready, 20, 100)
    ready["small"] = 1
    assert drain(marks, ready, 1, 100) == [{"small": 1, "big": 99}]
    # also one that comes back again and again, with a little each time
    for _ in range(50):
        ready["small"] = 3
        (taken,) = drain(marks, ready, 1, 100)
        assert taken == {"small": 3, "big": 97}


def test_many_tenants_with_much_work_delay_one_with_little_by_no_claim():
    marks, ready = Watermarks(["a"]), {f"big{n}": 100_000 for n in range(50)}
    drain(marks, ready, 110, 100)
    for _ in range(120):
        ready["small"] = 1
        assert drain(marks, ready, 1, 100)[0]["small"] == 1
    # and these take turns as before
    given = [100_000 - left for tenant, left in ready.items() if tenant != "small"]
    assert max(given) - min(given) <= 200


def test_a_process_that_begins_beside_many_tenants_with_much_work_knows_them_soon():
    marks, ready = Watermarks(["a"]), {f"big{n}": 100_000 for n in range(50)}
    drain(marks, ready, 1, 2_000)
    ready["small"] = 1
    taken = drain(marks, ready, 50, 2_000)
    assert any("small" in each for each in taken)
    # a few rows of each: that it takes no turn of full claims
    assert sum(sum(each.values()) for each in taken[:49]) < 4_000
    assert sum(drain(marks, ready, 1, 2_000)[0].values()) == 2_000
    # one priority after the other, each lane is the only one of its own: nothing to be careful about
    marks = Watermarks(["a"])
    marks.learn([(Lane("a", n, ""), 1) for n in range(50)])
    assert asked(marks, ["a"], 2_000).most == 2_000


def test_tenants_with_little_work_that_never_ends_keep_none_with_much_from_its_share():
    marks, ready = Watermarks(["a"]), {"big": 100_000, "other": 100_000}
    drain(marks, ready, 20, 100)
    before = dict(ready)
    small = [f"small{n}" for n in range(20)]
    for _ in range(300):
        # what these ask for would fill each claim
        ready.update(dict.fromkeys(small, 5))
        drain(marks, ready, 1, 100)
    # 22 share 30,000 rows; who comes late has a claim for a start, and with little goes first by another
    assert all(before[tenant] - ready[tenant] >= 30_000 // 22 - 200 for tenant in ("big", "other"))


def test_tenants_with_much_work_share_and_one_that_comes_late_has_no_claim_to_the_past():
    marks, ready = Watermarks(["a"]), {"one": 100_000, "two": 100_000}
    drain(marks, ready, 40, 100)
    assert ready["one"] == ready["two"]
    ready["late"] = 100_000
    before = dict(ready)
    drain(marks, ready, 30, 100)
    given = {tenant: before[tenant] - left for tenant, left in ready.items()}
    assert set(given.values()) == {1_000}


def test_of_more_tenants_than_a_claim_asks_those_with_work_come_first_and_each_in_its_turn():
    marks = Watermarks(["a"])
    ready = {f"t{n}": 10 for n in range(5 * MOST_LANES)}
    got = drain(marks, ready, 5, 10 * MOST_LANES)
    assert all(len(taken) == MOST_LANES for taken in got)
    assert not any(ready.values())
    # all are known now and none holds anything but one: it is asked for, whoever else is known
    ready = {"t7": 5}
    assert drain(marks, ready, 1, 10) == [{"t7": 5}]


def test_what_a_lane_once_had_at_once_says_nothing_of_smaller_claims():
    marks, ready = Watermarks(["a", "b"]), {"big": 100_000, "other": 2_000}
    drain(marks, ready, 8, 2_000)
    # the other one is idle now, and claims have become small
    drain(marks, ready, 1, 10)
    ready["late"] = 100_000
    got = drain(marks, ready, 20, 10)
    assert {tenant for taken in got[:3] for tenant in taken} == {"big", "late"}
    assert abs(sum("big" in taken for taken in got) - 10) <= 1


def test_a_process_that_begins_beside_tenants_without_number_takes_little_for_a_while_only():
    marks, ready = Watermarks(["a"]), {f"big{n}": 10_000 for n in range(1_000)}
    got = drain(marks, ready, 100, 2_000)
    assert [sum(taken.values()) for taken in got].count(2_000) > 30


def test_claims_in_vain_are_counted_where_they_came_to_a_lane():
    marks, lane = Watermarks(["a"]), Lane("a", 0, "x")
    marks.learn([(lane, 1)])
    request = asked(marks, ["a"], 5)
    at = request.lanes.index(lane)
    first = request.lanes[0]
    marks.took(request, [row(1, "a", 0, first.tenant)], short=False)
    assert marks.vain(lane) == 0, f"it came {at}."
    marks.took(asked(marks, ["a"], 5), [], short=True)
    assert marks.vain(lane) == 1
    take(marks, row(1, "a", 0, "x"))
    assert marks.vain(lane) == 0


def test_a_lane_that_nothing_was_ready_in_had_no_claim_in_vain():
    marks, lane = Watermarks(["a"]), Lane("a", 0, "x")
    marks.learn([(lane, 1)])
    take(marks, row(1, "a", 0, "x"))
    marks.learn([])
    for _ in range(20):
        marks.took(asked(marks, ["a"], 5), [], short=True)
    # its tenant comes back with so much that it looks like what is for others
    marks.learn([(lane, 100)])
    assert marks.in_vain(10) == []
    for _ in range(11):
        marks.took(asked(marks, ["a"], 5), [], short=True, opened=lambda _: False)
    assert marks.in_vain(10) == [], "it is paused"
    for _ in range(11):
        marks.took(asked(marks, ["a"], 5), [], short=True)
    assert marks.in_vain(10) == [lane]
    marks.skip(lane, 200)
    marks.skip(Lane("a", 7, "unknown"), 200)
    assert marks.low(lane) == 200


def test_what_a_bounded_queue_is_given_says_nothing_of_turns_elsewhere():
    marks = Watermarks(["a", "b"])
    tenants, given = ("x", "y", "z"), dict.fromkeys("xyz", 0)
    marks.learn([(Lane("a", 0, tenant), 1) for tenant in tenants] + [(Lane("b", 0, ""), 1)])
    for _ in range(300):
        first = asked(marks, ["a"], 10)
        marks.took(first, [row(1, "a", 0, first.lanes[0].tenant)] * 10, short=False)
        given[first.lanes[0].tenant] = given.get(first.lanes[0].tenant, 0) + 10
        bounded = marks.request(marks.lanes(["b"]), 10, among="b")
        marks.took(bounded, [row(1, "b")] * 10, short=False)
    assert [given[tenant] > 700 for tenant in tenants] == [True] * 3


def goes_on(marks, ready):
    """A tenant's chains leave room for nothing else for a while; return who comes first afterwards."""
    marks.learn([(Lane("a", 0, tenant), 1) for tenant in ready])
    handed = [(*row(1, "a", 0, "chain")[:19], 1)] * 10
    for _ in range(50):
        marks.took(marks.request(marks.lanes(["a"]), 0, follows_up=True, in_all=10), handed, short=False)
    marks.learn([(Lane("a", 0, tenant), 1) for tenant in ("chain", "other")])
    turns = []
    for _ in range(60):
        request = asked(marks, ["a"], 10)
        first = next(lane.tenant for lane in request.lanes if lane.tenant)
        marks.took(request, [row(1, "a", 0, first)] * 10, short=False)
        turns.append(first)
    return turns


def test_what_is_handed_on_takes_no_turn_away_from_who_waits():
    turns = goes_on(Watermarks(["a"]), ["chain", "other"])
    assert turns[:49] == ["other"] * 49, "it has as much to come as the chains were given"
    assert {*turns[49:]} == {"chain", "other"}


def test_who_comes_back_has_no_claim_to_what_was_handed_on_meanwhile():
    turns = goes_on(Watermarks(["a"]), ["chain"])
    assert 28 <= turns.count("other") <= 32
