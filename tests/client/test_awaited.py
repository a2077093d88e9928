"""The book of a waiting client: what it asks for, and when, by no clock but the given one."""

from __future__ import annotations

import itertools
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tributary_daemon.client.awaited import (
    AFTER_REGISTERING,
    BACKSTOP,
    FIRST_POLL,
    LINGER,
    RENEWAL,
    SLOWEST_POLL,
    Book,
    Ticket,
)
from tributary_daemon.errors import DatabaseError

IDS = [f"01234567-89ab-7def-8123-{number:012x}" for number in range(5_000)]


def ticket(number=0, slowest=None):
    return Ticket(IDS[number], threading.Event(), slowest)


@pytest.fixture
def book():
    return Book(0.0)


@pytest.fixture
def listening(book):
    book.turn(listening=True, now=0.0)
    assert book.take(0.0).registers
    return book


def looks(book, until):
    """Return when one id is looked for, without an end."""
    now, found = 0.0, []
    while now <= until:
        taken = book.take(now)
        if taken.look:
            found.append(round(now, 3))
        book.looked(taken, (), now)
        now += max(book.pause(now), 0.001)
    return found


def test_without_notifications_it_polls_quickly_first_and_then_slower(book):
    book.join(ticket(), 0.0)
    found = looks(book, 10.0)
    gaps = [later - at for at, later in itertools.pairwise(found)]
    assert found[0] == pytest.approx(FIRST_POLL, abs=0.011)
    assert all(later > at - 0.01 for at, later in itertools.pairwise(gaps[:5]))
    assert gaps[-1] == pytest.approx(SLOWEST_POLL, abs=0.011)


def test_with_them_it_looks_after_the_registration_and_then_rarely(listening):
    listening.join(ticket(), 0.0)
    found = looks(listening, 10.0)
    assert found[:3] == pytest.approx([0.0, AFTER_REGISTERING[0], sum(AFTER_REGISTERING)], abs=0.021)
    assert found[4] - found[3] == pytest.approx(BACKSTOP, abs=0.011)
    assert len(found) <= 8


def test_waits_that_began_at_different_times_are_polled_in_one_statement(book):
    now, statements = 0.0, 0
    for number in range(50):
        book.join(ticket(number), number / 50)
    while now < 30:
        taken = book.take(now)
        statements += bool(taken.look) and now > 10
        book.looked(taken, (), now)
        now += max(book.pause(now), 0.001)
    assert statements == pytest.approx(20 / SLOWEST_POLL, abs=2)


@pytest.mark.parametrize(("poll", "gap"), [(0.05, 0.05), (7.0, 7.0), (math.inf, BACKSTOP)])
def test_the_callers_own_pace_holds_for_the_backstop(listening, poll, gap):
    listening.join(ticket(slowest=poll), 0.0)
    found = looks(listening, 20.0)
    assert found[-1] - found[-2] == pytest.approx(gap, abs=0.011)


def test_who_polls_himself_is_polled_by_nobody_else(book):
    book.join(ticket(slowest=math.inf), 0.0)
    assert book.pause(0.0) == math.inf
    assert book.take(100.0).look == []


def test_many_waits_are_asked_for_together_and_more_rarely(book):
    tickets = [ticket(number) for number in range(5_000)]
    for number, one in enumerate(tickets):
        book.join(one, number * 1e-6)
    now = 0.0
    for _ in range(5):
        now += book.pause(now)
        taken = book.take(now)
        assert len(taken.look) == 5_000
        book.looked(taken, (), now)
    assert book.pause(now) == pytest.approx(2.5, abs=0.01)


def test_a_wait_is_registered_once_and_taken_back(listening):
    first, second, other = ticket(), ticket(), ticket(1)
    for one in (first, second, other):
        listening.join(one, 1.0)
    taken = listening.take(1.0)
    assert (taken.registers, sorted(taken.new), taken.done) == (True, IDS[:2], [])
    listening.looked(taken, (), 1.0)
    listening.leave(first, 2.0)
    listening.leave(first, 2.0)
    assert not listening.take(3.0).registers
    listening.leave(second, 3.0)
    assert 0 < listening.pause(3.1) <= 0.5
    taken = listening.take(4.0)
    assert (taken.new, taken.done) == ([], IDS[:1])
    # whoever comes back is registered again
    listening.join(first, 4.0)
    assert listening.take(4.0).new == IDS[:1]


def test_who_leaves_and_comes_back_at_once_stays_registered(listening):
    first = ticket()
    listening.join(first, 0.0)
    listening.looked(listening.take(0.0), (), 0.0)
    listening.leave(first, 1.0)
    listening.join(first, 1.1)
    taken = listening.take(5.0)
    assert (taken.registers, taken.look) == (False, IDS[:1])


def test_who_left_while_it_was_registered_is_taken_back(listening):
    first = ticket()
    listening.join(first, 0.0)
    taken = listening.take(0.0)
    listening.leave(first, 0.0)
    listening.looked(taken, (), 0.0)
    assert listening.take(1.0).done == IDS[:1]


def test_an_end_wakes_all_who_wait_for_it_and_nobody_else(listening):
    first, second, other = ticket(), ticket(), ticket(1)
    for one in (first, second, other):
        listening.join(one, 0.0)
    listening.heard([IDS[0], IDS[7]])
    assert [one.flag.is_set() for one in (first, second, other)] == [True, True, False]
    listening.looked(listening.take(0.0), {IDS[1]}, 0.0)
    assert other.flag.is_set()


def test_who_joins_late_is_looked_for_although_the_others_were_told(listening):
    listening.join(ticket(), 0.0)
    for now in (0.0, 0.02, 0.2):
        listening.looked(listening.take(now), (), now)
    assert listening.pause(0.3) > 1
    listening.join(ticket(), 0.3)
    assert listening.take(0.3).look == IDS[:1]


def test_when_notifications_begin_or_end_all_are_looked_for(book):
    book.join(ticket(), 0.0)
    book.turn(listening=True, now=5.0)
    taken = book.take(5.0)
    assert (taken.registers, taken.new, taken.look) == (True, IDS[:1], IDS[:1])
    book.looked(taken, (), 5.0)
    book.turn(listening=False, now=6.0)
    assert book.pause(6.0) == pytest.approx(FIRST_POLL)
    book.turn(listening=True, now=7.0)
    taken = book.take(7.0)
    # its row may have stood all the while
    assert (taken.registers, taken.new, taken.look) == (True, [], IDS[:1])


def test_it_says_that_it_still_waits(listening):
    listening.join(ticket(slowest=60.0), 0.0)
    now, renewed = 0.0, []
    while now < 60:
        taken = listening.take(now)
        if taken.registers:
            renewed.append(now)
        listening.looked(taken, (), now)
        now += max(listening.pause(now), 0.001)
    assert len(renewed) == pytest.approx(60 / RENEWAL, abs=1)


def test_who_was_swept_registers_all_of_it_again(listening):
    for number in range(3):
        listening.join(ticket(number), 0.0)
    listening.looked(listening.take(0.0), (), 0.0)
    listening.join(ticket(3), 1.0)
    taken = listening.take(1.0)
    listening.unknown(taken, 1.0)
    listening.looked(taken, (), 1.0)
    again = listening.take(1.0)
    assert sorted(again.new) == IDS[:3]
    listening.looked(again, (), 1.0)
    # after the registration, as after the first one
    assert sorted(listening.take(1.0 + AFTER_REGISTERING[0]).look) == IDS[:4]


def test_a_leave_that_was_lost_with_the_row_takes_nothing_back_later(listening):
    first = ticket()
    listening.join(first, 0.0)
    listening.looked(listening.take(0.0), (), 0.0)
    listening.leave(first, 1.0)
    listening.join(ticket(1), 1.0)
    taken = listening.take(1.0)
    listening.unknown(taken, 1.0)
    listening.join(first, 1.0)
    taken = listening.take(9.0)
    assert (taken.new, taken.done) == (IDS[:1], [])


def test_what_could_not_be_asked_is_asked_again(listening):
    first, gone = ticket(), ticket(1)
    listening.join(first, 0.0)
    listening.join(gone, 0.0)
    listening.looked(listening.take(0.0), (), 0.0)
    listening.leave(gone, 0.0)
    listening.join(ticket(2), 1.0)
    taken = listening.take(1.0)
    listening.failed(taken, 1.0)
    again = listening.take(1.0)
    assert (again.new, again.done) == (taken.new, taken.done) == ([IDS[2]], [IDS[1]])
    assert sorted(again.look) == sorted(taken.look)


def test_a_registration_that_is_refused_makes_it_poll_and_try_again_later(listening):
    listening.join(ticket(), 0.0)
    taken = listening.take(0.0)
    listening.looked(taken, (), 0.0)
    listening.unregistered(taken, 0.0)
    found, now = [], 0.0
    while now < RENEWAL - 1:
        now += max(listening.pause(now), 0.001)
        taken = listening.take(now)
        found.append(now)
        assert not taken.registers
        listening.looked(taken, (), now)
    assert found[-1] - found[-2] == pytest.approx(SLOWEST_POLL, abs=0.011)
    while not taken.registers and now < 2 * RENEWAL:
        now += max(listening.pause(now), 0.001)
        taken = listening.take(now)
        listening.looked(taken, (), now)
    assert taken.new == IDS[:1]


def test_a_look_that_is_refused_is_told_to_the_owner(book):
    first, other = ticket(), ticket(1)
    book.join(first, 0.0)
    book.join(other, 10.0)
    error = DatabaseError("no")
    book.refused(book.take(1.0), error)
    assert (first.error, first.flag.is_set()) == (error, True)
    assert (other.error, other.flag.is_set()) == (None, False)


def test_it_is_idle_a_while_after_the_last_wait(book):
    first = ticket()
    assert not book.is_idle(LINGER - 1)
    book.join(first, 1.0)
    assert not book.is_idle(1_000.0)
    book.leave(first, 1_000.0)
    assert book.pause(1_000.0) == LINGER
    assert book.is_idle(1_000.0 + LINGER)


def test_at_its_end_everybody_looks_and_goes_elsewhere(book):
    first = ticket()
    book.join(first, 0.0)
    book.end()
    assert first.over
    assert first.flag.is_set()
    assert len(book) == 0


WORDS = (*["join", "leave", "ask"] * 4, "listen", "deaf", "unknown", "fail", "refuse")
STEPS = st.lists(
    st.tuples(st.sampled_from(WORDS), st.integers(0, 1), st.sampled_from([0.0, 0.0, 0.01, 0.3, 3.0, 20.0])),
    min_size=5,
    max_size=40,
)


def test_who_comes_back_before_it_was_taken_off_leaves_no_idle_turns(listening):
    first = ticket(slowest=60.0)
    listening.join(first, 0.0)
    listening.looked(listening.take(0.0), (), 0.0)
    listening.leave(first, 1.0)
    listening.join(first, 1.0)
    for now in (1.0, 1.02, 1.2):
        listening.looked(listening.take(now), (), now)
    assert listening.pause(1.2) > 10


@settings(deadline=None)
@given(STEPS)
def test_whatever_happens_it_never_turns_idly_and_registers_what_is_waited_for(steps):
    book, now, tickets = Book(0.0), 0.0, []
    book.turn(listening=True, now=0.0)
    rows = set()

    def ask(word):
        taken = book.take(now)
        if word == "fail":
            book.failed(taken, now)
            return
        if taken.registers and word == "refuse":
            book.looked(taken, (), now)
            book.unregistered(taken, now)
            return
        if taken.registers:
            if word == "unknown":
                rows.clear()
            rows.update(taken.new)
            rows.difference_update(taken.done)
            if word == "unknown":
                book.unknown(taken, now)
        book.looked(taken, (), now)

    for word, number, passes in steps:
        now += passes
        match word:
            case "join":
                tickets.append(ticket(number))
                book.join(tickets[-1], now)
            case "leave" if tickets:
                book.leave(tickets.pop(number % len(tickets)), now)
            case "listen" | "deaf":
                book.turn(listening=word == "listen", now=now)
            case _:
                ask(word)
    # left alone it comes to rest: each time that it does not pause there is something to ask for
    for _ in range(200):
        if book.is_idle(now):
            break
        pause = min(book.pause(now), 1.0)
        now += pause
        if pause == 0:
            taken = book.take(now)
            assert taken.registers or taken.look
            rows.update(taken.new)
            rows.difference_update(taken.done)
            book.looked(taken, (), now)
    if book.listening and not book.is_idle(now):
        assert rows == {one.work_id for one in tickets}
