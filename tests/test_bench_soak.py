"""What `make soak` says of its measurements: it sees what grows, and only that."""

from __future__ import annotations

import math

import pytest

from bench.soak_judge import BOUNDS, Bound, judge

BOUND = Bound("memory", "MiB", 0.1, 5)
TIMES = range(0, 3600, 15)


def points(value):
    return [(float(at), value(at)) for at in TIMES]


def verdict(value, bound=BOUND):
    (found,) = judge({"memory, process 1": points(value)}, [bound])
    return found


@pytest.mark.parametrize(
    ("value", "ok"),
    [
        (lambda at: 100, True),
        (lambda at: 100 + at / 3600 * 14, True),  # 9 of them after the warm-up: 10% are allowed
        (lambda at: 100 + at / 3600 * 30, False),
        (lambda at: 100 - at / 60, True),
        # what grows until it is warm, and then no more
        (lambda at: min(at, 1200) / 10, True),
        # a saw: up for a minute, then swept
        (lambda at: 100 + at % 60, True),
        (lambda at: 100 + at % 60 + at / 60, False),
        (lambda at: 50 + 40 * math.sin(at), True),
    ],
)
def test_growth_is_told_from_ups_and_downs(value, ok):
    assert verdict(value).ok is ok


def test_small_numbers_may_vary_by_the_floor_and_the_figures_are_told():
    found = verdict(lambda at: 1 + at / 3600 * 6)
    assert found.ok
    assert found.series == "memory, process 1"
    assert found.growth == pytest.approx(4, rel=0.02)
    assert (found.allowed, found.unit) == (5, "MiB")
    assert found.most == pytest.approx(7, abs=0.1)
    assert not verdict(lambda at: 1 + at / 3600 * 9).ok


def test_a_series_without_a_bound_or_without_points_is_no_pass():
    with pytest.raises(ValueError, match="nobody has said"):
        judge({"other": points(lambda at: 1)}, [BOUND])
    with pytest.raises(ValueError, match="never measured: memory"):
        judge({}, [BOUND])
    with pytest.raises(ValueError, match="too few"):
        judge({"memory": points(lambda at: 1)[:3]}, [BOUND])


def test_every_bound_lets_something_grow_and_none_lets_it_double():
    assert all(bound.share <= 0.5 and (bound.share > 0 or bound.floor > 0) for bound in BOUNDS)
