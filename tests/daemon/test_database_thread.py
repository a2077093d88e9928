"""The database thread between two deaths of its connection: nothing it held is forgotten or doubled."""

from __future__ import annotations

from types import SimpleNamespace

import psycopg
import pytest

from tributary_daemon import events
from tributary_daemon.daemon.board import Board
from tributary_daemon.daemon.claiming import Claiming
from tributary_daemon.daemon.database import DatabaseThread, Fenced
from tributary_daemon.daemon.inbox import Drain, Finished, Inbox, Wake
from tributary_daemon.daemon.setup import ProcessSetup
from tributary_daemon.errors import InvalidInput, NotPossible
from tributary_daemon.handlers.declare import handler
from tributary_daemon.handlers.registry import REGISTRY, Registry
from tributary_daemon.model.outcome import Completed


class Crew:
    """Takes leases and runs nothing."""

    def __init__(self):
        self.given, self.stopped, self.queued = [], [], []

    def give(self, leases):
        self.given += leases
        self.queued += leases

    def take_back(self, held):
        taken, self.queued = self.queued, []
        return taken

    def stop(self, held):
        self.stopped.append(held)

    def wants_facts(self, held):
        return False

    def patience(self):
        return 60.0

    def watch(self):
        pass


class FakeLeases:
    """Answers of the database, one dead connection after another."""

    def __init__(self, *, dies=0, refuses=(), lost=(), cancelled=()):
        self.connection = None
        self.dies = dies
        self.refuses = refuses
        self.lost, self.gone = list(lost), set(cancelled)
        self.written = []

    def mark_started(self, shard, tokens):
        self._perhaps_die()
        return set(tokens)

    def exchange(self, shard, ended, claims):
        self._perhaps_die()
        if len(ended) > 1 and any(item.result in self.refuses for item in ended):
            raise InvalidInput("a value of the batch cannot be stored")
        if any(item.result in self.refuses for item in ended):
            raise InvalidInput("it cannot be stored")
        self.written += ended
        return [], [[] for _ in claims]

    def reconcile_all(self, held):
        self._perhaps_die()
        return dict.fromkeys(held, self.lost)

    def explained(self, shard, lost):
        return self.gone

    def _perhaps_die(self):
        if self.dies:
            self.dies -= 1
            raise psycopg.OperationalError("the connection is lost")


def row(n, max_attempts=3):
    return (
        f"run{n}",
        0,
        100 + n,
        "intent",
        "t.x.v1",
        None,
        "default",
        1,
        max_attempts,
        0,
        "{}",
        0,
        None,
        0,
        0,
        "",
        None,
        None,
        f"(0,{n})",
        0,
    )


@pytest.fixture
def thread(monkeypatch):
    """A database thread without a database."""
    monkeypatch.setattr(REGISTRY, "_handlers", {})

    @handler("t.x.v1")
    def run(step_input: dict) -> dict:
        return step_input

    @handler("t.a.v1")
    async def arun(step_input: dict) -> dict:
        return step_input

    registry: Registry = REGISTRY.copy()
    crew = Crew()
    setup = ProcessSetup(
        url="postgresql://nowhere", label="t/1", process_id=1, names=("t.x.v1", "t.a.v1"), slots=4
    )
    made = DatabaseThread(setup, registry, Inbox(), crew, Board(8), sign=lambda _saturated: None)
    made.crew = crew
    return made


def test_a_start_whose_answer_was_lost_is_asked_for_again(thread):
    thread._hand_over(0, [row(n, max_attempts=1) for n in range(3)])
    leases = FakeLeases(dies=1)
    with pytest.raises(psycopg.OperationalError):
        thread._start_once(leases)
    assert thread.crew.given == []
    thread._start_once(leases)
    assert [held.run_id for held in thread.crew.given] == ["run0", "run1", "run2"]
    assert not thread._holdings.once


def test_at_most_once_leases_start_only_in_free_slots(thread):
    thread._hand_over(0, [row(n, max_attempts=1) for n in range(6)])
    thread._start_once(FakeLeases())
    assert len(thread.crew.given) == 4
    assert len(thread._holdings.once) == 2
    assert thread._want() == 0


def test_an_attempt_reported_twice_is_written_once(thread):
    thread._hand_over(0, [row(0)])
    thread._give(FakeLeases())
    (held,) = thread.crew.given
    for _ in range(2):
        thread._absorb(Finished(held, Completed("1")))
    assert len(thread._holdings.ended) == 1
    assert thread._holdings.handed == 0


def test_a_drain_gives_back_each_lease_once_however_often_it_comes(thread):
    rows = [row(0), row(1, max_attempts=1)]
    rows += [async_row(0, max_attempts=1), async_row(1)]
    thread._hand_over(0, rows)
    thread._give(FakeLeases())
    thread._hand_over(0, [row(9)])
    for _ in range(2):
        thread._absorb(Drain())
    tokens = [item[:3] for _, item in thread._holdings.ended]
    assert len(tokens) == len(set(tokens)) == 5
    assert {item.outcome for _, item in thread._holdings.ended} == {"returned"}
    assert thread._holdings.handed == 0
    assert not thread._holdings.once
    assert not thread._holdings.ready


def test_what_has_not_been_handed_over_is_not_asked_back_from_the_crew(thread):
    """The loop takes back whatever it is asked for that has not started, given to it or not."""
    thread.crew.take_back = lambda asked: [held for held in asked if held.in_loop]
    thread._hand_over(0, [row(n) for n in range(4)] + [async_row(4)])
    thread._give(FakeLeases())
    assert [held.run_id for held in thread._holdings.ready] == ["async4"]
    thread._recall()
    assert [item.run_id for _, item in thread._holdings.ended] == ["async4"]
    assert thread._holdings.handed == 4


def test_what_was_in_flight_is_written_again_and_a_poisoned_outcome_fails_alone(thread):
    thread._hand_over(0, [row(n) for n in range(3)])
    thread._give(FakeLeases())
    for n, held in enumerate(thread.crew.given):
        thread._absorb(Finished(held, Completed(f"{n}")))
    leases = FakeLeases(dies=1, refuses={"1"})
    with pytest.raises(psycopg.OperationalError):
        thread._settle_accounts(leases)
    assert len(thread._holdings.ended) == 3
    thread._settle_accounts(leases)
    assert [(item.run_id, item.outcome) for item in leases.written] == [
        ("run0", "completed"), ("run1", "retry"), ("run2", "completed"),
    ]  # fmt: skip
    assert thread.idle


def test_an_outcome_that_is_not_possible_fails_alone_and_a_claim_that_is_not_ends_the_process(thread):
    def refuse(*_, **__):
        raise NotPossible("refused")

    claiming = SimpleNamespace(shard=0, more=True, freed=set(), attempts_ended=list, exchange=refuse)
    thread._hand_over(0, [row(n) for n in range(2)])
    thread._give(FakeLeases())
    for n, held in enumerate(thread.crew.given):
        thread._absorb(Finished(held, Completed(f"{n}")))
    leases = FakeLeases(refuses={"1"})
    thread._exchange(leases, claiming)
    assert [(item.run_id, item.outcome) for item in leases.written] == [
        ("run0", "completed"), ("run1", "retry"),
    ]  # fmt: skip
    with pytest.raises(Fenced):
        thread._exchange(leases, claiming)


def test_a_new_lease_of_the_same_step_survives_the_end_of_the_old_one(thread):
    thread._hand_over(0, [row(0)])
    thread._give(FakeLeases())
    (old,) = thread.crew.given
    new = (*row(0)[:2], 500, *row(0)[3:])
    thread._hand_over(0, [new])
    thread._absorb(Finished(old, None))
    assert [held.seq for held in thread._holdings.held.values()] == [500]


def async_row(n, max_attempts=3):
    return (f"async{n}", 0, 200 + n, "intent", "t.a.v1", *row(0, max_attempts=max_attempts)[5:])


def test_threads_and_loop_share_the_slots_and_keep_the_order(thread):
    most = 0
    thread._hand_over(
        0, [row(n) for n in range(6)] + [async_row(n) for n in range(6)] + [row(n) for n in range(10, 16)]
    )
    leases = FakeLeases()
    thread._give(leases)
    assert [held.run_id for held in thread.crew.given] == [f"run{n}" for n in range(6)]
    done = 0
    while done < len(thread.crew.given):
        running = thread.crew.given[done:]
        in_loop = sum(held.in_loop for held in running)
        most = max(most, min(4, in_loop) + min(4, len(running) - in_loop))
        thread._absorb(Finished(thread.crew.given[done], Completed("1")))
        done += 1
        thread._give(leases)
    assert done == 18
    assert most == 4
    assert (thread._holdings.handed, thread._holdings._handed_loop) == (0, 0)


def test_a_lost_lease_is_dropped_wherever_it_waits(thread):
    thread._hand_over(0, [row(0), row(1, max_attempts=1)])
    for held in list(thread._holdings.held.values()):
        thread._lose(held)
    assert thread.idle
    assert not thread._holdings.ready
    assert not thread._holdings.once
    assert len(thread.crew.stopped) == 2


def test_a_fenced_thread_leaves_no_connection_behind(database, eventually):
    setup = ProcessSetup(url=database, label="gone/1", process_id=4_711, names=("t.x.v1",), slots=1)
    inbox = Inbox()
    thread = DatabaseThread(setup, Registry(), inbox, Crew(), Board(2), sign=lambda _more, _trouble: None)
    inbox.put(Wake())
    with pytest.raises(Fenced):
        thread.run()
    left = "select count(*) from pg_stat_activity where application_name = 'trib gone/1'"
    with psycopg.connect(database, autocommit=True) as connection:
        eventually(lambda: connection.execute(left).fetchone() == (0,), what="its connection is closed")


def test_a_lost_lease_is_told_unless_the_step_was_cancelled(thread, monkeypatch):
    told = []
    monkeypatch.setattr(events, "emit", told.append)
    thread._hand_over(0, [row(0), row(1), row(2)])
    cancelled, rescued, _ = [held.token for held in thread._holdings.held.values()]
    thread._reconcile(FakeLeases(lost=[cancelled, rescued], cancelled=[cancelled]))
    assert told == [events.LeaseLost(run_id="run1", ordinal=0)]
    assert [held.run_id for held in thread._holdings.held.values()] == ["run2"]
    assert len(thread.crew.stopped) == 2


def test_claims_leave_room_once_more_was_released_than_there_was_room_for(thread):
    """And a process that has taken what it may claim asks for no more until something ends."""
    targets = [40]
    thread._intake._pace = SimpleNamespace(target=lambda: targets[-1])
    asked = []
    handed_on = [(*row(n)[:-1], 2) for n in range(20)]
    replies = [[row(100 + n) for n in range(20)], handed_on, []]

    def exchange(_leases, ended, want, _room, _free, *, in_all):
        asked.append((len(ended), want, in_all))
        return [], replies.pop(0)

    claiming = SimpleNamespace(shard=0, more=True, freed=set(), attempts_ended=list, exchange=exchange)
    thread._turns = SimpleNamespace(more=True, due_in=lambda _: None)
    leases = FakeLeases()
    thread._exchange(leases, claiming)
    thread._exchange(leases, claiming)
    targets.append(80)
    thread._exchange(leases, claiming)
    assert thread._want() == 40, "there is room"
    assert asked == [(0, 40, 40), (0, 20, 20)], "half of what was held is claimed already"
    thread._rescans = []
    assert thread._patience() > 0.0, "it waits for an end"


def test_a_claim_asks_for_less_than_may_come_in_all_and_says_nothing_of_more_where_it_asks_for_none():
    class Leases:
        def exchange(self, shard, ended, requests, freed):
            self.asked = [(request.most, request.in_all) for request in requests]
            return [], [[] for _ in requests]

    leases, claiming = Leases(), Claiming(0, ["default"], [], alone=False)
    claiming.more = True
    claiming.exchange(leases, [object()], 0, {}, 4, in_all=30)
    assert (leases.asked, claiming.more) == ([(0, 30)], True)
    claiming.exchange(leases, [object()], 5, {}, 4, in_all=30)
    assert (leases.asked, claiming.more) == ([(5, 30)], False)
    claiming.exchange(leases, [], 5, {}, 4, in_all=30)
    assert leases.asked == [(5, 0)], "nothing has ended that could release something"
