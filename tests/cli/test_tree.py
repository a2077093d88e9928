from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tributary_daemon.cli.tree import MAX_INDENT, places


def _drawn(**needs):
    steps = {step_id: {"needs": list(needed)} for step_id, needed in needs.items()}
    return [f"{place.indent}{place.step_id}" for place in places(steps)]


def test_a_chain_hangs_down():
    assert _drawn(a=[], b=["a"], c=["b"]) == ["a", "└─ b", "   └─ c"]


def test_a_join_stands_beside_its_branches_below_the_fork():
    assert _drawn(plan=[], x=["plan"], y=["plan"], join=["x", "y"], report=["join"]) == [
        "plan",
        "├─ x",
        "├─ y",
        "└─ join",
        "   └─ report",
    ]


def test_a_join_of_two_roots_is_a_root():
    assert _drawn(a=[], b=[], join=["a", "b"]) == ["a", "b", "join"]


def test_needs_come_first_whatever_the_order_of_the_file():
    assert _drawn(last=["first"], first=[]) == ["first", "└─ last"]


def test_ascii_for_terminals_without_unicode():
    steps = {"a": {"needs": []}, "b": {"needs": ["a"]}, "c": {"needs": ["a"]}}
    assert [place.indent for place in places(steps, unicode=False)] == ["", "|- ", "`- "]


def test_a_chain_of_ten_thousand_neither_recurses_nor_runs_off_the_screen():
    steps = {f"s{number}": {"needs": [f"s{number - 1}"] if number else []} for number in range(10_000)}
    drawn = places(steps)
    assert [place.step_id for place in drawn] == list(steps)
    assert max(len(place.indent) for place in drawn) == 3 * MAX_INDENT


@st.composite
def _graphs(draw):
    size = draw(st.integers(0, 12))
    return {
        f"s{number}": {
            "needs": [f"s{need}" for need in draw(st.sets(st.integers(0, number - 1)))] if number else []
        }
        for number in range(size)
    }


@given(_graphs(), st.randoms(use_true_random=False))
def test_every_step_is_drawn_once_and_below_a_step_that_all_its_paths_cross(steps, random):
    order = list(steps)
    random.shuffle(order)
    drawn = places({step_id: steps[step_id] for step_id in order})
    assert sorted(place.step_id for place in drawn) == sorted(steps)
    for place in drawn:
        needs = steps[place.step_id]["needs"]
        if place.parent is None:
            continue
        for need in needs:
            assert _reaches_only_through(place.parent, need, steps)


def _reaches_only_through(gate, step_id, steps):
    """Whether every way up from ``step_id`` to a step without needs crosses ``gate``."""
    if step_id == gate:
        return True
    needs = steps[step_id]["needs"]
    return bool(needs) and all(_reaches_only_through(gate, need, steps) for need in needs)
