"""How much of what a process takes is new work: less while its steps release more than it has room for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tributary_daemon.daemon.holdings import Holdings
from tributary_daemon.daemon.intake import NOT_ALL, Intake

SLOTS = 10
TARGET = 900


class Process:
    """Holds steps, ends the older half of them with each exchange, and counts what had to be written for it.

    Args:
        widths: how many steps each released step of that depth releases; a source is at depth 0.
        target: leases to hold.
    """

    def __init__(self, *widths, target=TARGET):
        self.pace = SimpleNamespace(target=lambda: target)
        self.holdings = Holdings(SLOTS)
        self.intake = Intake(SLOTS, self.pace, self.holdings)
        self.widths = widths
        self.count = self.handed = self.written = self.ended = 0

    def exchange(self):
        held = list(self.holdings.held.values())
        ending = held[: max(1, len(held) // 2)] if held else []
        for one in ending:
            one.reported = True
        self.holdings.ended = [(one, None) for one in ending]
        want = self.intake.want()
        most, in_all = self.intake.claims(want), self.intake.in_all(want, len(ending))
        released = [
            one.depth + 1
            for one in ending if one.depth < len(self.widths)
            for _ in range(self.widths[one.depth])
        ]  # fmt: skip
        handed = released[:in_all]
        claims = max(0, min(most, want - len(handed)))
        # what was not handed on comes last, as all sources were recorded before it became available
        claimed = [0] * claims
        how = 1 if handed == released else NOT_ALL
        self.intake.exchanged([row(how) for _ in handed] + [row(0) for _ in claimed], want, len(ending))
        self.holdings.written(self.holdings.ended)
        for depth, on in [*((d, True) for d in handed), *((d, False) for d in claimed)]:
            self.hold(depth, on)
        self.handed += len(handed)
        self.written += len(released) - len(handed)
        self.ended += len(ending)
        return want, len(claimed)

    def hold(self, depth, handed_on):
        self.count += 1
        self.holdings.held["run", self.count] = SimpleNamespace(
            run_id="run", ordinal=self.count, depth=depth, handed_on=handed_on, reported=False, dropped=False
        )


def row(how):
    return (*[None] * 19, how)


def after(process, exchanges):
    for _ in range(exchanges):
        process.exchange()
    return process


def test_without_fans_whatever_there_is_room_for_is_claimed():
    for widths in ((), (1,) * 9):
        process = after(Process(*widths), 200)
        assert len(process.holdings.held) == TARGET
        assert process.written == 0


@pytest.mark.parametrize("widths", [(2,), (8,), (40,), (8, 1), (1, 8), (3, 3)])
def test_what_fans_release_is_handed_on(widths):
    process = after(Process(*widths), 100)
    before = process.handed, process.written
    after(process, 400)
    handed, written = process.handed - before[0], process.written - before[1]
    # without a bound half of what fans of two release, and nearly all of wider ones
    assert written < 0.05 * (handed + written)
    # what is left unused is less than half of the room
    assert process.ended > 0.45 * 500 * TARGET / 2


def test_slots_are_filled_whatever_was_released_before():
    process = after(Process(40), 20)
    process.holdings.held.clear()
    want, claimed = process.exchange()
    assert want == TARGET
    assert SLOTS <= claimed < TARGET


def test_the_bound_is_gone_soon_after_the_last_fan():
    process = after(Process(40), 50)
    process.widths = ()
    want, claimed = after(process, 15).exchange()
    assert want == claimed >= TARGET // 2 - 1


def test_nothing_is_asked_for_beyond_the_room_where_nothing_is_fetched_ahead():
    process = Process(40, target=SLOTS)
    for _ in range(50):
        process.exchange()
        assert len(process.holdings.held) == SLOTS


def test_a_single_wide_fan_does_not_make_a_process_begin_anew():
    """Its items are claimed next, and there are thousands of them."""
    process = Process(20_000)
    process.intake.exchanged([row(0)], TARGET, 0)
    process.hold(0, handed_on=False)
    process.exchange()
    assert process.handed == TARGET
    assert process.intake.claims(TARGET) == TARGET


def test_chains_go_on_in_a_process_that_holds_more_than_it_would_by_now():
    process = after(Process(*(1,) * 9), 50)
    process.pace.target = lambda: TARGET * 2 // 3
    after(process, 200)
    assert process.written == 0
    assert process.intake.claims(TARGET) == TARGET
